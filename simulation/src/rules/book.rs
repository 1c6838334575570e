//! What must hold when a payer's book answers.

use alloy_primitives::Address;
use key0_core::book::{
    Hold, NO_ATTEMPT, Outcome, PayerCommand, PayerReply, RECENT_MILLIS, TargetKey,
};
use key0_core::purchase::{Purchase, Stage, State};
use key0_core::types::RequestId;

use super::steps::is_credited;
use crate::objects::Book;
use crate::world::World;

/// A command was carried out.
pub fn on_book(
    world: &World,
    payer: Address,
    command: &PayerCommand,
    reply: &PayerReply,
    before: &Book,
    after: &Book,
) {
    match command {
        PayerCommand::Hold(hold) if *reply == PayerReply::Reserved => {
            let id = &hold.reservation.request_id;
            let is_new = |book: &Book| book.open.borrow().get(id).map(|open| open.held);
            if is_new(after) == Some(NO_ATTEMPT) {
                must_be_covered(world, hold, after);
                if is_new(before).is_none() {
                    must_be_alone(world, payer, hold, before);
                }
            }
        }
        PayerCommand::Release {
            request_id,
            outcome: Outcome::Reverted,
            ..
        } if before.standing.get() != after.standing.get() => {
            must_have_reverted(world, request_id);
        }
        _ => {}
    }
}

/// What is under way is covered by the balance that was read.
fn must_be_covered(world: &World, hold: &Hold, book: &Book) {
    let open = book.open.borrow();
    let sum: u64 = open.values().map(|open| open.amount.units()).sum();
    if sum > hold.balance {
        let id = &hold.reservation.request_id;
        let detail = format!("{sum} under way, and {} there", hold.balance);
        world.violation("under_way_uncovered", id, detail);
    }
}

/// Who has lost an answer and signs anew is not charged anew: what its client has not named begins beside no purchase of the
/// same target that is under way, and not directly after one that was delivered.
fn must_be_alone(world: &World, payer: Address, hold: &Hold, book: &Book) {
    if hold.chosen {
        return;
    }
    let id = &hold.reservation.request_id;
    // A request that was under way for long may come when its purchase is paid in another way. Then it begins nothing.
    let own = world.objects.purchase(id).record();
    if own.is_some_and(|own| is_credited(&own.state)) {
        return;
    }
    for other in world.objects.purchases() {
        let Some(rival) = other.record().filter(|_| other.id != *id) else {
            continue;
        };
        let is_same = rival.payer == payer && target(&rival) == hold.reservation.target;
        // What had failed had to let go, and was found to be paid afterwards.
        if !is_same || other.had_failed.get() || other.was_late.get() {
            continue;
        }
        let open = book.open.borrow();
        let holds = open
            .get(&other.id)
            .is_some_and(|open| open.held != NO_ATTEMPT);
        let delivered = other.delivered.get();
        let is_recent = delivered.is_some_and(|at| world.now().0 < at + RECENT_MILLIS);
        if holds || is_recent {
            let detail = format!("beside {} delivered {delivered:?}", other.id);
            world.violation("begun_anew", id, detail);
        }
    }
}

/// Only a transaction that reverted while its authorization was good counts against the payer.
fn must_have_reverted(world: &World, id: &RequestId) {
    let Some(record) = world.objects.purchase(id).record() else {
        return;
    };
    let State::Pending { attempt } = &record.state else {
        return;
    };
    let Stage::Failed {
        transaction: Some(transaction),
        ..
    } = &attempt.stage
    else {
        return;
    };
    let chain = world.chain.borrow();
    // Its block may have been replaced since.
    let Some(receipt) = chain.ledger().receipt(*transaction) else {
        return;
    };
    let mut blocks = chain.blocks().iter();
    let time = blocks
        .find(|block| block.number == receipt.block)
        .map(|block| block.timestamp);
    let good_until = attempt
        .broadcast
        .authorization
        .authorization()
        .expires_at()
        .0;
    if receipt.success || time.is_some_and(|time| time >= good_until) {
        let detail = format!("{receipt:?} at {time:?}, good until {good_until}");
        drop(chain);
        world.violation("counted_against_the_payer", id, detail);
    }
}

fn target(record: &Purchase) -> TargetKey {
    TargetKey::of(&record.terms)
}
