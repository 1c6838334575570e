//! The life of a purchase, as pure functions: what an event makes of a record, and what a record asks for next.
//!
//! A record *is* the intent of its next effect: the shell stores it first and carries the effect out afterwards, as often
//! as it takes. So a crash between "sent" and "known" is a state like any other.

mod attempt;
mod event;
mod noteworthy;
mod paid;
mod prove;
mod refund;

use attempt::advance;
use paid::paid;
use prove::{advance_proof, may_prove};
use refund::{advance_refund, again, arrived};

use super::outbox::Outbox;
use super::report::ledger_entry;
use super::schedule::{Effect, next_effect};
use super::state::{Attempt, DeliveryFailure, Payment, Purchase, Refund, Rest, Stage, State};
use crate::config::Policy;
use crate::types::UnixMillis;

pub use event::{Event, Refused};
pub use refund::MAX_REFUND_FAILURES;

/// What an event makes of a record.
pub fn apply(
    record: Option<&Purchase>,
    event: Event,
    now: UnixMillis,
    policy: &Policy,
) -> Result<Purchase, Refused> {
    let Some(record) = record else {
        return begin(event, now);
    };
    let mut next = record.clone();
    next.tries = 0;
    match (&mut next.state, event) {
        (_, Event::Tried) => next.tries = record.tries.saturating_add(1),
        // The schedule of everything else does not depend on the ledger.
        (_, event @ (Event::Reported | Event::ReportTried | Event::ReportAsked)) => {
            next.tries = record.tries;
            next.unreported = match event {
                Event::Reported => None,
                Event::ReportTried => record.unreported.map(|tries| tries.saturating_add(1)),
                _ => Some(0),
            };
        }
        (_, Event::Notice { number, event }) => {
            next.tries = record.tries;
            if !next.outbox.apply(number, event, now) {
                return Err(Refused);
            }
            // The history is kept for a week from its last line, and this may have been one.
            if next.outbox.done != record.outbox.done && matches!(next.rest, Rest::Since(_)) {
                next.rest = Rest::Since(now);
            }
        }
        (state, event @ (Event::Searched { .. } | Event::SearchedInVain)) => {
            next.tries = record.tries;
            let attempt = state.attempt_mut().ok_or(Refused)?;
            let to = match event {
                Event::Searched { to } if to > attempt.searched_to => to,
                Event::SearchedInVain if attempt.searched_to > 0 => 0,
                _ => return Err(Refused),
            };
            attempt.searched_to = to;
        }
        (_, Event::TargetReleased) if record.holds_target && record.state.is_resolved() => {
            next.holds_target = false;
        }
        (
            _,
            Event::Proven {
                offer,
                sold,
                payer,
                transaction,
                block,
                included_at,
                transfers,
                signed,
                ..
            },
        ) if may_prove(record, payer) => {
            // What was sold at the first beginning stays sold, unless the offer that was paid sells something else.
            next.sold = next
                .sold
                .filter(|_| offer.terms.sell_the_same(&record.terms))
                .or(sold);
            next.state = State::Proving {
                transaction,
                block,
                included_at,
                transfers,
                signed,
            };
            next.holds_target = true;
            next.rest = Rest::NotYet;
        }
        (State::Proving { .. }, event) => {
            next.holds_target = !matches!(event, Event::Taken);
            next.state = advance_proof(&record.state, &event, now).ok_or(Refused)?;
        }
        (
            State::Pending { attempt },
            Event::Attempted {
                authorization,
                gas_limit,
                from_block,
                ..
            },
        ) if matches!(attempt.stage, Stage::Failed { .. })
            // What failed may still be used by anybody who saw it. So only the very same authorization is tried again:
            // another one beside it could charge the purchase twice.
            && authorization.authorization() == attempt.authorization.authorization() =>
        {
            *attempt = Attempt {
                number: attempt.number.saturating_add(1),
                authorization,
                identifier: attempt.identifier,
                gas_limit,
                from_block: from_block.min(attempt.from_block),
                searched_to: 0,
                via: 0,
                exposed: attempt.exposed,
                stage: Stage::Reserving,
            };
            next.holds_target = true;
        }
        (State::Pending { attempt }, event) => {
            let is_without_target = matches!(event, Event::Superseded { .. } | Event::Taken);
            // A route that cannot be reached is no progress.
            if matches!(event, Event::PassedOn { exposed: false }) {
                next.tries = record.tries;
            }
            let state = advance(attempt, event, now)?;
            // A superseded purchase never got hold of its target, nor did one whose payment is another's.
            if is_without_target {
                next.holds_target = false;
            }
            next.state = state.unwrap_or(next.state);
        }
        (State::Paid { payment, .. }, Event::Issued { goods }) => {
            next.state = State::Delivered {
                payment: payment.clone(),
                goods,
            };
        }
        (State::Paid { failure, .. }, Event::IssueFailed { fault }) => {
            let tries = failure.map_or(0, |failure| failure.tries).saturating_add(1);
            *failure = Some(DeliveryFailure {
                fault,
                at: now,
                tries,
            });
        }
        (
            State::Paid { payment, .. }
            | State::RefundBlocked {
                payment,
                retried: true,
            },
            Event::RefundBegun { authorization },
        ) if authorization.authorization().from == record.terms.pay_to
            && authorization.authorization().to == record.payer
            && authorization.authorization().value == payment.amount.to_u256() =>
        {
            next.state = State::RefundPending {
                refund: Refund {
                    attempt: Attempt {
                        number: 1,
                        authorization,
                        identifier: None,
                        gas_limit: 0,
                        from_block: payment.block,
                        searched_to: 0,
                        via: 0,
                        exposed: false,
                        stage: Stage::Preparing,
                    },
                    failures: 0,
                    not_before: now,
                    reason: None,
                },
                payment: payment.clone(),
            };
        }
        (
            State::Paid {
                payment,
                failure: Some(_),
                ..
            },
            event @ (Event::RefundBlocked | Event::Cancelled),
        ) if matches!(event, Event::RefundBlocked) || policy.refund_after_millis.is_none() => {
            next.state = blocked(payment);
        }
        (
            State::RefundBlocked {
                payment,
                retried: true,
            },
            Event::RefundBlocked,
        ) => next.state = blocked(payment),
        (State::RefundBlocked { retried, .. }, Event::RefundRetried) if !*retried => {
            *retried = true;
        }
        // Only where nothing was signed: a signed refund may still arrive, and would return the money a second time.
        (
            State::RefundBlocked {
                payment,
                retried: false,
            },
            Event::ReturnedByHand { transaction },
        ) if transaction != payment.transaction => {
            next.state = State::Refunded {
                payment: payment.clone(),
                transaction,
            };
        }
        (State::RefundPending { payment, refund }, event) => {
            if let Some(state) = advance_refund(payment, refund, event, now, policy)? {
                next.state = state;
            }
        }
        (State::RefundFailed { payment, refund }, Event::RefundRetried) => {
            let mut refund = refund.clone();
            refund.failures = 0;
            again(&mut refund, now);
            next.state = State::RefundPending {
                payment: payment.clone(),
                refund,
            };
        }
        // Given up too early: a transaction of an earlier try, or of anybody who saw one.
        (State::RefundFailed { payment, .. }, Event::Settled { payment: returned }) => {
            next.state = arrived(payment, &returned)?;
        }
        // Given up too early, or called off: the charge was broadcast by somebody else.
        (
            State::Expired { watch: Some(_) } | State::Cancelled { watch: Some(_), .. },
            Event::Settled { payment },
        ) => {
            next.state = paid(payment, now);
        }
        (
            State::Expired { watch } | State::Cancelled { watch, .. },
            Event::Lapsed {
                may_still_land: false,
            },
        ) if watch.is_some() => *watch = None,
        (_, Event::HistoryRemoved) if next_effect(record, now, policy) == Effect::RemoveHistory => {
            next.rest = Rest::WithoutHistory;
            if matches!(
                record.state,
                State::Delivered { .. } | State::Refunded { .. }
            ) {
                next.sold = None;
            }
        }
        (State::Delivered { payment, .. }, Event::GrantRemoved)
            if next_effect(record, now, policy) == Effect::RemoveGrant =>
        {
            next.state = State::Closed {
                payment: payment.clone(),
            };
        }
        _ => return Err(Refused),
    }
    if next.state.status() != record.state.status() {
        next.changed_at = now;
        if policy.notifies {
            next.outbox.note(&next.state, now);
        }
    }
    if next.rest == Rest::NotYet && next.is_over() {
        next.rest = Rest::Since(now);
    }
    let says = |record| ledger_entry(record, 0);
    // News is told at once, however often the ledger gave no answer to the old.
    if says(&next) != says(record) {
        next.unreported = Some(0);
    }
    Ok(next)
}

fn begin(event: Event, now: UnixMillis) -> Result<Purchase, Refused> {
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
                number: 1,
                authorization,
                identifier,
                gas_limit,
                from_block,
                searched_to: 0,
                via: 0,
                exposed: false,
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
            transaction,
            block,
            included_at,
            transfers,
            signed,
        } => {
            let state = State::Proving {
                transaction,
                block,
                included_at,
                transfers,
                signed,
            };
            let chosen = offer.terms.chosen;
            (offer, sold, issuer, payer, chosen, state)
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
        changed_at: now,
        rest: Rest::NotYet,
        chosen,
        holds_target: true,
        unreported: Some(0),
        outbox: Outbox::default(),
        tries: 0,
    })
}

fn blocked(payment: &Payment) -> State {
    State::RefundBlocked {
        payment: payment.clone(),
        retried: false,
    }
}

#[cfg(test)]
mod tests;
