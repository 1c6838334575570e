//! The x402 (version 2) objects: our offer and the outcome.
//! <https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md>
//!
//! What the client echoes decides nothing. It is compared with our own offer and then dropped.

use alloy_primitives::{Address, B256};
use serde::Serialize;
use serde_json::Value;

use super::dialect::Dialect;
use super::extensions;
use super::resource::Resource;
use crate::offer::{Offer, Target, Terms};
use crate::types::Network;

/// The x402 version of our own words.
pub const X402_VERSION: u32 = Dialect::X402V2.x402_version();
/// How long a client should let its authorization be valid.
pub const MAX_TIMEOUT_SECONDS: u32 = 300;
const SCHEME: &str = "exact";

/// What a 402 carries: `PAYMENT-REQUIRED`.
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
    payment_flow: &'static str,
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
    /// How this offer can be paid.
    pub fn new(offer: &Offer) -> Self {
        let mut requirements = Self::without_ids(&offer.terms);
        requirements.extra.challenge_id = Some(offer.id.to_string());
        requirements.extra.request_id = Some(offer.terms.request_id.to_string());
        requirements
    }

    /// How an offer of these terms can be paid, for a client that asks for the price anew with each call and compares: the same
    /// goods at the same price are offered in the same bytes, whenever and to whomever. The id of the purchase follows from the
    /// payment, and the payment is judged by the offer of the moment.
    pub fn without_ids(terms: &Terms) -> Self {
        let (plan_id, route_id) = match &terms.target {
            Target::Plan(id) => (Some(id.to_string()), None),
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
                // We settle before we deliver, and say so.
                payment_flow: "upfront",
                challenge_id: None,
                request_id: None,
                plan_id,
                route_id,
                resource_id: terms.resource.to_string(),
            },
        }
    }

    /// The members of `accepted` that contradict this offer; empty when it is accepted as it stands.
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
            if optional(theirs) && !agree(our_extra.and_then(|extra| extra.get(name)), theirs) {
                wrong.push(name);
            }
        }
        wrong
    }
}

impl PaymentRequired {
    /// The offers, of which one is to be paid; `error` says why payment is needed or what was wrong with the last one. What is
    /// told to catalogues is about the first, which most clients take.
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

    /// The same for a client that has not come by HTTP: how to call by HTTP is left out.
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

/// Equal as x402 compares: addresses and other hex without case, numbers by value (some clients send `300.0`).
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

/// What became of a payment: `PAYMENT-RESPONSE`, or `X-PAYMENT-RESPONSE`.
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
    /// The money arrived.
    pub fn success(dialect: Dialect, transaction: B256, network: Network, payer: Address) -> Self {
        Self {
            success: true,
            error_reason: None,
            transaction: transaction.to_string(),
            network: dialect.name_of(network),
            payer: payer.to_checksum(None),
        }
    }

    /// It did not, or not yet; `transaction` is known once something was broadcast.
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
