//! The credential: what a client sends back of a challenge, and the payment that it has signed for it.

use serde_json::{Map, Value};

use super::fault::Fault;
use super::names::{CREDENTIAL_TYPE, INTENT, METHOD};
use crate::x402::header;
use crate::x402::{Authorization, Paths, read_authorization, read_signature};

const PAYLOAD: Paths = Paths {
    from: "payload.from",
    to: "payload.to",
    value: "payload.value",
    valid_after: "payload.validAfter",
    valid_before: "payload.validBefore",
    nonce: "payload.nonce",
    signature: "payload.signature",
};

/// A credential, read but not yet checked.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The challenge as the client repeats it. It decides nothing.
    pub(super) challenge: Map<String, Value>,
    /// The authorization that the client says the payer has signed.
    pub authorization: Authorization,
    /// The claimed signature.
    pub signature: Vec<u8>,
    /// The payer as a decentralised identifier.
    pub(super) source: Option<String>,
    /// The id of the challenge.
    id: String,
}

impl Credential {
    /// Reads a credential from a header: base64url of JSON.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let value = header::decode(text).ok_or_else(Fault::no_object)?;
        Self::read(&value)
    }

    /// Reads a credential from an object.
    pub fn read(value: &Value) -> Result<Self, Fault> {
        if !value.is_object() {
            return Err(Fault::no_object());
        }
        let challenge = value.get("challenge").and_then(Value::as_object);
        let challenge = challenge.ok_or_else(|| Fault::malformed("challenge"))?;
        let text = |name, path| {
            let text = challenge.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
                .ok_or_else(|| Fault::malformed(path))
        };
        let id = text("id", "challenge.id")?.to_owned();
        text("realm", "challenge.realm")?;
        let method = text("method", "challenge.method")?;
        let intent = text("intent", "challenge.intent")?;
        // A text in a header, an object elsewhere.
        let request = challenge.get("request");
        if !request.is_some_and(|request| request.is_string() || request.is_object()) {
            return Err(Fault::malformed("challenge.request"));
        }
        if method != METHOD {
            return Err(Fault::foreign("challenge.method"));
        }
        if intent != INTENT {
            return Err(Fault::foreign("challenge.intent"));
        }
        let payload = value.get("payload").filter(|payload| payload.is_object());
        let payload = payload.ok_or_else(|| Fault::malformed("payload"))?;
        if payload.get("type").and_then(Value::as_str) != Some(CREDENTIAL_TYPE) {
            return Err(Fault::other_type());
        }
        let source = match value.get("source") {
            None | Some(Value::Null) => None,
            Some(Value::String(source)) => Some(source.clone()),
            Some(_) => return Err(Fault::malformed("source")),
        };
        Ok(Self {
            authorization: read_authorization(payload, &PAYLOAD)?,
            signature: read_signature(payload, &PAYLOAD)?,
            challenge: challenge.clone(),
            source,
            id,
        })
    }

    /// The id of the challenge, which is that of the offer.
    pub fn challenge_id(&self) -> &str {
        &self.id
    }
}
