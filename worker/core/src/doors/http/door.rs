//! The way of a request through the door.

use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::answer::{self, Answer, Place};
use super::arrival::Arrival;
use super::request;
use crate::checkout::{Calls, Checkout, Deployment, Order, Outcome, Payment, Phase, Quote, Stop};
use crate::doors::access_request::{AccessRequest, CallRequest};
use crate::doors::described::Described;
use crate::doors::mpp::{self, Presented, Side};
use crate::doors::{former, free, misplaced};
use crate::error::Error;
use crate::limit;
use crate::pauses::Patience;
use crate::response::{self, Response};
use crate::x402::{PaymentPayload, Unreadable};

/// Where a payment belongs in a request; the end of a sentence.
const PLACE: &str =
    "as base64 of its JSON in the header PAYMENT-SIGNATURE (x402 version 1: X-PAYMENT)";

/// Sells a plan: states the price, or takes the payment and answers with the grant.
pub async fn access<D: Deployment>(checkout: &Checkout<'_, D>, arrival: &Arrival<'_>) -> Response {
    let request = AccessRequest::parse(arrival.body);
    let request = match request.and_then(|request| request::named_by(request, arrival.headers)) {
        Ok(request) => request.resolved(checkout).await,
        Err(error) => Err(error),
    };
    let request = match request {
        Ok(request) => request,
        Err(error) => return response::error(&error),
    };
    let payment = request::payment(arrival.headers);
    let body = (!arrival.body.is_empty()).then(|| Sha256::digest(arrival.body).into());
    let side = Side::new(checkout, arrival.headers, body, None);
    let presented = side
        .as_ref()
        .map_or(Presented::Nothing, |side| side.presented(arrival.headers));
    let is_paying = request.proof.is_some()
        || !matches!((&payment, &presented), (Ok(None), Presented::Nothing));
    let paying = (payment, &presented);
    let response = answer_to(checkout, &request, paying, arrival.headers, side.as_ref()).await;
    match is_paying {
        true => limit::judge(response),
        false => response,
    }
}

/// `paying`: the payment by x402, and that by the Machine Payments Protocol.
async fn answer_to<D: Deployment>(
    checkout: &Checkout<'_, D>,
    request: &AccessRequest,
    paying: (Result<Option<PaymentPayload>, Unreadable>, &Presented),
    headers: &HeaderMap,
    side: Option<&Side>,
) -> Response {
    let origin = &checkout.origin;
    let (payment, presented) = paying;
    let is_accredited = !matches!(presented, Presented::Nothing);
    if matches!(presented, Presented::Several) || (is_accredited && request.proof.is_some()) {
        return mpp::several();
    }
    let described = match &request.call {
        Some(call) => {
            let CallRequest { route, resource } = call;
            let catalog = &checkout.config.catalog;
            match Described::read(catalog, origin, route, resource.as_ref()) {
                Ok(described) => Some(described),
                Err(error) => return response::error(&error),
            }
        }
        None => None,
    };
    let url = described.as_ref().map(|described| described.url(origin));
    let place = Place {
        origin,
        catalog: &checkout.config.catalog,
        called: None,
        described: url.as_deref(),
        mpp: side,
    };
    let timeout = checkout.config.gateway.timeout_millis;
    let order = match &described {
        Some(described) => request.order_for(&described.call, timeout),
        None => request.order(),
    };
    if let Some(proof) = &request.proof {
        let Ok(None) = payment else {
            return response::error(&Error::invalid_request(
                "A purchase is paid once: send either proof or a payment header.",
            ));
        };
        let outcome = checkout.redeem(&order, proof).await;
        return Answer::to_proof(place).tell(checkout, outcome).await;
    }
    let misplaced = || {
        request
            .misplaced
            .clone()
            .or_else(|| misplaced::in_header(headers))
    };
    if let (Ok(None), false, Some(place)) = (&payment, is_accredited, misplaced()) {
        return response::error(&place.error("body", PLACE));
    }
    if let Some(error) = request.misunderstood(&origin.join("/discover")) {
        return response::error(&error);
    }
    if let Some(described) = &described {
        if described.call.route.price.is_none() {
            return match free::call(checkout, described, order.request_id.as_ref()).await {
                Ok(goods) => answer::told(checkout, &goods, None),
                Err(error) => response::error(&error),
            };
        }
        checkout.deployment.purchases().bring(described.brought());
    }
    let with = |answer: &dyn Fn(&Quote<'_>) -> Response| match checkout.quote(&order) {
        Ok(quote) => answer(&quote),
        Err(why) => response::error(&why.error(origin, checkout.config.network)),
    };
    let call = described.as_ref();
    match (presented, payment) {
        (Presented::Credential(paid), _) => {
            let outcome = paid_for(checkout, &order, &paid.payment(), call).await;
            let answer = Answer::to_credential(paid, &order, place);
            answer.tell(checkout, outcome).await
        }
        (Presented::Unreadable(fault), _) => with(&|quote| answer::misread(fault, quote, place)),
        (_, Ok(Some(payment))) => {
            let outcome = paid_for(checkout, &order, &(&payment).into(), call).await;
            Answer::to(&payment, place).tell(checkout, outcome).await
        }
        (_, Err(unreadable)) => with(&|quote| answer::malformed(&unreadable, quote, place)),
        (_, Ok(None)) => with(&|quote| match &request.call {
            Some(call) => {
                let body = call.body(request.request_id.as_ref());
                answer::described_challenge(checkout, quote, place, body)
            }
            None => answer::challenge(checkout, quote, order.chosen, place),
        }),
    }
}

/// Presents a payment for a plan, or for the call that is described.
async fn paid_for<'a, D: Deployment>(
    checkout: &Checkout<'a, D>,
    order: &Order,
    payment: &Payment<'_>,
    described: Option<&Described<'_>>,
) -> Outcome<'a> {
    if let Some(described) = described {
        let (sent, vary) = (described.sent(), &described.call.route.vary);
        return former::pay(checkout, order, payment, &sent, vary).await;
    }
    match without_its_call(checkout, order, payment).await {
        Some(outcome) => outcome,
        None => checkout.pay(order, payment).await,
    }
}

/// The outcome of a payment for a call that came without the call, so that nothing can be called. If the call was made
/// before, its answer may still be had. `None` if the payment is not for a call.
async fn without_its_call<'a, D: Deployment>(
    checkout: &Checkout<'a, D>,
    order: &Order,
    payment: &Payment<'_>,
) -> Option<Outcome<'a>> {
    let offer = checkout.config.offers.keys.open(payment.challenge_id?)?;
    let why = Stop::without_its_call(&offer.terms, &checkout.config.catalog)?;
    if order.target.is_some() {
        // The order is for something else, which the payment contradicts.
        return None;
    }
    let order = Order {
        patience: Patience::NONE,
        ..order.clone()
    };
    Some(match checkout.recall(&order, payment).await {
        Some(
            Outcome::PayAgain { .. }
            | Outcome::Pending {
                phase: Phase::Calling,
                ..
            },
        )
        | None => Outcome::Stopped { why },
        Some(outcome) => outcome,
    })
}

#[cfg(test)]
mod tests;
