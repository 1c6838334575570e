//! How small a door can be. Built for tests only; docs/architecture.md shows what follows the imports.

use crate::json;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::Value;

use crate::checkout::{Checkout, Claim, Deployment, Order, Outcome, Payment, Quote, TransferProof};
use crate::error::Error;
use crate::limit;
use crate::offer::Target;
use crate::pauses::Patience;
use crate::response::{self, Response};
use crate::types::PlanId;
use crate::x402::{Dialect, PaymentPayload, PaymentRequired, Resource};

/// A message that a client sends.
pub(super) enum Message {
    Price(PlanId),
    Pay(PlanId, Value),
    Redeem(TransferProof),
    /// A pending outcome has a claim. The door keeps it under a random id, and the client sends the id.
    AskAgain(Claim),
}

pub(super) async fn answer<D: Deployment>(
    checkout: &Checkout<'_, D>,
    message: Message,
) -> Response {
    let (origin, network) = (&checkout.origin, checkout.config.network);
    let order = |plan| Order {
        target: Some(Target::Plan(plan)),
        ..Order::default()
    };
    let offers = |quote: &Quote<'_>| {
        let (offer, description) = (&quote.first.offer, &quote.first.description);
        let resource = Resource::json(&offer.terms.url(origin.as_str()), description);
        PaymentRequired::new(offer, [], resource, "Payment required")
    };
    let outcome = match message {
        Message::Price(plan) => match checkout.quote(&order(plan)) {
            Ok(quote) => return response::json(StatusCode::OK, &offers(&quote)),
            Err(why) => return response::error(&why.error(origin, network)),
        },
        Message::Pay(plan, payment) => match PaymentPayload::parse(Dialect::X402V2, &payment) {
            Ok(payment) => checkout.pay(&order(plan), &Payment::from(&payment)).await,
            Err(fault) => return response::error(&Error::invalid_request(fault.message)),
        },
        Message::Redeem(proof) => checkout.redeem(&Order::default(), &proof).await,
        Message::AskAgain(claim) => checkout.status(&claim, Patience::NONE).await,
    };
    let (name, value) = match &outcome {
        Outcome::Granted { goods, .. } => match checkout.grant(goods).await {
            Ok(grant) => ("grant", json!(grant)),
            Err(_) => return response::error(&Error::internal()),
        },
        Outcome::Pending { .. } => ("pending", json!(outcome.reason())),
        Outcome::PayAgain { quote, .. } => ("offers", json!(quote.as_ref().map(offers))),
        Outcome::Stopped { .. } => ("stopped", json!(outcome.reason())),
    };
    let error = outcome.error(origin, network);
    let body = json!({name: value, "error": error.as_ref().map(Error::body)});
    let status = error.map_or(StatusCode::OK, |error| error.code.status());
    let mut response = limit::judge(response::json(status, &body));
    if let Some(seconds) = outcome.retry_after(checkout.now) {
        response::set(&mut response, RETRY_AFTER, &seconds.to_string());
    }
    match outcome.is_unchecked() {
        true => limit::counted(response),
        false => response,
    }
}

#[cfg(test)]
mod tests;
