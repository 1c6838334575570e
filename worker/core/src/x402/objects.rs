//! The x402 (version 2) objects: our offer and the outcome.
//! <https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md>
//!
//! What the client sends back of an offer decides nothing. It is compared with our own offer and then dropped.

use alloy_primitives::{Address, B256};
use serde::Serialize;
use serde_json::Value;

use super::description::Description;
use super::dialect::Dialect;
use super::extensions;
use super::header::encode;
use super::resource::Resource;
use crate::catalog::Route;
use crate::offer::{Offer, Target, Terms};
use crate::types::Network;

/// The x402 version of the objects that we write.
pub const X402_VERSION: u32 = Dialect::X402V2.x402_version();
/// For how long a client should let its authorization be valid.
pub const MAX_TIMEOUT_SECONDS: u32 = 300;
const SCHEME: &str = "exact";
/// The flow in which a payment is settled before anything is delivered for it.
const UPFRONT: &str = "upfront";

/// The content of `PAYMENT-REQUIRED`, the header of a 402.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequired {
    x402_version: u32,
    error: String,
    resource: Resource,
    accepts: Vec<PaymentRequirements>,
    extensions: Value,
}

/// One way to pay.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequirements {
    scheme: &'static str,
    network: &'static str,
    amount: String,
    asset: String,
    pay_to: String,
    max_timeout_seconds: u32,
    extra: RequirementsExtra,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RequirementsExtra {
    name: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_flow: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_id: Option<String>,
    resource_id: String,
}

impl PaymentRequirements {
    /// The way to pay this offer.
    pub fn new(offer: &Offer) -> Self {
        let mut requirements = Self::without_ids(&offer.terms);
        requirements.extra.challenge_id = Some(offer.id.to_string());
        requirements.extra.request_id = Some(offer.terms.request_id.to_string());
        requirements
    }

    /// The way to pay an offer of these terms, for a client that asks for the price anew with each call and compares
    /// the answers: the same goods at the same price are offered in the same bytes, at any time and to any client. The
    /// id of the purchase then follows from the payment, and the payment is judged by the current offer.
    pub fn without_ids(terms: &Terms) -> Self {
        let (plan_id, route_id) = match &terms.target {
            Target::Plan(id) | Target::TopUp { plan: id, .. } => (Some(id.to_string()), None),
            Target::Route { id, .. } => (None, Some(id.to_string())),
        };
        Self {
            scheme: SCHEME,
            network: terms.network.caip2(),
            amount: terms.amount.units().to_string(),
            asset: terms.network.usdc().to_checksum(None),
            pay_to: terms.pay_to.to_checksum(None),
            max_timeout_seconds: MAX_TIMEOUT_SECONDS,
            extra: RequirementsExtra {
                name: terms.network.usdc_domain_name(),
                version: terms.network.usdc_domain_version(),
                // Access is settled before it is delivered. For a call, the terms do not say when it is settled.
                payment_flow: terms.target.plan().map(|_| UPFRONT),
                challenge_id: None,
                request_id: None,
                plan_id,
                route_id,
                resource_id: terms.resource.to_string(),
            },
        }
    }

    /// The members of `accepted` that contradict this offer; empty when the offer was accepted unchanged.
    ///
    /// Scheme, network, amount, asset and recipient must be there and equal. Other members may be missing (hand-written
    /// clients) or additional; where both sides have one, it must be equal.
    pub fn mismatches(&self, accepted: &Value) -> Vec<&'static str> {
        let Ok(ours) = serde_json::to_value(self) else {
            return vec!["accepted"];
        };
        let mut wrong: Vec<&'static str> = ["scheme", "network", "amount", "asset", "payTo"]
            .into_iter()
            .filter(|name| !agree(ours.get(*name), accepted.get(*name)))
            .collect();
        let optional = |theirs: Option<&Value>| theirs.is_some_and(|value| !value.is_null());
        let timeout = accepted.get("maxTimeoutSeconds");
        if optional(timeout) && !agree(ours.get("maxTimeoutSeconds"), timeout) {
            wrong.push("maxTimeoutSeconds");
        }
        let (our_extra, their_extra) = (ours.get("extra"), accepted.get("extra"));
        for name in [
            "name",
            "version",
            "paymentFlow",
            "challengeId",
            "requestId",
            "planId",
            "routeId",
            "resourceId",
        ] {
            let theirs = their_extra.and_then(|extra| extra.get(name));
            // The catalog says when a call is settled; the terms do not.
            let is_open = name == "paymentFlow" && self.extra.payment_flow.is_none();
            if !is_open
                && optional(theirs)
                && !agree(our_extra.and_then(|extra| extra.get(name)), theirs)
            {
                wrong.push(name);
            }
        }
        wrong
    }
}

impl PaymentRequired {
    /// The offers, one of which is to be paid. `error` says why a payment is needed, or what was wrong with the last
    /// payment. The extensions for catalogues describe the first offer, which most clients take.
    pub fn new<'a>(
        first: &'a Offer,
        more: impl IntoIterator<Item = &'a Offer>,
        resource: Resource,
        error: &str,
    ) -> Self {
        let offers = core::iter::once(first).chain(more);
        Self {
            x402_version: X402_VERSION,
            error: error.to_owned(),
            resource,
            accepts: offers.map(PaymentRequirements::new).collect(),
            extensions: extensions::advertised(&first.terms.target),
        }
    }

    /// Adds the description of this route for catalogues: as much of it as fits into a header of `most` characters.
    #[must_use]
    pub fn describing(mut self, route: &Route, most: usize) -> Self {
        let mut description = Description::of(route);
        loop {
            description.say_in(&mut self.extensions);
            let fits = encode(&self).is_some_and(|text| text.len() <= most);
            if fits || !description.shorten() {
                return self;
            }
        }
    }

    /// Says that the payment is settled before the call is made.
    #[must_use]
    pub fn upfront(mut self) -> Self {
        for requirements in &mut self.accepts {
            requirements.extra.payment_flow = Some(UPFRONT);
        }
        self
    }

    /// Leaves out the instructions for HTTP, for a client that does not use HTTP.
    #[must_use]
    pub fn elsewhere(self) -> Self {
        Self {
            extensions: Value::Object(extensions::for_clients()),
            ..self
        }
    }

    /// One offer without ids, see [`PaymentRequirements::without_ids`].
    pub fn without_ids(terms: &Terms, resource: Resource, error: &str) -> Self {
        Self {
            x402_version: X402_VERSION,
            error: error.to_owned(),
            resource,
            accepts: vec![PaymentRequirements::without_ids(terms)],
            extensions: extensions::advertised(&terms.target),
        }
    }
}

/// Whether two values are equal in the sense of x402: addresses and other hex without regard to case, numbers by value
/// (some clients send `300.0`).
fn agree(ours: Option<&Value>, theirs: Option<&Value>) -> bool {
    match (ours, theirs) {
        (Some(Value::String(ours)), Some(Value::String(theirs))) => {
            ours == theirs || (ours.starts_with("0x") && ours.eq_ignore_ascii_case(theirs))
        }
        (Some(Value::Number(ours)), Some(Value::Number(theirs))) => {
            ours.as_f64() == theirs.as_f64()
        }
        _ => false,
    }
}

/// The outcome of a payment: the content of `PAYMENT-RESPONSE`, or `X-PAYMENT-RESPONSE`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettleResponse {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_reason: Option<&'static str>,
    /// The transaction's hash; empty when nothing was broadcast.
    transaction: String,
    network: &'static str,
    payer: String,
}

impl SettleResponse {
    /// The outcome when the money has arrived.
    pub fn success(dialect: Dialect, transaction: B256, network: Network, payer: Address) -> Self {
        Self {
            success: true,
            error_reason: None,
            transaction: transaction.to_string(),
            network: dialect.name_of(network),
            payer: payer.to_checksum(None),
        }
    }

    /// The outcome of a payment that has not succeeded, or not yet. `transaction` is known once something was
    /// broadcast.
    pub fn failure(
        dialect: Dialect,
        reason: &'static str,
        transaction: Option<B256>,
        network: Network,
        payer: Address,
    ) -> Self {
        Self {
            success: false,
            error_reason: Some(reason),
            transaction: transaction.map(|hash| hash.to_string()).unwrap_or_default(),
            network: dialect.name_of(network),
            payer: payer.to_checksum(None),
        }
    }
}

#[cfg(test)]
mod tests;
