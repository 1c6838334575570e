//! The way of a request through the door.

use super::answer::{self, Answer};
use super::arrival::Arrival;
use super::request::{self, AccessRequest};
use crate::checkout::{Checkout, Deployment, Payment};
use crate::error::Error;
use crate::limit;
use crate::response::{self, Response};

/// Sells a plan: states the price, or takes the payment and answers with the grant.
pub async fn access<D: Deployment>(checkout: &Checkout<'_, D>, arrival: &Arrival<'_>) -> Response {
    let (origin, network) = (&checkout.origin, checkout.config.network);
    let request = AccessRequest::parse(arrival.body);
    let request = match request.and_then(|request| request.named_by(arrival.headers)) {
        Ok(request) => request,
        Err(error) => return response::error(&error),
    };
    let payment = request::payment(arrival.headers);
    let order = request.order();
    if let Some(proof) = &request.proof {
        return limit::judge(match payment {
            Ok(None) => {
                let outcome = checkout.redeem(&order, proof).await;
                Answer::TO_PROOF.tell(checkout, outcome).await
            }
            _ => response::error(&Error::invalid_request(
                "A purchase is paid once: send either proof or a payment header.",
            )),
        });
    }
    if let Some(error) = request.misunderstood(&origin.join("/discover")) {
        let refusal = response::error(&error);
        return match payment {
            Ok(None) => refusal,
            _ => limit::judge(refusal),
        };
    }
    let payment = match payment {
        Ok(Some(payment)) => payment,
        Ok(None) => {
            return match checkout.quote(&order) {
                Ok(quote) => answer::challenge(checkout, &quote, order.chosen),
                Err(why) => response::error(&why.error(origin, network)),
            };
        }
        Err(unreadable) => {
            return limit::judge(match checkout.quote(&order) {
                Ok(quote) => answer::malformed(&unreadable, &quote, origin),
                Err(why) => response::error(&why.error(origin, network)),
            });
        }
    };
    let outcome = checkout.pay(&order, &Payment::from(&payment)).await;
    limit::judge(Answer::to(&payment).tell(checkout, outcome).await)
}

#[cfg(test)]
mod tests;
