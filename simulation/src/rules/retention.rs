//! The rules for what is kept, and for how long.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use key0_core::checkout::{Outcome, Stop, Unpaid};
use key0_core::ledger::{LedgerEntry, Removed, UtcDay};
use key0_core::purchase::{HISTORY_MILLIS, Prove, Purchase, Rest, Sold, State, ledger_entry};
use key0_core::types::{RequestId, Status};
use key0_core::x402::Refusal;

use super::end::presented_first;
use super::outages::has_lost_alarm;
use super::replies::is_about_a_refund;
use super::steps::describe;
use crate::actors::Payment;
use crate::objects::PurchaseObject;
use crate::world::World;

const HOUR_MILLIS: u64 = 3_600_000;
const WEEK_MILLIS: u64 = 168 * HOUR_MILLIS;
/// The most bytes that a purchase may keep permanently in its own object, with the names that the simulation uses.
const MAX_RECORD_BYTES: usize = 1_100;
/// How many bytes more a call may keep, until it is removed.
const PRESENTED_BYTES: usize = 300;
/// The most bytes that a purchase may keep permanently in the ledger.
const MAX_ENTRY_BYTES: usize = 1_000;

/// Checks a record that was just stored, while its history is still as before: neither history nor grant may be removed
/// too early.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    let Some(before) = before else {
        return;
    };
    let now = world.now().0;
    let loses_history = before.rest != Rest::WithoutHistory && after.rest == Rest::WithoutHistory;
    let loses_grant = has_grant(before) && !has_grant(after);
    if loses_history {
        let last = object.history.borrow().last().map(|line| line.at.0);
        if last.is_none_or(|last| now < last + WEEK_MILLIS) {
            let detail = format!("at {now}, its last line is of {last:?}");
            world.violation("history_removed_early", &object.id, detail);
        }
    }
    if let (true, State::Delivered { goods, .. }) = (loses_grant, &before.state)
        && let Some(claims) = goods.claims()
        && (now < object.delivered.get().unwrap_or(now) + 12 * HOUR_MILLIS
            || now < claims.exp * 1_000)
    {
        let detail = format!("at {now}, the token ends at {}", claims.exp);
        world.violation("grant_removed_early", &object.id, detail);
    }
    // An answer may go earlier than its history.
    let kept = world.config.gateway.keep_seconds.max(60) * 1_000;
    if let (true, State::Delivered { goods, .. }) = (loses_grant, &before.state)
        && goods.answer().is_some()
        && now < object.delivered.get().unwrap_or(now) + kept
    {
        world.violation("grant_removed_early", &object.id, format!("at {now}"));
    }
    let is_answer = before.terms.target.plan().is_none();
    if (loses_history || (loses_grant && !is_answer))
        && !(is_end(before) && before.outbox.is_empty())
    {
        let detail = format!("{} {:?}", describe(before), before.outbox);
        world.violation("removed_while_open", &object.id, detail);
    }
}

/// Everything of a purchase is about to be removed. That is allowed only for a call: 35 days after it was delivered or
/// refunded; or, if no money has moved, when its authorization can move none any more.
pub fn on_removed(world: &World, object: &PurchaseObject) {
    let Some(record) = object.record() else {
        return;
    };
    let payer = record.payer;
    let (now, chain) = (world.now().0, world.chain.borrow());
    let nonces = object.attempts.borrow();
    let own = |nonce: &&B256| presented_first(world, (payer, **nonce), &object.id);
    let fits = match &record.state {
        State::Delivered { .. } | State::Closed { .. } | State::Refunded { .. } => {
            now >= record.changed_at.0 + 35 * 24 * HOUR_MILLIS
        }
        State::Expired { watch: None } | State::Cancelled { watch: None, .. } => {
            let until = record.presented.map_or(u64::MAX, |its| its.until.0);
            let head = chain.blocks().last().map_or(0, |block| block.timestamp);
            nonces.iter().filter(own).all(|nonce| {
                chain.ledger().transfer(&(payer, *nonce)).is_none()
                    && (head >= until || chain.ledger().used(&(payer, *nonce)).is_some())
            })
        }
        _ => false,
    };
    let is_call = record.terms.target.plan().is_none();
    if !fits || !is_call || !is_end(&record) || !record.outbox.is_empty() {
        let detail = format!("at {now} {} {:?}", describe(&record), record.presented);
        world.violation("removed_early", &object.id, detail);
    }
    drop(chain);
    let book = world.objects.payer(payer);
    let book = book.book.borrow();
    let bookings = book.bookings.borrow();
    let its = record.presented.and_then(|its| bookings.get(&its.nonce));
    if its.is_some_and(|(booking, _)| booking.claimant == object.id) {
        world.violation("booking_kept", &object.id, format!("{its:?}"));
    }
    let entries = world.objects.ledger.entries.borrow();
    if entries.contains_key(&object.id) {
        world.violation("entry_kept", &object.id, "in the ledger");
    }
    let mut gone = world.gone.borrow_mut();
    gone.extend(nonces.iter().map(|nonce| (payer, *nonce)));
    if let Some(refund) = &*object.refund.borrow() {
        gone.insert((refund.payer(), refund.authorization().nonce));
    }
    let entry = ledger_entry(&record, 0);
    world.removed.borrow_mut().push(removed(&entry));
}

/// Rule: long after the last sale no call is kept, and the ledger has counted each that was removed once.
pub fn calls_gone(world: &World) {
    for object in world.objects.purchases() {
        if let Some(record) = object.record()
            && record.terms.target.plan().is_none()
            && is_end(&record)
            && !has_lost_alarm(world, &object, &record)
        {
            world.violation("call_kept", &object.id, describe(&record));
        }
    }
    let ledger = &world.objects.ledger;
    // A report that is delayed until its entry has been removed makes the entry again, which may then be counted again.
    let late: Vec<Removed> = ledger.late.borrow().iter().map(removed).collect();
    let (late, told) = (sums(&late), sums(&ledger.removed.borrow()));
    let gone = sums(&world.removed.borrow());
    let fits = |key| {
        let of = |sums: &Sums| sums.get(key).copied().unwrap_or_default();
        let ((told, units), gone, late) = (of(&told), of(&gone), of(&late));
        (gone.0..=gone.0 + late.0).contains(&told) && (gone.1..=gone.1 + late.1).contains(&units)
    };
    if !told.keys().chain(gone.keys()).all(fits) {
        let detail = format!("{told:?}, but {gone:?}");
        world.violation("removed_miscounted", "", detail);
    }
}

/// Counts and sums by day, target and state.
type Sums = BTreeMap<(String, String, Status), (u64, u64)>;

fn sums(all: &[Removed]) -> Sums {
    let mut sums = Sums::new();
    for one in all {
        let key = (one.day.to_string(), one.target.clone(), one.status);
        let (count, units) = sums.entry(key).or_default();
        *count += one.count;
        *units += one.amount.units();
    }
    sums
}

/// What the ledger counts when it removes this entry.
fn removed(entry: &LedgerEntry) -> Removed {
    Removed {
        day: UtcDay::of(entry.created_at),
        target: entry.target.clone(),
        status: entry.status,
        count: 1,
        amount: entry.amount,
    }
}

fn has_grant(record: &Purchase) -> bool {
    matches!(record.state, State::Delivered { .. })
}

fn is_end(record: &Purchase) -> bool {
    let is_end = match &record.state {
        State::Delivered { .. } | State::Closed { .. } | State::Refunded { .. } => true,
        State::Expired { watch } | State::Cancelled { watch, .. } => watch.is_none(),
        _ => false,
    };
    is_end && !record.holds_target
}

/// Whether the purchase changed less than a week ago: the backend is notified for two days, and a refund that was given up
/// may still arrive.
fn changed_lately(world: &World, record: &Purchase) -> bool {
    matches!(record.rest, Rest::Since(at) if world.now().since(at) < HISTORY_MILLIS)
}

/// Rule: a week after everything has ended, no history is left.
pub fn without_history(world: &World) {
    for object in world.objects.purchases() {
        let Some(record) = object.record() else {
            continue;
        };
        if record.rest == Rest::Leaving {
            continue;
        }
        // The purchase has lost its alarm, so it keeps what it has until its buyer asks.
        if has_lost_alarm(world, &object, &record) {
            continue;
        }
        let lines = object.history.borrow().len();
        let is_due = is_end(&record) && !changed_lately(world, &record);
        if is_due != (record.rest == Rest::WithoutHistory) || is_due == (lines > 0) {
            let detail = format!("{} {:?} {lines} lines", describe(&record), record.rest);
            world.violation("history_kept", &object.id, detail);
        }
        if let State::Delivered { goods, .. } = &record.state
            && let Some(claims) = goods.claims()
            && claims.exp * 1_000 + HOUR_MILLIS < world.now().0
        {
            world.violation("grant_kept", &object.id, format!("until {}", claims.exp));
        }
    }
}

/// Rule: after the last token has expired, only what replay protection and the books need is left.
pub fn closed(world: &World) {
    without_history(world);
    let entries = world.objects.ledger.entries.borrow();
    for object in world.objects.purchases() {
        let is_left = |record: &Purchase| {
            is_end(record)
                && !changed_lately(world, record)
                && !has_lost_alarm(world, &object, record)
        };
        let Some(record) = object.record().filter(is_left) else {
            continue;
        };
        let left = size(&record);
        let is_call = record.terms.target.plan().is_none();
        let most = MAX_RECORD_BYTES + if is_call { PRESENTED_BYTES } else { 0 };
        if has_grant(&record) || left > most {
            let detail = format!("{} in {left} bytes", describe(&record));
            world.violation("too_much_kept", &object.id, detail);
        }
        // The purchase of a call still needs its alarm, which removes the purchase.
        if let Some(at) = object.alarm.at().filter(|_| !is_call) {
            world.violation("never_at_rest", &object.id, format!("an alarm at {at}"));
        }
        let entry = entries.get(&object.id).map_or(0, size);
        if entry > MAX_ENTRY_BYTES {
            world.violation(
                "too_much_kept",
                &object.id,
                format!("{entry} bytes in the ledger"),
            );
        }
        if !is_call {
            world.left.set(world.left.get().max(left));
        }
    }
}

fn size(stored: &impl serde::Serialize) -> usize {
    serde_json::to_vec(stored).map_or(usize::MAX, |text| text.len())
}

/// Rule: long after the end, an answer agrees with the record that is left.
pub fn answers_as_left(world: &World, pay: &Payment, outcome: Option<&Outcome<'_>>) {
    use Outcome::{Granted, PayAgain, Pending, Stopped};
    let id = &pay.offer.terms.request_id;
    let Some(outcome) = outcome else {
        return world.violation("false_answer_later", id, "no answer");
    };
    let fits = match expected(world, id) {
        // No purchase has begun under this id, so the payment is judged by the current offer, or there is nothing on sale for
        // it.
        None if is_of_the_moment(outcome) => true,
        // This comes before all other cases: the client has given the payment's name to another payment.
        _ if is_named_otherwise(world, pay) => {
            matches!(
                outcome,
                Stopped {
                    why: Stop::NamedOtherwise
                }
            )
        }
        // The request id is new, but the authorization is old.
        None => match outcome {
            Stopped { why: Stop::Taken } => true,
            // The payment led to a purchase that is still open: refunds are off, or have failed permanently.
            Pending { request_id, .. } => {
                let led_to = world.objects.purchase(request_id).record();
                let book = world.objects.payer(pay.authorization.payer());
                let book = book.book.borrow();
                let bookings = book.bookings.borrow();
                let nonce = pay.authorization.authorization().nonce;
                led_to.is_some_and(|its| !is_end(&its) && its.payer == pay.authorization.payer())
                    && bookings.get(&nonce).is_some_and(|(booking, _)| {
                        booking.owner == *request_id || booking.claimant == *request_id
                    })
            }
            // The payment was refused, or it led to a purchase that ended without money.
            PayAgain {
                why: Unpaid::Refused(_) | Unpaid::Expired | Unpaid::Cancelled,
                ..
            } => true,
            PayAgain {
                why: Unpaid::Withdrawn,
                ..
            } => {
                let config = world.config_now();
                !config.wallets.is_paid_at(pay.offer.terms.pay_to)
                    || Sold::of(&pay.offer.terms, config).is_none()
            }
            _ => false,
        },
        // The payment has another recipient or amount than the purchase. In an A2A conversation the answer then offers the right
        // terms for the same purchase.
        Some(record) if !pays(pay, &record) && is_of_the_moment(outcome) => true,
        // Another payer has begun this purchase, under a request id that had leaked.
        Some(record) if record.payer != pay.authorization.payer() => {
            matches!(
                outcome,
                Stopped {
                    why: Stop::Conflict
                }
            ) || is_of_the_moment(outcome)
        }
        // A contract wallet does not exist, and so cannot sign, if the block that created it was replaced.
        Some(record)
            if !world.chain.borrow().ledger().is_deployed(record.payer) && is_unsigned(outcome) =>
        {
            true
        }
        Some(record) => match (&record.state, outcome) {
            (State::Delivered { .. }, Granted { .. }) => true,
            // The authorization that was presented is public.
            (
                State::Delivered { .. },
                Stopped {
                    why: Stop::SignAgain { .. },
                },
            ) => record.terms.request_id.as_str().starts_with("x402-"),
            (
                State::Closed { payment },
                Stopped {
                    why:
                        Stop::AccessEnded { transaction, .. } | Stop::AnswerGone { transaction, .. },
                },
            ) => payment.transaction == *transaction,
            (
                State::Expired { .. },
                PayAgain {
                    why: Unpaid::Expired,
                    ..
                },
            )
            | (
                State::Cancelled { .. },
                PayAgain {
                    why: Unpaid::Cancelled,
                    ..
                },
            )
            | (
                State::Refunded { .. },
                Stopped {
                    why: Stop::Refunded { .. },
                },
            ) => true,
            (_, outcome) => {
                // The purchase that this one counted for is still open: refunds are off, or have failed permanently.
                !is_end(&record)
                    && (matches!(outcome, Pending { .. }) || is_about_a_refund(outcome))
            }
        },
    };
    if !fits {
        let state = expected(world, id).map(|record| describe(&record));
        let detail = format!("{outcome:?}, but {state:?}");
        world.violation("false_answer_later", id, detail);
    }
}

/// Whether a payment matches what the purchase asked for when it began.
fn pays(pay: &Payment, record: &Purchase) -> bool {
    let authorization = pay.authorization.authorization();
    authorization.to == record.terms.pay_to && authorization.value == record.terms.amount.to_u256()
}

/// Whether the signature was refused before the purchase was reached.
fn is_unsigned(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::PayAgain {
            why: Unpaid::Refused(Refusal::InvalidExactEvmPayloadSignature),
            booked: false,
            ..
        }
    )
}

/// Whether the payment was judged by what is on sale now: it brought no offer back, and no purchase answered that its client
/// may know about.
fn is_of_the_moment(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Stopped {
            why: Stop::NotSold { .. } | Stop::ForeignOffer | Stop::Conflict,
        } | Outcome::PayAgain { booked: false, .. }
    )
}

/// Whether the payer's book has the client's name for this payment on another payment.
fn is_named_otherwise(world: &World, pay: &Payment) -> bool {
    let book = world.objects.payer(pay.authorization.payer());
    let book = book.book.borrow();
    let names = book.names.borrow();
    let named = pay.identifier.and_then(|name| names.get(&name).copied());
    named.is_some_and(|nonce| nonce != pay.authorization.authorization().nonce)
}

/// Rule: long after the end, an answer to a proof agrees with the record that is left. A transfer that has not paid by
/// then never does.
pub fn answers_proof_as_left(world: &World, prove: &Prove, outcome: Option<&Outcome<'_>>) {
    let id = &prove.offer.terms.request_id;
    let record = world.objects.purchase(id).record();
    let state = record.as_ref().map(|record| &record.state);
    let opens = record.as_ref().is_some_and(|record| match prove.payer {
        Some(payer) => payer == record.payer,
        None => record.state.payment().is_some_and(|payment| {
            payment.unsigned
                && payment.transaction == prove.transaction
                && record.challenge_id == prove.offer.id
        }),
    });
    use Outcome::{Granted, Stopped};
    let fits = match (state, outcome) {
        (Some(State::Delivered { .. }), Some(Granted { .. }))
        | (
            Some(State::Closed { .. }),
            Some(Stopped {
                why: Stop::AccessEnded { .. },
            }),
        )
        | (
            Some(State::Refunded { .. }),
            Some(Stopped {
                why: Stop::Refunded { .. },
            }),
        ) => opens,
        (
            Some(State::Delivered { .. } | State::Closed { .. } | State::Refunded { .. }),
            Some(Stopped {
                // A contract wallet that does not exist cannot sign.
                why: Stop::ProofConflict | Stop::NotThePayers,
            }),
        ) => !opens,
        (
            None | Some(State::Expired { .. } | State::Cancelled { .. }),
            Some(Stopped {
                why:
                    Stop::NotPaid { .. }
                    | Stop::TransferTaken
                    | Stop::ProofConflict
                    | Stop::NotThePayers,
            }),
        ) => true,
        _ => false,
    };
    if !fits {
        let state = record.as_ref().map(describe);
        let detail = format!("{outcome:?} to {prove:?}, but {state:?}");
        world.violation("false_answer_later", id, detail);
    }
}

/// The record that answers for a request id, after following `superseded_by`.
fn expected(world: &World, id: &RequestId) -> Option<Purchase> {
    let record = world.objects.purchase(id).record()?;
    match &record.state {
        State::Cancelled {
            superseded_by: Some(by),
            ..
        } => world.objects.purchase(by).record(),
        _ => Some(record),
    }
}
