//! Rules for the answers of a payer's book.

use alloy_primitives::Address;
use key0_core::book::{
    Hold, NO_ATTEMPT, Outcome, PayerCommand, PayerReply, RECENT_MILLIS, TargetKey,
};
use key0_core::purchase::{Purchase, Stage, State};
use key0_core::types::RequestId;

use super::steps::is_credited;
use crate::objects::Book;
use crate::world::World;

/// Checks a command to a payer's book. What a purchase sets aside must be covered, a purchase must not begin while
/// another one for the same target is under way, and only a transaction that reverted counts against the payer.
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
            let opened = |book: &Book| book.open.borrow().get(id).cloned();
            let was = opened(before);
            // A late copy of a command sets nothing aside, even if a later attempt of the purchase has.
            if let Some(open) = opened(after)
                && open.held == NO_ATTEMPT
                && was.as_ref() != Some(&open)
            {
                must_be_covered(world, hold, after);
                if was.is_none() {
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

/// Rule: what is under way is covered by the balance that was read.
fn must_be_covered(world: &World, hold: &Hold, book: &Book) {
    let open = book.open.borrow();
    let sum: u64 = open.values().map(|open| open.amount.units()).sum();
    if sum > hold.balance {
        let id = &hold.reservation.request_id;
        let detail = format!("{sum} under way, and {} there", hold.balance);
        world.violation("under_way_uncovered", id, detail);
    }
}

/// Rule: a payer that has lost an answer and signs anew is not charged anew. A purchase that its client has not named
/// begins neither while another one of the same target is under way, nor directly after one that was delivered.
fn must_be_alone(world: &World, payer: Address, hold: &Hold, book: &Book) {
    if hold.chosen {
        return;
    }
    let id = &hold.reservation.request_id;
    // A delayed request may arrive when its purchase has been paid in another way. Then it begins nothing.
    let own = world.objects.purchase(id).record();
    if own.is_some_and(|own| is_credited(&own.state)) {
        return;
    }
    for other in world.objects.purchases() {
        let Some(rival) = other.record().filter(|_| other.id != *id) else {
            continue;
        };
        let is_same = rival.payer == payer && target(&rival) == hold.reservation.target;
        // A purchase that had failed had to release its target; that it was paid was found afterwards.
        if !is_same || other.had_failed.get() || other.was_late.get() {
            continue;
        }
        let open = book.open.borrow();
        let holds = open
            .get(&other.id)
            .is_some_and(|open| open.held != NO_ATTEMPT);
        let delivered = other.delivered.get();
        let is_recent = rival.terms.target.plan().is_some()
            && delivered.is_some_and(|at| world.now().0 < at + RECENT_MILLIS);
        if holds || is_recent {
            let detail = format!("beside {} delivered {delivered:?}", other.id);
            world.violation("begun_anew", id, detail);
        }
    }
}

/// Rule: only a transaction that reverted while its authorization was good counts against the payer.
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
    // The transaction's block may have been replaced since.
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
