//! The way of a request through the door.

use super::answer::{self, Answer};
use super::arrival::Arrival;
use super::request;
use crate::checkout::{Checkout, Deployment, Payment};
use crate::doors::access_request::AccessRequest;
use crate::error::Error;
use crate::limit;
use crate::response::{self, Response};
use crate::x402::{PaymentPayload, Unreadable};

/// Sells a plan: states the price, or takes the payment and answers with the grant.
pub async fn access<D: Deployment>(checkout: &Checkout<'_, D>, arrival: &Arrival<'_>) -> Response {
    let request = AccessRequest::parse(arrival.body);
    let request = match request.and_then(|request| request::named_by(request, arrival.headers)) {
        Ok(request) => request,
        Err(error) => return response::error(&error),
    };
    let payment = request::payment(arrival.headers);
    let is_paying = request.proof.is_some() || !matches!(payment, Ok(None));
    let response = answer_to(checkout, &request, payment).await;
    match is_paying {
        true => limit::judge(response),
        false => response,
    }
}

async fn answer_to<D: Deployment>(
    checkout: &Checkout<'_, D>,
    request: &AccessRequest,
    payment: Result<Option<PaymentPayload>, Unreadable>,
) -> Response {
    let (origin, network) = (&checkout.origin, checkout.config.network);
    let order = request.order();
    if let Some(proof) = &request.proof {
        let Ok(None) = payment else {
            return response::error(&Error::invalid_request(
                "A purchase is paid once: send either proof or a payment header.",
            ));
        };
        let outcome = checkout.redeem(&order, proof).await;
        return Answer::TO_PROOF.tell(checkout, outcome).await;
    }
    if let Some(error) = request.misunderstood(&origin.join("/discover")) {
        return response::error(&error);
    }
    let unreadable = match payment {
        Ok(Some(payment)) => {
            let outcome = checkout.pay(&order, &Payment::from(&payment)).await;
            return Answer::to(&payment).tell(checkout, outcome).await;
        }
        Ok(None) => None,
        Err(unreadable) => Some(unreadable),
    };
    match (checkout.quote(&order), unreadable) {
        (Ok(quote), None) => answer::challenge(checkout, &quote, order.chosen),
        (Ok(quote), Some(unreadable)) => answer::malformed(&unreadable, &quote, origin),
        (Err(why), _) => response::error(&why.error(origin, network)),
    }
}

#[cfg(test)]
mod tests;
