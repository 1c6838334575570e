//! Calling the seller's API. A request stores the intent and then makes the call at once, with its own method, path and
//! body. So nothing of the call itself is ever stored, and the alarm makes no calls.
//!
//! | a call whose end is not known | is made once more | otherwise |
//! |---|---|---|
//! | charged after its answer | if the route is idempotent and the buyer sends it again | ends, and nothing is charged |
//! | paid for before it is made | on the same condition | the money goes back |
//!
//! An answer that is passed on while it arrives has a record of its own; see `stream.rs`.

use super::super::env::{Memory, PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::origin::{API_FAILS, Arrived, MAX_ANSWER_BYTES, MAX_CALLS, OriginCall, Streams};
use super::super::schedule::call_end;
use super::super::state::{Purchase, Stage, State};
use super::super::stream::StreamEnd;
use super::charge::is_too_late;
use crate::goods::{DeliveryFault, OriginFault};
use crate::offer::{CallDigest, Target};
use crate::types::{B256, RouteId};
use crate::x402::Refusal;

/// A call that is about to be made.
struct Next<'a> {
    route: &'a RouteId,
    call: &'a CallDigest,
    /// How often the call was begun before.
    made: u32,
    /// Whether the last of these may have been under way when the process died.
    is_lost: bool,
    transaction: Option<B256>,
}

impl<'a> Next<'a> {
    fn of(record: &'a Purchase) -> Option<Self> {
        let Target::Route { id, call } = &record.terms.target else {
            return None;
        };
        let (made, is_lost, transaction) = match &record.state {
            State::Pending { attempt } => match attempt.stage {
                Stage::Uncalled => (attempt.calls, false, None),
                Stage::Calling { .. } => (attempt.calls, true, None),
                _ => return None,
            },
            State::Paid {
                payment, calling, ..
            } => (
                calling.map_or(0, |calling| calling.number),
                calling.is_some(),
                Some(payment.transaction),
            ),
            _ => return None,
        };
        Some(Self {
            route: id,
            call,
            made,
            is_lost,
            transaction,
        })
    }
}

/// Decides whether the call is made now. No other request is making it at this moment: that one would have the right to
/// carry effects out, which we have.
pub(super) fn next<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    memory: &Memory,
) -> Result<Event, Stuck> {
    if memory.streams(record, env.now()) {
        return Err(Stuck::Waiting);
    }
    // It is not known what was sold; or a plan was, which no call may deliver even if a route has the same name.
    let (Some(next), Some(sold)) = (Next::of(record), record.call()) else {
        return Ok(Event::IssueFailed {
            fault: DeliveryFault::PlanGone,
        });
    };
    let is_brought = env.call().as_ref() == Some(next.call);
    let may_be_made = match next.is_lost {
        false => true,
        true => sold.idempotent && next.made < MAX_CALLS,
    };
    if next.is_lost {
        env.log("call_outcome_unknown", record.terms.request_id.as_str());
    }
    if !may_be_made || is_answered_too_late(env, record) {
        return Ok(unfinished(record));
    }
    if is_brought {
        return Ok(Event::Calling);
    }
    match env.now() >= call_end(record, &env.config().policy()) {
        true => Ok(unfinished(record)),
        false => Err(Stuck::Waiting),
    }
}

/// Makes the call. Run once, by the request that has stored the intent.
pub(in crate::purchase) async fn make<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
) -> Option<(u32, Result<Arrived, OriginFault>)> {
    let next = Next::of(record)?;
    let number = next.made;
    let paid_first = record.call().filter(|_| next.transaction.is_some());
    let streams = paid_first.map(|sold| Streams::of(&sold.charged, sold.stream));
    let streams_it = |status| paid_first.is_some_and(|sold| sold.charged.includes(status));
    let call = OriginCall {
        number,
        request_id: record.terms.request_id.clone(),
        payer: record.payer,
        route: next.route.clone(),
        transaction: next.transaction,
        limit: MAX_ANSWER_BYTES,
        streams,
        timeout_millis: env.config().gateway.timeout_millis,
    };
    let answer = env.origin(call).await;
    // An answer with another number, or one larger than the limit, does not count.
    let answer = answer.and_then(|arrived| match &arrived {
        _ if arrived.head().number != number => Err(OriginFault::Cut),
        // What is not charged for, or not paid for yet, is never passed on in parts.
        Arrived::Begun(head) if !streams_it(head.status) => Err(OriginFault::TooLarge),
        Arrived::Begun(_) => Ok(arrived),
        Arrived::Whole(head) => match usize::try_from(head.length) {
            Ok(length) if length <= MAX_ANSWER_BYTES => Ok(arrived),
            _ => Err(OriginFault::TooLarge),
        },
    });
    if paid_first.is_some() {
        note(env, record, next.route, &answer);
    }
    Some((number, answer))
}

/// Notes how a call went that was paid for first, for all purchases of its route. Of a call that costs nothing when it fails
/// nothing is noted, or whoever knows an input that the API fails with could keep a route closed for free.
fn note<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    route: &RouteId,
    answer: &Result<Arrived, OriginFault>,
) {
    let (routes, now) = (&env.shared().routes, env.now());
    match answer {
        // The API was not called; or it has answered, and this caller asked for more than its door can give.
        Err(OriginFault::Busy | OriginFault::TooLarge) => {}
        answer if has_failed(answer) => routes.failed(route, record.payer, now),
        _ => routes.answered(route, now),
    }
}

/// Whether a call that was paid for first has failed and the calls of its route keep failing: then the reason is not this
/// call, and it does not count against its payer.
pub(in crate::purchase) fn is_excused<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    answer: &Result<Arrived, OriginFault>,
) -> bool {
    let Target::Route { id, .. } = &record.terms.target else {
        return false;
    };
    let is_paid = matches!(record.state, State::Paid { .. });
    is_paid && has_failed(answer) && env.shared().routes.keeps_failing(id, record.payer)
}

/// Whether the API gave no answer, or an error of its own. An answer that is too large is none: how large it may be
/// depends on the door, and which answer comes on what the caller asked for.
fn has_failed(answer: &Result<Arrived, OriginFault>) -> bool {
    match answer {
        Ok(arrived) => arrived.head().status >= API_FAILS,
        Err(fault) => *fault != OriginFault::TooLarge,
    }
}

/// The event that follows from the answer from the seller's API.
pub(in crate::purchase) fn outcome(
    record: &Purchase,
    answer: &Result<Arrived, OriginFault>,
) -> Event {
    let is_paid = matches!(record.state, State::Paid { .. });
    let is_charged = |status| {
        let sold = record.call();
        sold.is_some_and(|sold| sold.charged.includes(status))
    };
    let head = match answer {
        Ok(Arrived::Begun(head)) => {
            return Event::Streaming {
                number: head.number,
            };
        }
        Ok(Arrived::Whole(head)) => Ok(head),
        Err(fault) => Err(*fault),
    };
    match head {
        Ok(head) if is_charged(head.status) && is_paid => Event::Issued {
            goods: record.answered(head, None),
        },
        Ok(head) if is_charged(head.status) => Event::Answered { head: head.clone() },
        Ok(head) if is_paid => Event::IssueFailed {
            fault: DeliveryFault::Answered(head.status),
        },
        Err(OriginFault::Busy) => Event::CallPutOff,
        Err(fault) if is_paid => Event::IssueFailed {
            fault: DeliveryFault::Origin(fault),
        },
        Ok(_) | Err(_) => Event::AttemptFailed {
            reason: Refusal::CallUncharged,
            transaction: None,
        },
    }
}

/// The event for a call that is given up.
const fn unfinished(record: &Purchase) -> Event {
    if let Some(calling) = record.streaming() {
        return Event::StreamEnded {
            number: calling.number,
            end: StreamEnd::Lost,
        };
    }
    match &record.state {
        State::Paid { .. } => Event::IssueFailed {
            fault: DeliveryFault::Unfinished,
        },
        _ => Event::AttemptFailed {
            reason: Refusal::CallUnfinished,
            transaction: None,
        },
    }
}

/// Whether the answer may come so late that its price can no longer be charged.
fn is_answered_too_late<E: PurchaseEnv>(env: &E, record: &Purchase) -> bool {
    let State::Pending { attempt } = &record.state else {
        return false;
    };
    let answered_at = env.now().plus(env.config().gateway.timeout_millis.into());
    is_too_late(attempt, answered_at.to_seconds())
}
