//! Fixing the credential of a paid purchase.

use crate::challenge::env::{ChallengeEnv, Stuck};
use crate::challenge::lifecycle::Event;
use crate::challenge::record::{Payment, Record};
use crate::challenge::terms::Target;
use crate::credential::remote;

/// Fixes the credential: our own token's claims, and the backend's credential where it issues one.
pub(super) async fn issue<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    payment: &Payment,
) -> Result<Event, Stuck> {
    let mut claims = claims(env, record, payment);
    let Some(backend) = &env.config().issuing_backend else {
        return Ok(Event::Issued {
            claims,
            remote: None,
        });
    };
    let call = remote::call(backend, record, payment);
    match env.issue(call).await {
        Ok(answer) => {
            if let Some(expires_at) = answer.expires_at {
                claims.exp = expires_at.0;
            }
            let sealed = env
                .config()
                .credential_key
                .seal(&record.challenge_id, &answer.body);
            Ok(Event::Issued {
                claims,
                remote: Some(sealed),
            })
        }
        Err(fault) => {
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
