//! A facilitator, and the requests to it.
//! <https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md>
//!
//! The request is built from our own terms, never from what the client repeated. It names neither the offer nor the
//! purchase, because whoever knows both of them and the payment can ask for the grant.

use crate::json;
use crate::json::Put as _;

use crate::catalog::Route;
use crate::chain::SignedAuthorization;
use crate::offer::Terms;
use crate::settlement::cdp::{CDP_HOST, CdpKey};
use crate::types::HttpUrl;
use crate::x402::for_facilitators;
use crate::x402::objects::{MAX_TIMEOUT_SECONDS, X402_VERSION};

/// The longest answer of a facilitator that is read. Answers have a few hundred bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A facilitator.
#[derive(Clone, Debug)]
pub struct Facilitator {
    url: HttpUrl,
    key: Option<CdpKey>,
}

impl Facilitator {
    /// The facilitator at this URL. The key is kept only if it is for this facilitator, so that no other facilitator
    /// sees a token.
    pub fn new(url: HttpUrl, key: Option<&CdpKey>) -> Self {
        let key = key.filter(|_| Self::wants_key(&url)).cloned();
        Self { url, key }
    }

    /// Whether the facilitator at this URL requires a key.
    pub fn wants_key(url: &HttpUrl) -> bool {
        url.is_https_at(CDP_HOST)
    }

    /// The facilitator's URL.
    pub fn url(&self) -> &HttpUrl {
        &self.url
    }

    /// The key that authenticates requests to this facilitator.
    pub fn key(&self) -> Option<&CdpKey> {
        self.key.as_ref()
    }
}

/// A call of a facilitator's API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Asks whether the facilitator would settle a payment. Changes nothing.
    Verify,
    /// Asks the facilitator to settle a payment.
    Settle,
    /// Asks which payments the facilitator settles.
    Supported,
}

impl Action {
    /// The HTTP method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Verify | Self::Settle => "POST",
            Self::Supported => "GET",
        }
    }

    /// The path below the facilitator's URL.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Verify => "/verify",
            Self::Settle => "/settle",
            Self::Supported => "/supported",
        }
    }

    /// How long to wait for an answer, in milliseconds.
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
    /// The facilitator.
    pub facilitator: &'a Facilitator,
    /// The call.
    pub action: Action,
    /// The JSON body; empty for a GET.
    pub body: Vec<u8>,
}

/// The body of `verify` and `settle`. `is_upfront`: whether the payment is settled before anything is delivered for it.
/// `route`: the route of a call, if the catalog still has it, for the facilitator's catalogue.
pub fn request(
    terms: &Terms,
    issuer: &str,
    signed: &SignedAuthorization,
    is_upfront: bool,
    route: Option<&Route>,
) -> Vec<u8> {
    let authorization = signed.authorization();
    let mut extra = json!({
        "name": terms.network.usdc_domain_name(),
        "version": terms.network.usdc_domain_version(),
    });
    if let (true, Some(members)) = (is_upfront, extra.as_object_mut()) {
        members.put("paymentFlow", json!("upfront"));
    }
    let requirements = json!({
        "scheme": "exact",
        "network": terms.network.caip2(),
        "amount": terms.amount.units().to_string(),
        "asset": terms.network.usdc().to_string(),
        "payTo": terms.pay_to.to_string(),
        "maxTimeoutSeconds": MAX_TIMEOUT_SECONDS,
        "extra": extra,
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
            "extensions": for_facilitators(&terms.target, route),
        },
        "paymentRequirements": requirements,
    });
    request.to_string().into_bytes()
}
