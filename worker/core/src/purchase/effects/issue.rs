//! Determines what a paid purchase of a plan delivers.

use super::super::env::{PurchaseEnv, PurchaseStore, Stuck};
use super::super::lifecycle::Event;
use super::super::sold::{self, Sold};
use super::super::state::{Payment, Purchase, State};
use super::{extension, issue_call};
use crate::backend::issuance::{IssueAnswer, IssuingBackend};
use crate::book::PayerCommand;
use crate::goods::{DeliveryFault, Goods};
use crate::pauses::{BACKEND_CALL, BACKEND_CALLS};
use crate::types::{PlanId, UnixMillis};

/// The plan for which a credential is issued, and what was sold of it.
#[derive(Clone, Copy)]
struct Access<'a> {
    plan: &'a PlanId,
    sold: &'a sold::Access,
}

impl<'a> Access<'a> {
    /// `None` when it is not known what was sold, or when a call was sold: no credential is issued for a call, even if
    /// a plan has its route's name.
    fn of(record: &'a Purchase) -> Option<Self> {
        Some(Self {
            plan: record.terms.target.plan()?,
            sold: record.sold.as_ref()?.access()?,
        })
    }
}

/// Determines what a paid purchase delivers: the claims of our own token and, if the backend issues credentials, the
/// one that it has issued. Returns the event that stores it, or the event of the failure.
pub(super) async fn issue<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    payment: &Payment,
) -> Result<Event, Stuck> {
    if let Some(top_up) = record.sold.as_ref().and_then(Sold::top_up) {
        return Ok(extension::extend(env, record, top_up, payment).await);
    }
    let is_first = matches!(record.state, State::Paid { failure: None, .. });
    let outcome = match (Access::of(record), &env.config().backend.issuing) {
        (None, _) => Err(DeliveryFault::PlanGone),
        (Some(access), None) => {
            return Ok(Event::Issued {
                goods: Goods::Token {
                    claims: claims(env, record, access, payment),
                },
            });
        }
        (Some(access), Some(backend)) => ask_backend(env, record, access, payment, backend)
            .await
            .map(|answer| (access, answer)),
    };
    match outcome {
        Ok((access, answer)) => {
            env.shared().deliveries.worked(env.now());
            let mut claims = claims(env, record, access, payment);
            if let Some(expires_at) = answer.expires_at {
                claims.exp = expires_at.0;
            }
            let sealed = env
                .config()
                .backend
                .credential_key
                .seal(record.challenge_id.as_str(), &answer.body);
            Ok(Event::Issued {
                goods: Goods::Credential { claims, sealed },
            })
        }
        Err(fault) => {
            if !is_first {
                tell_arrived(env, record).await;
            }
            // A plan that is gone says nothing of the deliveries of other plans.
            if is_first && fault != DeliveryFault::PlanGone {
                env.shared().deliveries.failed(env.now());
            }
            env.log("issue_failed", record.terms.request_id.as_str());
            if env.config().refund.wallet.is_none() {
                env.log(
                    "refunds_off",
                    "set KEY0_WALLET_PRIVATE_KEY, or this payment stays without a credential",
                );
            }
            Ok(Event::IssueFailed { fault })
        }
    }
}

/// Tells the payer's book that the money has arrived. Otherwise the book counts the price as under way until the
/// purchase is resolved, which takes time now. The first failure does not tell it yet, because the balance may still be
/// read from a node one block behind; each further failure does.
pub(in crate::purchase) async fn tell_arrived<E: PurchaseEnv>(env: &E, record: &Purchase) {
    let request_id = record.terms.request_id.clone();
    let arrived = PayerCommand::Arrived { request_id };
    if let Err(fault) = env.payer(record.payer, arrived).await {
        env.log("arrival_not_told", &fault.0);
    }
}

/// Asks the backend, and again when it fails. Not after a timeout: the backend may have issued the credential, and the
/// buyer has waited long enough.
async fn ask_backend<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    access: Access<'_>,
    payment: &Payment,
    backend: &IssuingBackend,
) -> Result<IssueAnswer, DeliveryFault> {
    let call = issue_call::call(backend, access.plan, access.sold, record, payment);
    let end = repeats_until(env, record);
    let mut repeats = 0;
    loop {
        let fault = match env.backend(call.clone()).await {
            Ok(answer) => match IssueAnswer::read(answer) {
                Some(answer) => return Ok(answer),
                None => DeliveryFault::Failed,
            },
            Err(fault) => fault,
        };
        let pause = BACKEND_CALL.after(repeats);
        let may_repeat = fault == DeliveryFault::Failed && repeats < backend.retries;
        if !may_repeat || env.now().plus(pause) >= end {
            return Err(fault);
        }
        env.sleep(pause).await;
        // An operator may have ended the purchase meanwhile: then nothing may be issued any more.
        if !matches!(env.store().load(), Ok(Some(stored)) if stored.record.state == record.state) {
            return Err(fault);
        }
        repeats += 1;
    }
}

/// Until when calls of the backend may be repeated: at most until the money is to go back.
fn repeats_until<E: PurchaseEnv>(env: &E, record: &Purchase) -> UnixMillis {
    let end = env.now().plus(BACKEND_CALLS);
    match (&record.state, env.config().policy().refund_after_millis) {
        (State::Paid { since, .. }, Some(age)) => end.min(since.plus(age)),
        _ => end,
    }
}

fn claims<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    Access { plan, sold }: Access<'_>,
    payment: &Payment,
) -> key0_validator::Claims {
    let now = env.now().to_seconds();
    // Without limits nothing is counted, and the token names no grant.
    let is_metered = !sold.limits.is_none();
    key0_validator::Claims {
        sub: record.terms.request_id.to_string(),
        jti: record.challenge_id.to_string(),
        resource_id: record.terms.resource.to_string(),
        plan_id: plan.to_string(),
        tx_hash: payment.transaction.to_string(),
        iat: now.0,
        exp: now.plus(sold.lifetime).0,
        iss: Some(record.issuer.clone()),
        payer: Some(record.payer.to_checksum(None)),
        chain_id: Some(record.terms.network.chain_id()),
        grant: is_metered.then(|| record.terms.request_id.to_string()),
        limits: is_metered.then(|| sold.limits.into()),
    }
}
