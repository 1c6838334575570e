//! Settlement by a facilitator. It is asked whether it would settle; then the intent is stored; only then is it told to.
//!
//! What it answers is a claim, and what it does not answer may have happened all the same: the chain decides. Whoever is
//! asked next is given the same authorization, which the USDC contract executes at most once.

use super::super::env::{Memory, PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::shared::RouteFault;
use super::super::state::{Attempt, Purchase, Sent, Stage};
use super::charge::last_moment;
use super::fate::{fate_of, not_included};
use crate::pauses;
use crate::settlement::facilitator::{
    Action, Facilitator, FacilitatorAnswer, FacilitatorCall, Settled, Verification, request,
};
use crate::x402::Refusal;

/// Before anything is broadcast. Ends with the intent to have the facilitator settle, or with the next route.
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
        // The facilitator would have to make a call that a third party has written, so it is not asked to.
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
        // Nothing expired is charged, and the answer may have taken its time.
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

/// Asks a facilitator whether it would settle, and once more when its answer does not say. The error is for the operator.
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

/// Tells the facilitator to settle. Called once, by who has stored the intent.
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

/// The facilitator was told to settle, and what it answered is lost or says nothing. The chain knows.
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

/// The facilitator will not settle, for this reason. Unless the chain says that it has, the next one is tried.
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
    // It knows a newer chain than our node does.
    let is_used = reason == Refusal::InvalidExactEvmNonceAlreadyUsed;
    // Who was told to settle may have done so before it declined; our node may not know that yet.
    let was_told = matches!(attempt.stage, Stage::Asked { .. });
    if !is_last || (is_used && !attempt.exposed) {
        if is_last {
            memory.routes_failed.set(Some(env.now()));
        }
        let exposed = is_used || was_told;
        return Ok(Event::PassedOn { exposed });
    }
    // Another route may still settle.
    if attempt.exposed {
        memory.routes_failed.set(Some(env.now()));
        return match is_too_late(env, record, attempt) {
            true => not_included(env, record, attempt).await,
            false => Err(Stuck::Waiting),
        };
    }
    if was_told {
        // Whoever hears "not charged" buys again. When we die here, the stored intent is reconciled like any other.
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

/// The facilitator cannot be asked whether it would settle. Nothing has happened, so the next one is tried at once.
fn unreachable<E: PurchaseEnv>(
    env: &E,
    attempt: &Attempt,
    memory: &Memory,
    fault: &str,
) -> Result<Event, Stuck> {
    env.log("facilitator_unavailable", fault);
    Ok(next_route(env, attempt, memory))
}

/// Nothing was begun by this one. After the last one there is a pause.
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
    let call = FacilitatorCall {
        facilitator,
        action,
        body: request(
            &record.terms,
            &record.issuer,
            &attempt.broadcast.authorization,
        ),
    };
    env.facilitator(call).await.map_err(|fault| fault.0)
}

fn is_too_late<E: PurchaseEnv>(env: &E, record: &Purchase, attempt: &Attempt) -> bool {
    env.now().to_seconds() >= last_moment(record, attempt)
}
