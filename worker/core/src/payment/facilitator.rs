//! A facilitator: what it is asked, and how its answers are read (x402 sheet, section 6).
//!
//! What is sent is built from our own terms, never from what the client echoed; and it names neither challenge nor request,
//! because who knows both these and the payment can ask for the grant. An answer is only a claim. What it says of money is
//! checked on the chain before it counts.

use alloy_primitives::B256;
use serde_json::Value;

use super::authorization::{Authorization, SignedAuthorization};
use super::cdp::{CDP_HOST, CdpKey};
use super::extensions;
use super::offer::{MAX_TIMEOUT_SECONDS, X402_VERSION};
use super::refusal::Refusal;
use crate::challenge::Terms;
use crate::types::{HttpUrl, Network};

/// Facilitators answer in a few hundred bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
const MAX_LOGGED_CHARS: usize = 100;

/// A facilitator.
#[derive(Clone, Debug)]
pub struct Facilitator {
    url: HttpUrl,
    key: Option<CdpKey>,
}

impl Facilitator {
    /// The facilitator at this URL. The key is kept only for the one that it belongs to, so that no other ever sees a token.
    pub fn new(url: HttpUrl, key: Option<&CdpKey>) -> Self {
        let key = key.filter(|_| Self::wants_key(&url)).cloned();
        Self { url, key }
    }

    /// Whether the facilitator at this URL answers only with a key.
    pub fn wants_key(url: &HttpUrl) -> bool {
        url.is_https_at(CDP_HOST)
    }

    /// Where it is.
    pub fn url(&self) -> &HttpUrl {
        &self.url
    }

    /// What its requests are authenticated with.
    pub fn key(&self) -> Option<&CdpKey> {
        self.key.as_ref()
    }
}

/// What a facilitator is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Would you settle this payment? Changes nothing.
    Verify,
    /// Settle it.
    Settle,
    /// What do you settle?
    Supported,
}

impl Action {
    /// The method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Verify | Self::Settle => "POST",
            Self::Supported => "GET",
        }
    }

    /// The path behind the facilitator's URL.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Verify => "/verify",
            Self::Settle => "/settle",
            Self::Supported => "/supported",
        }
    }

    /// How long an answer is waited for, in milliseconds.
    pub const fn deadline_millis(self) -> u32 {
        match self {
            Self::Verify => 8_000,
            Self::Settle => 20_000,
            Self::Supported => 5_000,
        }
    }
}

/// One request to a facilitator.
#[derive(Clone, Debug)]
pub struct FacilitatorCall<'a> {
    /// Who is asked.
    pub facilitator: &'a Facilitator,
    /// What.
    pub action: Action,
    /// The JSON body; empty for a GET.
    pub body: Vec<u8>,
}

/// The body of `verify` and `settle`. Every value is hex, digits or a word of ours and needs no escaping, except the URL.
pub fn request(terms: &Terms, issuer: &str, signed: &SignedAuthorization) -> Vec<u8> {
    let Authorization {
        from,
        to,
        value,
        valid_after,
        valid_before,
        nonce,
    } = signed.authorization();
    let requirements = format!(
        concat!(
            r#"{{"scheme":"exact","network":"{}","amount":"{}","asset":"{}","payTo":"{}","maxTimeoutSeconds":{},"#,
            r#""extra":{{"name":"{}","version":"{}","paymentFlow":"upfront"}}}}"#,
        ),
        terms.network.caip2(),
        terms.amount.units(),
        terms.network.usdc(),
        terms.pay_to,
        MAX_TIMEOUT_SECONDS,
        terms.network.usdc_domain_name(),
        terms.network.usdc_domain_version(),
    );
    let payload = format!(
        concat!(
            r#"{{"signature":"{}","authorization":{{"from":"{}","to":"{}","value":"{}","#,
            r#""validAfter":"{}","validBefore":"{}","nonce":"{}"}}}}"#,
        ),
        signed.signature_hex(),
        from,
        to,
        value,
        valid_after,
        valid_before,
        nonce,
    );
    let url = Value::from(format!("{issuer}/x402/access"));
    let bazaar = extensions::bazaar(&terms.target);
    format!(
        concat!(
            r#"{{"x402Version":2,"paymentPayload":{{"x402Version":2,"resource":{{"url":{}}},"#,
            r#""accepted":{},"payload":{},"extensions":{{"bazaar":{}}}}},"paymentRequirements":{}}}"#,
        ),
        url, requirements, payload, bazaar, requirements,
    )
    .into_bytes()
}

/// What a facilitator says to `verify`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verification {
    /// It would settle.
    Valid,
    /// It would not.
    Invalid {
        /// Why, in our words.
        reason: Refusal,
        /// Why, in its own; for the log.
        said: String,
    },
}

impl Verification {
    /// Reads a body. The status says nothing that the body does not. `None` for what is no such answer.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        if answer.get("isValid")?.as_bool()? {
            return Some(Self::Valid);
        }
        let said = reason(&answer, "invalidReason", "invalid_reason");
        Some(Self::Invalid {
            reason: Refusal::of_facilitator(said).unwrap_or(Refusal::UnexpectedSettleError),
            said: logged(said),
        })
    }
}

/// What a facilitator says to `settle`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settled {
    /// It names a transaction; whether that one succeeded is for the chain to say.
    Named(B256),
    /// It has broadcast nothing, or nothing that moved money, and will not.
    Declined {
        /// Why, in our words.
        reason: Refusal,
        /// Why, in its own; for the log.
        said: String,
    },
    /// Whether it has broadcast anything is not known. For the log: what it said.
    Unclear(String),
}

impl Settled {
    /// Reads a body. The status says nothing that the body does not.
    pub fn parse(body: &[u8]) -> Self {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else {
            return Self::Unclear("no JSON".to_owned());
        };
        let Some(success) = answer.get("success").and_then(Value::as_bool) else {
            return Self::Unclear("no member `success`".to_owned());
        };
        if let Some(hash) = answer.get("transaction").and_then(transaction_hash) {
            return Self::Named(hash);
        }
        if success {
            return Self::Unclear("success without a transaction".to_owned());
        }
        let said = reason(&answer, "errorReason", "error_reason");
        match Refusal::of_facilitator(said) {
            Some(reason) => Self::Declined {
                reason,
                said: logged(said),
            },
            // It may mean "I gave up waiting for what I have broadcast".
            None => Self::Unclear(logged(said)),
        }
    }
}

/// Whether a facilitator says that it settles `exact` payments of x402 version 2 on this network. `None` for what is no such
/// answer.
pub fn supports(body: &[u8], network: Network) -> Option<bool> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let kinds = answer.get("kinds")?.as_array()?;
    Some(kinds.iter().any(|kind| {
        let is = |name: &str, value: &str| kind.get(name).and_then(Value::as_str) == Some(value);
        kind.get("x402Version").and_then(Value::as_u64) == Some(u64::from(X402_VERSION))
            && is("scheme", "exact")
            && (is("network", network.caip2()) || is("network", "eip155:*"))
    }))
}

fn reason<'a>(answer: &'a Value, name: &str, snake: &str) -> &'a str {
    let member = |name| answer.get(name).and_then(Value::as_str);
    member(name).or_else(|| member(snake)).unwrap_or_default()
}

/// The facilitator's own word, short and printable.
fn logged(said: &str) -> String {
    said.chars()
        .filter(char::is_ascii_graphic)
        .take(MAX_LOGGED_CHARS)
        .collect()
}

fn transaction_hash(value: &Value) -> Option<B256> {
    let text = value.as_str()?;
    let hash: B256 = text.starts_with("0x").then(|| text.parse().ok())??;
    (!hash.is_zero()).then_some(hash)
}

#[cfg(test)]
mod tests;
