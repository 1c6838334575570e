//! Calls that were paid for before the seller changed their route.
//!
//! A payment is bound to the digest of its call, and a route that was renamed, respelt or given further `vary` headers
//! gives the same call another digest. Such a payment must not be answered with a new offer: its purchase may be
//! delivered, and its buyer would pay twice for one call. So the purchase is asked, and begins nothing.

use http::HeaderName;

use super::call::Sent;
use crate::checkout::{Checkout, Deployment, Order, Outcome, Payment, Stop};
use crate::offer::Target;
use crate::pauses::Patience;

/// Presents a payment for the call that is ordered. If it was for a call of the route as it was before, that purchase is
/// asked, and no other begins.
pub(super) async fn pay<'a, D: Deployment>(
    checkout: &Checkout<'a, D>,
    order: &Order,
    payment: &Payment<'_>,
    sent: &Sent<'_>,
    vary: &[HeaderName],
) -> Outcome<'a> {
    match outcome(checkout, order, payment, sent, vary).await {
        Some(outcome) => outcome,
        None => checkout.pay(order, payment).await,
    }
}

/// What became of a payment for a call of a route as it was before. `vary`: the headers that the route varies by now.
///
/// `None` if the payment is for what is ordered, for no call, or has begun nothing: then a new offer is safe. Where the
/// payment has begun a purchase and this is not known to be the same call, the answer is that the payment is taken.
pub(super) async fn outcome<'a, D: Deployment>(
    checkout: &Checkout<'a, D>,
    order: &Order,
    payment: &Payment<'_>,
    sent: &Sent<'_>,
    vary: &[HeaderName],
) -> Option<Outcome<'a>> {
    let offer = checkout.config.offers.keys.open(payment.challenge_id?)?;
    let terms = offer.terms;
    let Target::Route { call, .. } = &terms.target else {
        return None;
    };
    if order.target.as_ref() == Some(&terms.target) {
        return None;
    }
    let is_same = sent.had(*call, &terms.resource, vary);
    let order = Order {
        target: Some(terms.target.clone()),
        resource: None,
        patience: Patience::REQUEST,
        ..order.clone()
    };
    match checkout.recall(&order, payment).await? {
        Outcome::PayAgain { .. } => None,
        Outcome::Stopped {
            why: Stop::PaymentUnchecked,
        } => Some(Outcome::Stopped {
            why: Stop::PaymentUnchecked,
        }),
        outcome if is_same => Some(outcome),
        _ => Some(Outcome::Stopped { why: Stop::Taken }),
    }
}
