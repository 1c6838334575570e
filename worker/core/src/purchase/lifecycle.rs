//! The life of a purchase, as pure functions: the record that follows from a record and an event.
//!
//! A record *is* the intent of its next effect: the driver stores the record first and carries the effect out
//! afterwards, as often as it takes. So a crash between "sent" and "known" is a state like any other.

mod attempt;
mod event;
mod noteworthy;
mod paid;
mod prove;
mod refund;

use super::outbox::{Outbox, Tries};
use super::report::ledger_entry;
use super::schedule::{Effect, next_effect};
use super::sold::Sold;
use super::state::{
    Attempt, Broadcast, DeliveryFailure, Payment, Presented, Purchase, Refund, Rest, Stage, State,
};
use crate::config::Policy;
use crate::goods::DeliveryFault;
use crate::types::UnixMillis;

use self::paid::Paid;

pub use event::{Event, Refused};
pub use refund::MAX_REFUND_FAILURES;

/// The record that follows from `record` (`None`: no purchase has begun) and the event.
pub fn apply(
    record: Option<&Purchase>,
    event: Event,
    now: UnixMillis,
    policy: &Policy,
) -> Result<Purchase, Refused> {
    let Some(record) = record else {
        return begin(event, now);
    };
    // Whatever came now would be lost.
    if record.rest == Rest::Leaving && event != Event::Tried {
        return Err(Refused);
    }
    let mut next = record.clone();
    if event.is_progress() {
        next.tries = 0;
    }
    if let Some(holds_target) = event.holds_target() {
        next.holds_target = holds_target;
    }
    match event {
        Event::Excused if record.is_being_called() => next.excused = true,
        Event::Tried => next.tries = record.tries.saturating_add(1),
        Event::ReportAsked => next.outbox.report = Some(Tries::due(now)),
        Event::Told { message, sending } => {
            if !next.outbox.apply(message, sending, now) {
                return Err(Refused);
            }
            // The history is kept for a week from its last line, and a notification that is accepted or given up adds a
            // line.
            if next.outbox.done != record.outbox.done && matches!(next.rest, Rest::Since(_)) {
                next.rest = Rest::Since(now);
            }
        }
        Event::Searched { to } => {
            let broadcast = next.state.broadcast_mut();
            let behind = broadcast.filter(|broadcast| broadcast.searched_to < to);
            behind.ok_or(Refused)?.searched_to = to;
        }
        Event::SearchedInVain => {
            let broadcast = next.state.broadcast_mut();
            let begun = broadcast.filter(|broadcast| broadcast.searched_to > 0);
            begun.ok_or(Refused)?.searched_to = 0;
        }
        Event::Contacted => attempt::contact(record, &mut next.state, now).ok_or(Refused)?,
        Event::TargetReleased if record.holds_target && record.state.is_resolved() => {}
        Event::Leaving if next_effect(record, now, policy) == Effect::Remove => {
            next.rest = Rest::Leaving;
        }
        Event::HistoryRemoved if next_effect(record, now, policy) == Effect::RemoveHistory => {
            next.rest = Rest::WithoutHistory;
            next.sold = match record.state {
                // A grant is counted from its first call on, which may come at its last day: until then only the
                // purchase knows its limits.
                State::Delivered { .. } => next.sold.filter(Sold::is_counted),
                State::Closed { .. } | State::Refunded { .. } => None,
                _ => next.sold,
            };
        }
        Event::GrantRemoved => {
            next.state = advance(record, event, now, policy)?;
            next.sold = next.sold.filter(|_| record.rest != Rest::WithoutHistory);
        }
        Event::Proven {
            offer,
            sold,
            payer,
            proof,
            ..
        } if prove::may_prove(record, payer) => {
            // A client that chose the request id may hold several offers for it, and may have begun with another offer
            // than the transfer pays. If both offers sell the same, what was known to be sold when the purchase began
            // stays known.
            next.sold = next
                .sold
                .filter(|_| offer.terms.sell_the_same(&record.terms))
                .or(sold);
            next.challenge_id = offer.id;
            next.terms = offer.terms;
            next.state = State::Proving(proof);
            next.rest = Rest::NotYet;
        }
        event => next.state = advance(record, event, now, policy)?,
    }
    if next.state.status() != record.state.status() {
        next.changed_at = now;
        if policy.notifies && noteworthy::is_told(&next) {
            next.outbox.note(&next.state, now);
        }
    }
    if next.rest == Rest::NotYet && next.is_over() {
        next.rest = Rest::Since(now);
    }
    let says = |record| ledger_entry(record, 0);
    // A change is reported at once, however often the ledger has not answered earlier reports.
    if says(&next) != says(record) {
        next.outbox.report = Some(Tries::due(now));
    }
    Ok(next)
}

/// The state that follows from the record's state and the event.
fn advance(
    record: &Purchase,
    event: Event,
    now: UnixMillis,
    policy: &Policy,
) -> Result<State, Refused> {
    Ok(match (record.state.clone(), event) {
        (State::Pending { attempt }, event) => attempt::advance(record, attempt, event, now)?,
        (State::Proving(proof), event) => prove::advance(&proof, &event, now).ok_or(Refused)?,
        (
            State::Paid {
                payment,
                since,
                failure,
                calling,
                held,
            },
            event @ (Event::Calling
            | Event::CallPutOff
            | Event::Streaming { .. }
            | Event::StreamEnded { .. }
            | Event::Issued { .. }
            | Event::IssueFailed { .. }),
        ) => {
            let paid = Paid {
                payment,
                since,
                failure,
                calling,
                held,
            };
            paid.advance(record, event, now)?
        }
        // The price of a call goes back only when it is certain that the call will not be delivered.
        (State::Paid { failure: None, .. }, Event::RefundBegun { .. }) if record.is_of_a_call() => {
            return Err(Refused);
        }
        (
            State::Paid { payment, .. }
            | State::RefundBlocked {
                payment,
                retried: true,
            },
            Event::RefundBegun { authorization },
        ) => refund::begin(record, payment, authorization, now)?,
        (
            State::Paid {
                payment,
                failure: Some(_),
                ..
            }
            | State::RefundBlocked {
                payment,
                retried: true,
            },
            Event::RefundBlocked,
        ) => blocked(payment),
        (
            State::Paid {
                payment,
                failure: Some(failure),
                ..
            },
            Event::Cancelled,
        ) if policy.refund_after_millis.is_none() && may_go_back(record, failure) => {
            blocked(payment)
        }
        (
            State::RefundBlocked {
                payment,
                retried: false,
            },
            Event::RefundRetried,
        ) => State::RefundBlocked {
            payment,
            retried: true,
        },
        // A return by hand is accepted only where no refund was signed: a signed refund may still arrive, and would
        // return the money a second time.
        (
            State::RefundBlocked {
                payment,
                retried: false,
            },
            Event::ReturnedByHand { transaction },
        ) => refund::arrived(payment, transaction)?,
        (State::RefundPending { payment, refund }, event) => {
            refund::advance(payment, refund, event, now, policy)?
        }
        (State::RefundFailed { payment, refund }, Event::RefundRetried) => refund::again(
            payment,
            Refund {
                failures: 0,
                ..refund
            },
            now,
        ),
        // The refund was given up too early: a transaction of an earlier try, or of somebody who saw one, has
        // succeeded.
        (State::RefundFailed { payment, .. }, Event::Settled { payment: returned }) => {
            refund::arrived(payment, returned.transaction)?
        }
        // The purchase was given up or called off, and somebody else has broadcast the charge.
        (
            State::Expired { watch: Some(_) } | State::Cancelled { watch: Some(_), .. },
            Event::Settled { payment },
        ) => paid::paid_late(record, payment, now),
        // Nobody can broadcast the authorization any more.
        (
            State::Expired { watch: Some(_) },
            Event::Lapsed {
                may_still_land: false,
            },
        ) => State::Expired { watch: None },
        (
            State::Cancelled {
                superseded_by,
                reserving,
                watch: Some(_),
            },
            Event::Lapsed {
                may_still_land: false,
            },
        ) => State::Cancelled {
            superseded_by,
            reserving,
            watch: None,
        },
        (State::Delivered { payment, .. }, Event::GrantRemoved)
            if next_effect(record, now, policy) == Effect::RemoveGrant =>
        {
            State::Closed { payment }
        }
        _ => return Err(Refused),
    })
}

/// Whether an operator may end a paid purchase and return its money by hand. A top-up may have been added to its grant when
/// the answer was lost: it is delivered, or it is certain that nothing was added. If it is not known what was sold, nothing is
/// ever added.
fn may_go_back(record: &Purchase, failure: DeliveryFailure) -> bool {
    let is_added = record.sold.as_ref().and_then(Sold::top_up).is_some();
    !is_added || failure.fault == DeliveryFault::GrantClosed
}

fn begin(event: Event, now: UnixMillis) -> Result<Purchase, Refused> {
    let presented = presented(&event);
    let (offer, sold, issuer, payer, chosen, state) = match event {
        Event::Attempted {
            offer,
            sold,
            issuer,
            authorization,
            identifier,
            chosen,
            gas_limit,
            from_block,
        } => {
            let payer = authorization.payer();
            let attempt = Attempt {
                broadcast: Broadcast {
                    number: 1,
                    authorization,
                    gas_limit,
                    from_block,
                    searched_to: 0,
                },
                identifier,
                via: 0,
                exposed: false,
                calls: 0,
                held: None,
                contact: attempt::first_contact(sold.as_ref(), now),
                stage: Stage::Reserving,
            };
            (
                offer,
                sold,
                issuer,
                payer,
                chosen,
                State::Pending { attempt },
            )
        }
        Event::Proven {
            offer,
            sold,
            issuer,
            payer,
            proof,
        } => {
            let chosen = offer.terms.chosen;
            (offer, sold, issuer, payer, chosen, State::Proving(proof))
        }
        _ => return Err(Refused),
    };
    Ok(Purchase {
        challenge_id: offer.id,
        terms: offer.terms,
        sold,
        issuer,
        payer,
        state,
        begun_at: now,
        changed_at: now,
        rest: Rest::NotYet,
        chosen,
        presented,
        excused: false,
        holds_target: true,
        outbox: Outbox {
            report: Some(Tries::due(now)),
            ..Outbox::default()
        },
        tries: 0,
    })
}

/// The authorization that is presented for a call. (The purchase of a plan is kept for ever.)
fn presented(event: &Event) -> Option<Presented> {
    match event {
        Event::Attempted {
            offer,
            authorization,
            identifier,
            ..
        } if offer.terms.target.plan().is_none() => {
            let authorization = authorization.authorization();
            Some(Presented {
                nonce: authorization.nonce,
                identifier: *identifier,
                until: authorization.expires_at(),
            })
        }
        _ => None,
    }
}

const fn blocked(payment: Payment) -> State {
    State::RefundBlocked {
        payment,
        retried: false,
    }
}

#[cfg(test)]
mod tests;
