//! The challenge: a sealed offer as an authentication challenge, in the header `WWW-Authenticate` or as an object.
//!
//! Nothing is stored with it. When the credential comes back, the challenge is made again, from the offer that its id
//! holds and from the request that brings it, and both must be equal.

use crate::json;
use crate::json::Put as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::names::{CREDENTIAL_TYPE, Field, INTENT, METHOD};
use crate::offer::Offer;

/// The most characters of a description. It is shown to people, and headers are short.
const MAX_DESCRIPTION_CHARS: usize = 120;

/// What a challenge says in addition to the offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The protection space: the public host name.
    pub realm: String,
    /// The SHA-256 of the request's body; `None` without a body.
    pub body: Option<[u8; 32]>,
    /// The header that the credential belongs in.
    pub field: Field,
}

/// A challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    pub(super) id: String,
    pub(super) realm: String,
    /// What is to be paid.
    pub(super) request: Value,
    pub(super) expires: String,
    pub(super) digest: Option<String>,
    pub(super) field: Field,
}

impl Challenge {
    /// The challenge for an offer.
    pub fn new(offer: &Offer, setting: &Setting) -> Self {
        let terms = &offer.terms;
        Self {
            id: offer.id.to_string(),
            realm: setting.realm.clone(),
            request: json!({
                "amount": terms.amount.units().to_string(),
                "currency": terms.network.usdc().to_checksum(None),
                "recipient": terms.pay_to.to_checksum(None),
                "methodDetails": {
                    "chainId": terms.network.chain_id(),
                    "credentialTypes": [CREDENTIAL_TYPE],
                    "decimals": 6,
                },
            }),
            expires: terms.expires_at.to_rfc3339(),
            digest: setting.body.map(|digest| digest_text(&digest)),
            field: setting.field,
        }
    }

    /// The challenge's id: that of the offer.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The challenge as a header's value. Clients show the description to whoever allows the payment.
    pub fn header(&self, description: &str) -> String {
        let description = shown(description);
        let digest = self.digest.as_deref();
        let parameters = [
            ("id", Some(self.id.as_str())),
            ("realm", Some(&self.realm)),
            ("method", Some(METHOD)),
            ("intent", Some(INTENT)),
            ("request", Some(&encoded(&self.request))),
            ("expires", Some(&self.expires)),
            ("digest", digest),
            (
                "description",
                Some(description.as_str()).filter(|text| !text.is_empty()),
            ),
            ("header", self.field.parameter()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}=\"{}\"", quoted(value?))))
        .collect::<Vec<_>>();
        format!("Payment {}", parameters.join(", "))
    }

    /// The challenge as an object, for transports without headers.
    pub fn object(&self, description: &str) -> Value {
        let mut challenge = json!({
            "id": self.id,
            "realm": self.realm,
            "method": METHOD,
            "intent": INTENT,
            "request": self.request,
            "expires": self.expires,
            "description": shown(description),
        });
        if let (Some(digest), Some(members)) = (&self.digest, challenge.as_object_mut()) {
            members.put("digest", json!(digest));
        }
        challenge
    }
}

/// JSON in its canonical form (RFC 8785) as base64url. Our objects have ASCII names, which the map keeps sorted, and no
/// fractions; then the plain form is the canonical one.
pub(super) fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A digest in the form of RFC 9530.
fn digest_text(digest: &[u8; 32]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest))
}

/// Plain ASCII, and not too long.
fn shown(description: &str) -> String {
    let plain = description
        .chars()
        .map(|c| match c.is_ascii() && !c.is_ascii_control() {
            true => c,
            false if c.is_whitespace() => ' ',
            false => '?',
        });
    plain.take(MAX_DESCRIPTION_CHARS).collect()
}

/// The inside of a quoted string (RFC 9110, section 5.6.4).
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}
