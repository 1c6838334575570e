//! Settlement by a facilitator. We ask it whether it would settle; then store the intent; only then tell it to settle.
//!
//! A facilitator's answer proves nothing, and a facilitator may have settled without answering: the chain decides. The
//! next settlement route gets the same authorization, which the USDC contract executes at most once.

use super::super::env::{Memory, PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::shared::RouteFault;
use super::super::state::{Attempt, Purchase, Sent, Stage};
use super::charge::last_moment;
use super::fate::{fate_of, not_included};
use crate::catalog::Settle;
use crate::pauses;
use crate::settlement::facilitator::{
    Action, Facilitator, FacilitatorAnswer, FacilitatorCall, Settled, Verification, request,
};
use crate::x402::Refusal;

/// Asks the facilitator whether it would settle, before anything is broadcast. Ends with the intent to have it settle,
/// or with the next settlement route.
pub(in crate::purchase) async fn verify<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    facilitator: &Facilitator,
    memory: &Memory,
) -> Result<Event, Stuck> {
    if attempt.exposed
        && let Some(event) = fate_of(env, record, &attempt.broadcast).await?.used()
    {
        return Ok(event);
    }
    if is_too_late(env, record, attempt) {
        return not_included(env, record, attempt).await;
    }
    if let Some(failed) = memory.routes_failed.get()
        && env.now().since(failed) < pauses::ROUTES
    {
        return Err(Stuck::Waiting);
    }
    let host = facilitator.url().host();
    if attempt.broadcast.authorization.deployment().is_some() {
        // To deploy the payer's wallet the facilitator would have to make a call that a third party has written, so it
        // is not asked.
        let fault = format!("{host}: the payer's wallet is deployed by the gas wallet only");
        return unreachable(env, attempt, memory, &fault);
    }
    let url = facilitator.url();
    if !env.shared().may_ask(url, env.now()) {
        return Ok(next_route(env, attempt, memory));
    }
    let verification = match would_settle(env, record, attempt, facilitator).await {
        Ok(verification) => verification,
        Err(fault) => {
            let what = format!("{host}: verify: {}", fault.said);
            env.shared().failed(url, fault, env.now());
            return unreachable(env, attempt, memory, &what);
        }
    };
    env.shared().answered(url, env.now());
    match verification {
        // The facilitator's answer may have taken so long that the payment has expired, and nothing expired is charged.
        Verdict::Yes if is_too_late(env, record, attempt) => {
            not_included(env, record, attempt).await
        }
        Verdict::Yes => Ok(Event::Asked),
        Verdict::No { reason, said } => {
            env.log("facilitator_refused", &format!("{host}: {said}"));
            declined(env, record, attempt, reason, memory).await
        }
    }
}

/// A clear answer to `verify`.
enum Verdict {
    Yes,
    No { reason: Refusal, said: String },
}

/// Asks a facilitator whether it would settle, and once more if its answer is unclear. The error is for the operator.
async fn would_settle<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    facilitator: &Facilitator,
) -> Result<Verdict, RouteFault> {
    let mut is_repeat = false;
    loop {
        let answer = ask(env, record, attempt, facilitator, Action::Verify).await;
        let answer = answer.map_err(|said| RouteFault {
            said,
            refuses_key: false,
        })?;
        match Verification::parse(&answer.body) {
            Verification::Valid => return Ok(Verdict::Yes),
            Verification::Invalid { reason, said } => return Ok(Verdict::No { reason, said }),
            Verification::Unclear(_) if !is_repeat && !answer.refuses_key() => {
                is_repeat = true;
                env.sleep(pauses::VERIFY_AGAIN).await;
            }
            Verification::Unclear(_) => {
                return Err(RouteFault {
                    said: answer.summary(),
                    refuses_key: answer.refuses_key(),
                });
            }
        }
    }
}

/// Tells the facilitator to settle. Called once, by the caller that has stored the intent.
pub(in crate::purchase) async fn settle<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    facilitator: &Facilitator,
    memory: &Memory,
) -> Result<Event, Stuck> {
    let host = facilitator.url().host();
    let answer = ask(env, record, attempt, facilitator, Action::Settle).await;
    let answer = answer.map(|answer| (Settled::parse(&answer.body), answer));
    match answer {
        Ok((Settled::Named(hash), _)) => Ok(Event::Submitted { hashes: vec![hash] }),
        Ok((Settled::Declined { reason, said }, _)) => {
            env.log("facilitator_declined", &format!("{host}: {said}"));
            declined(env, record, attempt, reason, memory).await
        }
        Ok((Settled::Unclear(what), answer)) => {
            let said = answer.summary();
            env.log(
                "facilitator_unclear",
                &format!("{host}: settle: {what}; {said}"),
            );
            Err(Stuck::Waiting)
        }
        Err(fault) => {
            env.log("facilitator_unclear", &format!("{host}: settle: {fault}"));
            Err(Stuck::Waiting)
        }
    }
}

/// Asks the chain whether a facilitator has settled. The facilitator was told to, but its answer is lost or unclear.
pub(in crate::purchase) async fn reconcile<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    if let Some(event) = fate_of(env, record, &attempt.broadcast).await?.used() {
        return Ok(event);
    }
    let (Stage::Asked { since } | Stage::Submitted(Sent { since, .. })) = &attempt.stage else {
        return Err(Stuck::Waiting);
    };
    if env.now().since(*since) < pauses::ANSWER {
        return Err(Stuck::Waiting);
    }
    if is_too_late(env, record, attempt) {
        return not_included(env, record, attempt).await;
    }
    Ok(Event::PassedOn { exposed: true })
}

/// The facilitator says that it will not settle, for this reason. Unless the chain shows that the authorization was
/// used, the next settlement route is tried.
async fn declined<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    reason: Refusal,
    memory: &Memory,
) -> Result<Event, Stuck> {
    if let Some(event) = fate_of(env, record, &attempt.broadcast).await?.used() {
        return Ok(event);
    }
    let is_last = env.config().settlement.is_last(attempt.via);
    // The facilitator says that the authorization is used: its node may know a newer block than ours.
    let is_used = reason == Refusal::InvalidExactEvmNonceAlreadyUsed;
    // A facilitator that was told to settle may have done so before it declined; our node may not know that yet.
    let was_told = matches!(attempt.stage, Stage::Asked { .. });
    if !is_last || (is_used && !attempt.exposed) {
        if is_last {
            memory.routes_failed.set(Some(env.now()));
        }
        let exposed = is_used || was_told;
        return Ok(Event::PassedOn { exposed });
    }
    // A facilitator that was asked before may still settle, so the attempt has not failed yet.
    if attempt.exposed {
        memory.routes_failed.set(Some(env.now()));
        return match is_too_late(env, record, attempt) {
            true => not_included(env, record, attempt).await,
            false => Err(Stuck::Waiting),
        };
    }
    if was_told {
        // A buyer that hears "not charged" buys again, so the chain is asked once more after a pause. If the process
        // dies here, the stored intent is reconciled like any other.
        env.sleep(pauses::DOUBT).await;
        if let Some(event) = fate_of(env, record, &attempt.broadcast).await?.used() {
            return Ok(event);
        }
    }
    Ok(Event::AttemptFailed {
        reason,
        transaction: None,
    })
}

/// The facilitator cannot be asked whether it would settle. Nothing has happened, so the next settlement route is tried
/// at once.
fn unreachable<E: PurchaseEnv>(
    env: &E,
    attempt: &Attempt,
    memory: &Memory,
    fault: &str,
) -> Result<Event, Stuck> {
    env.log("facilitator_unavailable", fault);
    Ok(next_route(env, attempt, memory))
}

/// Passes on to the next settlement route: this one has begun nothing. After the last one there is a pause.
fn next_route<E: PurchaseEnv>(env: &E, attempt: &Attempt, memory: &Memory) -> Event {
    if env.config().settlement.is_last(attempt.via) {
        memory.routes_failed.set(Some(env.now()));
    }
    Event::PassedOn { exposed: false }
}

async fn ask<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    facilitator: &Facilitator,
    action: Action,
) -> Result<FacilitatorAnswer, String> {
    let terms = &record.terms;
    let route = terms.target.route();
    let route = route.and_then(|id| env.config().catalog.route(id));
    // What the facilitator is told about the route must describe the path that was sold.
    let route = route.filter(|route| route.resource == terms.resource);
    let call = FacilitatorCall {
        facilitator,
        action,
        body: request(
            terms,
            &record.issuer,
            &attempt.broadcast.authorization,
            is_upfront(record),
            route,
        ),
    };
    env.facilitator(call).await.map_err(|fault| fault.0)
}

/// Whether the price is settled before the goods are delivered.
fn is_upfront(record: &Purchase) -> bool {
    let call = record.call();
    call.is_none_or(|call| call.settle == Settle::Before)
}

fn is_too_late<E: PurchaseEnv>(env: &E, record: &Purchase, attempt: &Attempt) -> bool {
    env.now().to_seconds() >= last_moment(record, attempt)
}
