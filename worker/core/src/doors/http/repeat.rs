//! A payment that is presented again after the seller has changed a price, the wallet or the catalog.
//!
//! A payment that brings its offer back is judged by that. One that does not (no client of version 1 does) is judged by the
//! offer of the moment, and refused for what only the seller has changed meanwhile. Its client would then pay anew, also if
//! the first payment was taken and only the answer was lost. So such a payment is first held against itself: its signature must
//! be the payer's, for whomever and over whatever it was made. Then its purchase is asked, which answers if it has begun
//! already, for that wallet and over that amount, and never begins by this.

use super::arrival::Arrival;
use super::request::AccessRequest;
use crate::book::TargetKey;
use crate::chain::usdc::payment_fingerprint;
use crate::chain::{Chain, Presented};
use crate::config::Config;
use crate::offer::Target;
use crate::purchase::{Pay, PayReply, Purchases, purchase};
use crate::response::Response;
use crate::types::{RequestId, UsdcAmount};
use crate::x402::PaymentPayload;

use super::answer;

/// The request id of a payment whose client names none.
pub(super) fn derived(config: &Config, payment: &PaymentPayload) -> RequestId {
    let authorization = &payment.authorization;
    let (from, nonce) = (authorization.from, authorization.nonce);
    RequestId::derived(&payment_fingerprint(config.network, from, nonce))
}

/// What is asked about: plan and resource only if the client named them. The plan may have opened another resource first, and
/// another plan may have been the cheapest one; then the record says what was bought.
pub(super) fn target(request: &AccessRequest) -> TargetKey {
    match (request.plan.clone().map(Target::Plan), &request.resource) {
        (Some(target), Some(resource)) => TargetKey::new(&target, resource),
        (Some(target), None) => TargetKey::of_any_resource(&target),
        (None, resource) => TargetKey::of_any_plan(resource.as_ref()),
    }
}

/// What the purchase of this payment answers, and its request id. `None`: as far as anybody may know there is none, and today's
/// refusal stands.
pub(super) async fn outcome<P: Purchases, C: Chain>(
    config: &Config,
    purchases: &P,
    chain: &C,
    request: &AccessRequest,
    payment: &PaymentPayload,
) -> Option<(PayReply, RequestId)> {
    let target = target(request);
    let request_id = match (&request.request_id, payment.challenge_id()) {
        (Some(id), _) => id.clone(),
        (None, Some(sealed)) => config.seal_keys.open(sealed)?.terms.request_id,
        (None, None) => derived(config, payment),
    };
    let claimed = &payment.authorization;
    let presented = Presented::new(
        claimed.clone(),
        &payment.signature,
        config.network,
        claimed.to,
        UsdcAmount::from_units(u64::try_from(claimed.value).ok()?),
    );
    let reply = match presented.ok()?.prove(chain, &config.wallet_factories).await {
        Ok(Ok(authorization)) => {
            let pay = Pay {
                request_id: request_id.clone(),
                authorization,
                identifier: payment.identifier,
                target,
                sale: None,
            };
            // An outcome that cannot be had now is not known; a new offer would invite a second payment.
            purchase(purchases, pay)
                .await
                .unwrap_or(PayReply::Pending { transaction: None })
        }
        Ok(Err(_)) => return None,
        Err(_) => PayReply::Unavailable,
    };
    (reply != PayReply::Conflict).then_some((reply, request_id))
}

/// The answer to a payment for what is not in the catalog (any more). `None`: it is refused as what is not there.
pub(super) async fn answer<P: Purchases, C: Chain>(
    config: &Config,
    purchases: &P,
    chain: &C,
    arrival: &Arrival<'_>,
    request: &AccessRequest,
    payment: &PaymentPayload,
) -> Option<Response> {
    let (reply, request_id) = outcome(config, purchases, chain, request, payment).await?;
    if let PayReply::Refused { .. } = reply {
        // There is nothing that could be offered instead.
        return None;
    }
    let context = answer::Context {
        config,
        origin: &arrival.origin,
        version: payment.version,
        payer: payment.authorization.from,
        offer: None,
    };
    let (rsa, random) = (arrival.rsa, arrival.random);
    Some(context.outcome(rsa, reply, &request_id, random).await)
}
