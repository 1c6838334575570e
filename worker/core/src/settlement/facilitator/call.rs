//! A facilitator, and what it is asked.
//! <https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md>
//!
//! What is sent is built from our own terms, never from what the client echoed; and it names neither offer nor request,
//! because who knows both these and the payment can ask for the grant.

use serde_json::json;

use crate::chain::SignedAuthorization;
use crate::offer::Terms;
use crate::settlement::cdp::{CDP_HOST, CdpKey};
use crate::types::HttpUrl;
use crate::x402::extensions;
use crate::x402::objects::{MAX_TIMEOUT_SECONDS, X402_VERSION};

/// Facilitators answer in a few hundred bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

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

/// The body of `verify` and `settle`.
pub fn request(terms: &Terms, issuer: &str, signed: &SignedAuthorization) -> Vec<u8> {
    let authorization = signed.authorization();
    let requirements = json!({
        "scheme": "exact",
        "network": terms.network.caip2(),
        "amount": terms.amount.units().to_string(),
        "asset": terms.network.usdc().to_string(),
        "payTo": terms.pay_to.to_string(),
        "maxTimeoutSeconds": MAX_TIMEOUT_SECONDS,
        "extra": {
            "name": terms.network.usdc_domain_name(),
            "version": terms.network.usdc_domain_version(),
            "paymentFlow": "upfront",
        },
    });
    let request = json!({
        "x402Version": X402_VERSION,
        "paymentPayload": {
            "x402Version": X402_VERSION,
            "resource": {"url": terms.url(issuer)},
            "accepted": requirements,
            "payload": {
                "signature": signed.signature_hex(),
                "authorization": {
                    "from": authorization.from.to_string(),
                    "to": authorization.to.to_string(),
                    "value": authorization.value.to_string(),
                    "validAfter": authorization.valid_after.to_string(),
                    "validBefore": authorization.valid_before.to_string(),
                    "nonce": authorization.nonce,
                },
            },
            "extensions": extensions::for_catalogues(&terms.target),
        },
        "paymentRequirements": requirements,
    });
    request.to_string().into_bytes()
}
