//! Fixing the credential of a paid purchase.

use crate::challenge::env::{ChallengeEnv, Stuck};
use crate::challenge::lifecycle::Event;
use crate::challenge::record::{IssueFault, Payment, Record, State};
use crate::challenge::schedule::doubled;
use crate::challenge::terms::Target;
use crate::credential::remote::{self, IssueAnswer};
use crate::types::UnixMillis;

/// The pause before a call to the backend is repeated for the first time; doubled with each further time.
const FIRST_PAUSE_MILLIS: u64 = 500;
/// Repeats begin for this long; afterwards the buyer is told, and the alarm tries again.
const REPEAT_MILLIS: u64 = 20_000;

/// Fixes the credential: our own token's claims, and the backend's credential where it issues one.
pub(super) async fn issue<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    payment: &Payment,
) -> Result<Event, Stuck> {
    if env.config().issuing_backend.is_none() {
        return Ok(Event::Issued {
            claims: claims(env, record, payment),
            remote: None,
        });
    }
    let is_first = matches!(record.state, State::Paid { failure: None, .. });
    match ask_backend(env, record, payment).await {
        Ok(answer) => {
            env.shared().deliveries.worked(env.now());
            let mut claims = claims(env, record, payment);
            if let Some(expires_at) = answer.expires_at {
                claims.exp = expires_at.0;
            }
            let sealed = env
                .config()
                .credential_key
                .seal(record.challenge_id.as_str(), &answer.body);
            Ok(Event::Issued {
                claims,
                remote: Some(sealed),
            })
        }
        Err(fault) => {
            if is_first {
                env.shared().deliveries.failed(env.now());
            }
            env.log("issue_failed", record.terms.request_id.as_str());
            if env.config().refund_wallet.is_none() {
                env.log(
                    "refunds_off",
                    "set KEY0_WALLET_PRIVATE_KEY, or this payment stays without a credential",
                );
            }
            Ok(Event::IssueFailed { fault })
        }
    }
}

/// Asks the backend, and again when it fails. Never after a timeout: what it was asked for may have happened, and whoever
/// waits has waited long enough.
async fn ask_backend<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    payment: &Payment,
) -> Result<IssueAnswer, IssueFault> {
    let config = env.config();
    let Some(backend) = &config.issuing_backend else {
        return Err(IssueFault::Failed);
    };
    let Target::Plan(plan) = &record.terms.target;
    let extra = config.catalog.plan(plan).map(|plan| &plan.extra);
    let call = remote::call(backend, extra, record, payment);
    let end = repeats_until(env, record);
    let mut repeats = 0;
    loop {
        let fault = match env.backend(call.clone()).await {
            Ok(answer) => match IssueAnswer::read(answer) {
                Some(answer) => return Ok(answer),
                None => IssueFault::Failed,
            },
            Err(fault) => fault,
        };
        let pause = doubled(FIRST_PAUSE_MILLIS, repeats);
        let may_repeat = fault == IssueFault::Failed && repeats < backend.retries;
        if !may_repeat || env.now().plus(pause) >= end {
            return Err(fault);
        }
        env.sleep(pause).await;
        repeats += 1;
    }
}

/// Until when repeats may begin: not when the money is to go back.
fn repeats_until<E: ChallengeEnv>(env: &E, record: &Record) -> UnixMillis {
    let end = env.now().plus(REPEAT_MILLIS);
    match (&record.state, env.config().policy().refund_after_millis) {
        (State::Paid { since, .. }, Some(age)) => end.min(since.plus(age)),
        _ => end,
    }
}

fn claims<E: ChallengeEnv>(env: &E, record: &Record, payment: &Payment) -> key0_validator::Claims {
    let Target::Plan(plan) = &record.terms.target;
    let config = env.config();
    let ttl = config
        .catalog
        .plan(plan)
        .and_then(|plan| plan.expires_in)
        .unwrap_or(config.token_ttl_seconds);
    let now = env.now().to_seconds();
    key0_validator::Claims {
        sub: record.terms.request_id.to_string(),
        jti: record.challenge_id.to_string(),
        resource_id: record.terms.resource.to_string(),
        plan_id: plan.to_string(),
        tx_hash: payment.transaction.to_string(),
        iat: now.0,
        exp: now.plus(ttl).0,
        iss: Some(record.issuer.clone()),
        payer: Some(record.payer.to_checksum(None)),
    }
}
