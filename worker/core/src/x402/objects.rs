//! The x402 (version 2) objects: our offer and the outcome.
//! <https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md>
//!
//! What the client echoes decides nothing. It is compared with our own offer and then dropped.

use alloy_primitives::{Address, B256};
use serde::Serialize;
use serde_json::Value;

use super::extensions;
use crate::offer::{Offer, Target};
use crate::types::{HttpUrl, Network};

/// The x402 version of our own words.
pub const X402_VERSION: u32 = 2;
/// How long a client should let its authorization be valid.
pub const MAX_TIMEOUT_SECONDS: u32 = 300;
const SCHEME: &str = "exact";

/// What a 402 carries: `PAYMENT-REQUIRED`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequired {
    x402_version: u32,
    error: String,
    resource: ResourceInfo,
    accepts: Vec<PaymentRequirements>,
    extensions: Value,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceInfo {
    url: String,
    description: String,
    mime_type: &'static str,
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
    challenge_id: String,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_id: Option<String>,
    resource_id: String,
}

impl PaymentRequirements {
    /// How this offer can be paid.
    pub fn new(offer: &Offer) -> Self {
        let terms = &offer.terms;
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
                challenge_id: offer.id.to_string(),
                request_id: terms.request_id.to_string(),
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
        description: &str,
        origin: &HttpUrl,
        error: &str,
    ) -> Self {
        let purchases = core::iter::once(first).chain(more);
        Self {
            x402_version: X402_VERSION,
            error: error.to_owned(),
            resource: ResourceInfo {
                url: origin.join("/x402/access"),
                description: ascii(description),
                mime_type: "application/json",
            },
            accepts: purchases.map(PaymentRequirements::new).collect(),
            extensions: extensions::advertised(&first.terms.target),
        }
    }
}

/// Some clients encode what they echo with a function that knows only Latin-1 (`btoa`), so the offer is
/// plain ASCII; the catalog keeps the seller's text.
pub(super) fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{2010}'..='\u{2015}' => '-',
            '\u{2018}' | '\u{2019}' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            c if c.is_ascii() && !c.is_ascii_control() => c,
            c if c.is_whitespace() => ' ',
            _ => '?',
        })
        .collect()
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

/// What a client speaks, and is answered in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// Version 1: `X-PAYMENT`.
    V1,
    /// Version 2: `PAYMENT-SIGNATURE`.
    V2,
}

impl Version {
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => X402_VERSION,
        }
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
    pub fn success(version: Version, transaction: B256, network: Network, payer: Address) -> Self {
        Self {
            success: true,
            error_reason: None,
            transaction: transaction.to_string(),
            network: name_of(network, version),
            payer: payer.to_checksum(None),
        }
    }

    /// It did not, or not yet; `transaction` is known once something was broadcast.
    pub fn failure(
        version: Version,
        reason: &'static str,
        transaction: Option<B256>,
        network: Network,
        payer: Address,
    ) -> Self {
        Self {
            success: false,
            error_reason: Some(reason),
            transaction: transaction.map(|hash| hash.to_string()).unwrap_or_default(),
            network: name_of(network, version),
            payer: payer.to_checksum(None),
        }
    }
}

const fn name_of(network: Network, version: Version) -> &'static str {
    match version {
        Version::V1 => network.v1_name(),
        Version::V2 => network.caip2(),
    }
}

#[cfg(test)]
mod tests;
