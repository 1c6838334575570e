//! The rules for what is kept, and for how long.

use key0_core::checkout::{Outcome, Stop, Unpaid};
use key0_core::purchase::{HISTORY_MILLIS, Prove, Purchase, Rest, Sold, State};
use key0_core::types::RequestId;
use key0_core::x402::Refusal;

use super::outages::has_lost_alarm;
use super::replies::is_about_a_refund;
use super::steps::describe;
use crate::actors::Payment;
use crate::objects::PurchaseObject;
use crate::world::World;

const HOUR_MILLIS: u64 = 3_600_000;
const WEEK_MILLIS: u64 = 168 * HOUR_MILLIS;
/// The most bytes that a purchase may keep permanently in its own object, with the names that the simulation uses.
const MAX_RECORD_BYTES: usize = 1_000;
/// The same in the ledger.
const MAX_ENTRY_BYTES: usize = 1_000;

/// A record was stored; its history is still as before.
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
        && (now < object.delivered.get().unwrap_or(now) + 12 * HOUR_MILLIS
            || now < goods.claims().exp * 1_000)
    {
        let detail = format!("at {now}, the token ends at {}", goods.claims().exp);
        world.violation("grant_removed_early", &object.id, detail);
    }
    if (loses_history || loses_grant) && !(is_end(before) && before.outbox.is_empty()) {
        let detail = format!("{} {:?}", describe(before), before.outbox);
        world.violation("removed_while_open", &object.id, detail);
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
        // It has lost its alarm, so it keeps what it has until its buyer asks.
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
            && goods.claims().exp * 1_000 + HOUR_MILLIS < world.now().0
        {
            world.violation(
                "grant_kept",
                &object.id,
                format!("until {}", goods.claims().exp),
            );
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
        if has_grant(&record) || left > MAX_RECORD_BYTES {
            let detail = format!("{} in {left} bytes", describe(&record));
            world.violation("too_much_kept", &object.id, detail);
        }
        if let Some(at) = object.alarm.at() {
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
        world.left.set(world.left.get().max(left));
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
            // Refused, or led to a purchase that ended without money.
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
        // The payment is for another wallet or price than the purchase's. In a conversation, an offer of what to pay instead
        // is for the same purchase.
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
                    why: Stop::AccessEnded { transaction, .. },
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

/// Rule: the same for an answer to a proof. A transfer that has not paid by then never does.
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
