//! Settlement by a facilitator. It is asked whether it would settle; then the intent is stored; only then is it told to.
//!
//! What it answers is a claim, and what it does not answer may have happened all the same: the chain decides. Whoever is
//! asked next is given the same authorization, which the USDC contract executes at most once.

use super::driver::Memory;
use super::effects::{last_moment, not_included, used_by_anybody};
use super::env::{ChallengeEnv, Stuck};
use super::lifecycle::Event;
use super::record::{Attempt, Record, Stage};
use super::schedule::ANSWER_MILLIS;
use crate::payment::Refusal;
use crate::payment::facilitator::{
    Action, Facilitator, FacilitatorCall, Settled, Verification, request,
};

/// The pause before all routes are tried again.
const PAUSE_MILLIS: u64 = 5_000;
/// How long the last "no" of who was told to settle is doubted: what it may have broadcast is in a block by then (Base has
/// one every two seconds).
const DOUBT_MILLIS: u64 = 5_000;

/// Before anything is broadcast. Ends with the intent to have the facilitator settle, or with the next route.
pub(super) async fn verify<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    facilitator: &Facilitator,
    memory: &Memory,
) -> Result<Event, Stuck> {
    if attempt.exposed
        && let Some(event) = used_by_anybody(env, record, attempt).await?
    {
        return Ok(event);
    }
    if is_too_late(env, record, attempt) {
        return not_included(env, record, attempt).await;
    }
    if let Some(failed) = memory.routes_failed.get()
        && env.now().since(failed) < PAUSE_MILLIS
    {
        return Err(Stuck::Waiting);
    }
    let host = facilitator.url().host();
    if attempt.authorization.deployment().is_some() {
        // It would have to make a call that somebody else has written, and is not asked to.
        let fault = format!("{host}: the payer's wallet is deployed by the gas wallet only");
        return unreachable(env, attempt, memory, &fault);
    }
    let answer = ask(env, record, attempt, facilitator, Action::Verify).await;
    match answer.map(|body| Verification::parse(&body)) {
        // Nothing expired is charged, and the answer may have taken its time.
        Ok(Some(Verification::Valid)) if is_too_late(env, record, attempt) => {
            not_included(env, record, attempt).await
        }
        Ok(Some(Verification::Valid)) => Ok(Event::Asked),
        Ok(Some(Verification::Invalid { reason, said })) => {
            env.log("facilitator_refused", &format!("{host}: {said}"));
            declined(env, record, attempt, reason, memory).await
        }
        Ok(None) => unreachable(
            env,
            attempt,
            memory,
            &format!("{host}: verify: no such answer"),
        ),
        Err(fault) => unreachable(env, attempt, memory, &format!("{host}: verify: {fault}")),
    }
}

/// Tells the facilitator to settle. Called once, by who has stored the intent.
pub(super) async fn settle<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    facilitator: &Facilitator,
    memory: &Memory,
) -> Result<Event, Stuck> {
    let host = facilitator.url().host();
    let answer = ask(env, record, attempt, facilitator, Action::Settle).await;
    match answer.map(|body| Settled::parse(&body)) {
        Ok(Settled::Named(hash)) => Ok(Event::Submitted { hashes: vec![hash] }),
        Ok(Settled::Declined { reason, said }) => {
            env.log("facilitator_declined", &format!("{host}: {said}"));
            declined(env, record, attempt, reason, memory).await
        }
        Ok(Settled::Unclear(what)) => {
            env.log("facilitator_unclear", &format!("{host}: settle: {what}"));
            Err(Stuck::Waiting)
        }
        Err(fault) => {
            env.log("facilitator_unclear", &format!("{host}: settle: {fault}"));
            Err(Stuck::Waiting)
        }
    }
}

/// The facilitator was told to settle, and what it answered is lost or says nothing. The chain knows.
pub(super) async fn reconcile<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    if let Some(event) = used_by_anybody(env, record, attempt).await? {
        return Ok(event);
    }
    let (Stage::Asked { since } | Stage::Submitted { since, .. }) = &attempt.stage else {
        return Err(Stuck::Waiting);
    };
    if env.now().since(*since) < ANSWER_MILLIS {
        return Err(Stuck::Waiting);
    }
    if is_too_late(env, record, attempt) {
        return not_included(env, record, attempt).await;
    }
    Ok(Event::PassedOn { exposed: true })
}

/// The facilitator will not settle, for this reason. Unless the chain says that it has, the next one is tried.
async fn declined<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    reason: Refusal,
    memory: &Memory,
) -> Result<Event, Stuck> {
    if let Some(event) = used_by_anybody(env, record, attempt).await? {
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
        env.sleep(DOUBT_MILLIS).await;
        if let Some(event) = used_by_anybody(env, record, attempt).await? {
            return Ok(event);
        }
    }
    Ok(Event::AttemptFailed {
        reason,
        transaction: None,
    })
}

/// The facilitator cannot be asked whether it would settle. Nothing has happened, so the next one is tried at once.
fn unreachable<E: ChallengeEnv>(
    env: &E,
    attempt: &Attempt,
    memory: &Memory,
    fault: &str,
) -> Result<Event, Stuck> {
    env.log("facilitator_unavailable", fault);
    if env.config().settlement.is_last(attempt.via) {
        memory.routes_failed.set(Some(env.now()));
    }
    Ok(Event::PassedOn { exposed: false })
}

async fn ask<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    facilitator: &Facilitator,
    action: Action,
) -> Result<Vec<u8>, String> {
    let call = FacilitatorCall {
        facilitator,
        action,
        body: request(&record.terms, &record.issuer, &attempt.authorization),
    };
    env.facilitator(call).await.map_err(|fault| fault.0)
}

fn is_too_late<E: ChallengeEnv>(env: &E, record: &Record, attempt: &Attempt) -> bool {
    env.now().to_seconds() >= last_moment(record, attempt)
}
