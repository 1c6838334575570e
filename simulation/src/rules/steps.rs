//! Rules that are checked whenever a record is stored, or a transaction is about to be broadcast.

use std::rc::Rc;

use key0_core::book::TargetKey;
use key0_core::catalog::Settle;
use key0_core::purchase::{Attempt, Purchase, Sold, Stage, State};
use key0_core::settlement::wallet::{Job, Sent};
use key0_core::types::RequestId;

use super::money::money;
use super::refunds;
use super::retention;
use super::routes;
use super::terms;
use super::{hashes, notices, outages};
use crate::actors;
use crate::objects::{Ended, PurchaseObject};
use crate::world::World;
use key0_core::x402::Authorization;

/// Whether what was agreed has stayed the same. The offer may change when a transfer pays another offer for the same target to
/// the same wallet.
fn is_the_same_purchase(before: &Purchase, after: &Purchase) -> bool {
    let kept = |record: &Purchase| {
        let terms = &record.terms;
        (
            terms.request_id.clone(),
            terms.target.clone(),
            terms.resource.clone(),
            terms.pay_to,
            terms.network,
            record.issuer.clone(),
            record.payer,
            record.begun_at,
        )
    };
    let is_same_offer =
        (&before.challenge_id, &before.terms) == (&after.challenge_id, &after.terms);
    kept(before) == kept(after) && (is_same_offer || matches!(after.state, State::Proving(_)))
}

/// Checks a record that was just stored against the one before it.
pub fn on_change(
    world: &Rc<World>,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    world.trace(|| format!("{} is {}", object.id, describe(after)));
    outages::on_change(world, object, before, after);
    if let Some(before) = before {
        if !is_the_same_purchase(before, after) {
            world.violation("record_frozen", &object.id, "terms or payer changed");
        }
        if !may_follow(&before.state, &after.state) {
            let detail = format!("{} became {}", describe(before), describe(after));
            world.violation("lifecycle", &object.id, detail);
        }
    }
    if let State::Pending { attempt } = &after.state {
        note_attempt(world, object, attempt);
    }
    let begins = |record: &Purchase| match &record.state {
        State::Pending { attempt } => matches!(attempt.stage, Stage::Reserving),
        state => matches!(state, State::Proving(_)),
    };
    if begins(after) && !before.is_some_and(begins) {
        object.tried.set(world.now().0);
    }
    terms::on_change(world, object, before, after);
    if let (
        Some(State::Paid { since, .. }),
        State::RefundPending { .. } | State::RefundBlocked { .. },
    ) = (before.map(|before| &before.state), &after.state)
        // Without refunds, the operator may end a purchase that cannot be delivered at any time.
        && (world.setting.refunds || matches!(after.state, State::RefundPending { .. }))
        && world.now() < since.plus(world.setting.refund_after)
        // A call is not made again, so its money goes back at once.
        && after.terms.target.plan().is_some()
    {
        let detail = format!("paid at {}", since.0);
        world.violation("refund_too_early", &object.id, detail);
    }
    let was_paid = before.is_some_and(|before| is_credited(&before.state));
    if let (State::Paid { payment, .. }, false) = (&after.state, was_paid) {
        object.had_failed.set(before.is_some_and(has_failed));
        object.was_late.set(object.ended.get().is_some());
        let units = money(world, object, after, payment);
        if units != Some(payment.amount.units()) {
            let detail = format!("{payment:?} was credited, the chain has {units:?}");
            world.violation("paid_without_money", &object.id, detail);
        }
        if payment.log.is_none() {
            actors::on_settlement(world, after.payer, payment.transaction);
        }
    }
    if matches!(after.state, State::Delivered { .. } | State::Closed { .. })
        && object.delivered.get().is_none()
    {
        object.delivered.set(Some(world.now().0));
    }
    // A purchase whose refund failed releases its target, also while an operator retries the refund.
    if matches!(
        after.state,
        State::RefundFailed { .. } | State::RefundBlocked { .. }
    ) {
        object.had_failed.set(true);
    }
    hashes::on_change(world, object, before, after);
    notices::on_change(world, object, before, after);
    refunds::on_change(world, object, before, after);
    retention::on_change(world, object, before, after);
    routes::on_change(world, object, before, after);
    if matches!(after.state, State::Expired { .. } | State::Cancelled { .. })
        && object.ended.get().is_none()
    {
        let block = world.chain.borrow().head().number;
        object.ended.set(Some(Ended { block }));
    }
}

/// Whether a call is sold that is paid for after its answer.
pub(super) fn is_paid_after_its_answer(record: &Purchase) -> bool {
    let call = record.sold.as_ref().and_then(Sold::call);
    call.is_some_and(|call| call.settle == Settle::After)
}

/// Describes a record in one line.
pub(super) fn describe(record: &Purchase) -> String {
    let detail = match &record.state {
        State::Pending { attempt } => {
            format!(" attempt {} {:?}", attempt.broadcast.number, attempt.stage)
        }
        State::Proving(proof) => format!(" {}", proof.transaction),
        State::Paid {
            payment, failure, ..
        } => format!(" by {} {failure:?}", payment.transaction),
        State::Delivered { payment, .. } => format!(" by {}", payment.transaction),
        State::Closed { payment } => format!(" and closed, by {}", payment.transaction),
        State::RefundPending { refund, .. } | State::RefundFailed { refund, .. } => format!(
            " try {} after {} failures {:?} {:?}",
            refund.broadcast.number, refund.failures, refund.reason, refund.stage
        ),
        State::Refunded { transaction, .. } => format!(" by {transaction}"),
        State::RefundBlocked { retried, .. } => format!(" blocked retried={retried}"),
        State::Expired { watch } => format!(" watch={}", watch.is_some()),
        State::Cancelled {
            superseded_by,
            watch,
            ..
        } => format!(" for {superseded_by:?} watch={}", watch.is_some()),
    };
    format!(
        "{}{detail} holds={} tries={}",
        record.state.status().as_str(),
        record.holds_target,
        record.tries
    )
}

fn note_attempt(world: &World, object: &PurchaseObject, attempt: &Attempt) {
    let nonce = attempt.broadcast.authorization.authorization().nonce;
    let mut attempts = object.attempts.borrow_mut();
    if attempts.contains(&nonce) {
        return;
    }
    if !attempts.is_empty() {
        let detail = format!("{nonce} is attempted beside {attempts:?}");
        world.violation("second_authorization", &object.id, detail);
    }
    attempts.push(nonce);
}

/// The attempt whose authorization may still be executed, by us or by a third party.
pub(super) const fn attempt_of(state: &State) -> Option<&Attempt> {
    match state {
        State::Pending { attempt } => Some(attempt),
        _ => state.watch(),
    }
}

/// Whether the purchase counts as paid.
pub(super) const fn is_credited(state: &State) -> bool {
    state.payment().is_some()
}

/// Whether the purchase has failed and released its target.
fn has_failed(record: &Purchase) -> bool {
    match &record.state {
        State::Pending { attempt } => matches!(attempt.stage, Stage::Failed { .. }),
        State::Expired { .. } | State::Cancelled { .. } => true,
        _ => false,
    }
}

fn may_follow(before: &State, after: &State) -> bool {
    let is_frozen = before
        .payment()
        .is_none_or(|payment| after.payment() == Some(payment));
    is_frozen
        && match (before, after) {
            (
                State::Pending { .. },
                State::Pending { .. }
                | State::Paid { .. }
                | State::Expired { .. }
                | State::Cancelled { .. },
            )
            | (
                State::Pending { .. } | State::Expired { .. } | State::Cancelled { .. },
                State::Proving { .. },
            )
            | (
                State::Proving { .. },
                State::Paid { .. } | State::Cancelled { .. },
            )
            | (State::Paid { .. }, State::Delivered { .. })
            // A refund begins only after a delivery was tried.
            | (
                State::Paid {
                    failure: Some(_), ..
                },
                State::RefundPending { .. } | State::RefundBlocked { retried: false, .. },
            )
            | (
                State::RefundBlocked { retried: false, .. },
                State::RefundBlocked { retried: true, .. } | State::Refunded { .. },
            )
            | (
                State::RefundBlocked { retried: true, .. },
                State::RefundBlocked { retried: false, .. } | State::RefundPending { .. },
            )
            | (
                State::RefundPending { .. },
                State::RefundPending { .. } | State::Refunded { .. } | State::RefundFailed { .. },
            )
            | (
                State::RefundFailed { .. },
                State::RefundPending { .. } | State::Refunded { .. },
            )
            | (
                State::Expired { watch: Some(_) },
                State::Expired { watch: None } | State::Paid { .. },
            )
            | (
                State::Cancelled { watch: Some(_), .. },
                State::Cancelled { watch: None, .. } | State::Paid { .. },
            ) => true,
            (State::Delivered { .. }, State::Closed { .. }) => true,
            // Of an answer that was passed on while it arrived, nothing is stored.
            (
                State::Paid {
                    failure: None,
                    calling: Some(calling),
                    ..
                },
                State::Closed { .. },
            ) => calling.streaming,
            (State::Paid { since, .. }, State::Paid { since: later, .. }) => since == later,
            (before, after) => has_only_searched(before, after),
        }
}

/// Whether the two states differ only in how far the search for an authorization's transaction has come.
pub(super) fn has_only_searched(before: &State, after: &State) -> bool {
    let unsearched = |state: &State| {
        let mut state = state.clone();
        match &mut state {
            State::Pending { attempt: its }
            | State::Expired { watch: Some(its) }
            | State::Cancelled {
                watch: Some(its), ..
            } => its.broadcast.searched_to = 0,
            State::RefundFailed { refund, .. } => refund.broadcast.searched_to = 0,
            _ => {}
        }
        state
    };
    unsearched(before) == unsearched(after)
}

/// Checks a transaction that the gas wallet is about to broadcast for the first time.
pub(super) fn may_broadcast(world: &World, object: &PurchaseObject, sent: &Sent, job: &Job) {
    let id = &object.id;
    let authorization = job.authorization.authorization();
    let Some(record) = object.record() else {
        return world.violation("broadcast_without_intent", id, "there is no record");
    };
    let intended = match &record.state {
        State::Pending { attempt } => {
            attempt.broadcast.authorization == job.authorization
                && matches!(attempt.stage, Stage::Settling)
                && sent.key.0 == format!("{id}#{}", attempt.broadcast.number)
        }
        _ => false,
    };
    if !intended {
        world.violation(
            "broadcast_without_intent",
            id,
            format!("{:?} while {}", sent.key, describe(&record)),
        );
    }
    may_charge(world, object, &record, authorization);
}

/// Checks a payment that is about to be given to the gas wallet or to a facilitator.
pub(super) fn may_charge(
    world: &World,
    object: &PurchaseObject,
    record: &Purchase,
    authorization: &Authorization,
) {
    let id = &object.id;
    routes::may_charge(world, object, record);
    let end = match is_paid_after_its_answer(record) {
        true => authorization.expires_at(),
        false => record.terms.expires_at,
    };
    if world.seconds() >= end {
        world.violation("charged_expired", id, "the offer has expired");
    }
    let payer = world.objects.payer(record.payer);
    let book = payer.book.borrow();
    let owner = book
        .bookings
        .borrow()
        .get(&authorization.nonce)
        .map(|(booking, _)| booking.owner.clone());
    if owner.as_ref() != Some(id) {
        world.violation(
            "broadcast_unbooked",
            id,
            format!("{} is booked to {owner:?}", authorization.nonce),
        );
    }
    let target = target(record);
    for other in world.objects.purchases() {
        let Some(rival) = other.record().filter(|_| other.id != *id) else {
            continue;
        };
        // A purchase that its client has named may run beside any other.
        if rival.payer == record.payer
            && !is_named(record)
            && !is_named(&rival)
            && self::target(&rival) == target
            && is_in_flight(world, &other, &rival, id)
        {
            world.violation(
                "charged_anew",
                id,
                format!("while {} is {}", other.id, describe(&rival)),
            );
        }
    }
}

fn target(record: &Purchase) -> TargetKey {
    TargetKey::of(&record.terms)
}

/// Whether the payer's book had this purchase open before the other one.
fn was_first(world: &World, object: &PurchaseObject, record: &Purchase, other: &RequestId) -> bool {
    let payer = world.objects.payer(record.payer);
    let book = payer.book.borrow();
    let open = book.open.borrow();
    let since = |id| open.get(id).map(|open| open.at);
    since(&object.id).is_some_and(|first| since(other).is_none_or(|at| first < at))
}

/// Whether a purchase may still be charged, or is paid and not yet answered. A purchase that had failed and was then paid by a
/// stranger's broadcast does not count: it had already released its target.
fn is_in_flight(
    world: &World,
    object: &PurchaseObject,
    record: &Purchase,
    beside: &RequestId,
) -> bool {
    match &record.state {
        State::Pending { attempt } => {
            matches!(
                attempt.stage,
                Stage::Settling | Stage::Asked { .. } | Stage::Submitted(_)
            )
        }
        State::Paid { payment, .. } | State::RefundPending { payment, .. } => {
            // An ordinary transfer pays its own purchase, also while another one is open.
            let holds = payment.log.is_none() || was_first(world, object, record, beside);
            holds && !object.had_failed.get()
        }
        _ => false,
    }
}

/// Whether the client has named the purchase. An id that is derived from a payment is ours.
fn is_named(record: &Purchase) -> bool {
    record.chosen && !record.terms.request_id.is_derived()
}
