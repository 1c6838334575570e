//! The client's messages, and what each of them asks for.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::json;

use super::dialect::Dialect;
use super::fault::{Fault, Kind};
use crate::checkout::TransferProof;
use crate::doors::access_request::{AccessRequest, CallRequest};
use crate::doors::instructions::Way;
use crate::doors::proof;
use crate::error::Error;
use crate::types::RequestId;
use crate::x402::{Dialect as X402, PaymentPayload, Refusal, Unreadable};

pub(super) const STATUS: &str = "x402.payment.status";
pub(super) const PAYLOAD: &str = "x402.payment.payload";
const MAX_ID_BYTES: usize = 128;

/// A client's message whose form was checked.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) context_id: Option<String>,
    pub(super) task_id: Option<String>,
    pub(super) asks: Asks,
    /// The call of a route that the message describes, if any: the one that is wanted, or that is paid.
    pub(super) call: Option<CallRequest>,
    /// The part of the message that is kept, in the form of 1.0: all of it, unless it pays.
    pub(super) kept: Value,
}

/// What a message asks for.
#[derive(Clone, Debug)]
pub(super) enum Asks {
    /// The message pays.
    Pay(Box<Result<PaymentPayload, Unreadable>>),
    /// The client does not want to pay.
    Reject,
    /// The client has paid by a transfer of its own, and proves it.
    Prove(TransferProof),
    /// The client says that it has paid by a transfer, but the proof has not the right form.
    Misproven(Error),
    /// The client wants a price.
    Price(AccessRequest),
    /// The client asks for something that it cannot have.
    Refused(Error),
    /// The client asks for nothing in particular, and gets the price list.
    Browse,
    /// The message is not understood. The member that may have been meant, if there is one.
    Talk(Option<&'static str>),
}

impl Asks {
    /// Whether the message has a payment or a proof that cannot be read.
    pub(super) fn is_unreadable(&self) -> bool {
        match self {
            Self::Pay(payment) => payment.is_err(),
            asks => matches!(asks, Self::Misproven(_)),
        }
    }
}

impl Message {
    /// This message in a short form: of its content, only that there was a call is kept.
    pub(super) fn shortened(&self) -> Self {
        let id = self.kept.get("messageId").cloned().unwrap_or_default();
        Self {
            context_id: self.context_id.clone(),
            task_id: self.task_id.clone(),
            asks: self.asks.clone(),
            call: self.call.clone(),
            kept: json!({
                "messageId": id,
                "role": "ROLE_USER",
                "parts": [{"text": "A call"}],
            }),
        }
    }

    /// Reads the member `message` of a call's parameters.
    pub(super) fn read(params: &Map<String, Value>, dialect: Dialect) -> Result<Self, Fault> {
        let message = params.get("message").and_then(Value::as_object);
        let message = message.ok_or_else(|| Fault::bad("params.message must be an object."))?;
        let message = dialect.arrived(message);
        if message.get("role").and_then(Value::as_str) != Some("ROLE_USER") {
            return Err(Fault::bad("message.role must be the user's."));
        }
        let id = text(&message, "messageId")?
            .ok_or_else(|| Fault::bad("message.messageId must be a text."))?;
        let parts = message.get("parts").and_then(Value::as_array);
        let parts = parts
            .filter(|parts| !parts.is_empty())
            .ok_or_else(|| Fault::bad("message.parts must have at least one part."))?;
        for part in parts {
            check(part)?;
        }
        let metadata = message.get("metadata");
        if metadata.is_some_and(|metadata| !(metadata.is_object() || metadata.is_null())) {
            return Err(Fault::bad("message.metadata must be an object."));
        }
        // Some clients put into the metadata of the call what belongs into those of the message.
        let beside = params
            .get("metadata")
            .and_then(|beside| beside.get(PAYLOAD));
        let asks = asks(
            &message,
            parts,
            beside.is_some_and(|beside| !beside.is_null()),
        );
        let call = match &asks {
            Asks::Price(request) => request.call.clone(),
            Asks::Pay(_) => described(parts),
            _ => None,
        };
        let kept = match &asks {
            // A payment's signature is not kept, so that it is never handed out again.
            Asks::Pay(_) => json!({
                "messageId": id,
                "role": "ROLE_USER",
                "parts": [{"text": "Payment"}],
                "metadata": {STATUS: "payment-submitted"},
            }),
            Asks::Prove(_) | Asks::Misproven(_) => json!({
                "messageId": id,
                "role": "ROLE_USER",
                "parts": [{"text": "Proof of a transfer"}],
            }),
            _ => {
                let mut kept = message.clone();
                // These members are added to each answer, so they are not kept.
                for name in ["contextId", "taskId"] {
                    kept.remove(name);
                }
                if let Some(metadata) = kept.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove(PAYLOAD);
                }
                Value::Object(kept)
            }
        };
        Ok(Self {
            context_id: text(&message, "contextId")?,
            task_id: text(&message, "taskId")?,
            asks,
            call,
            kept,
        })
    }
}

/// A member of a message that is a text. An empty text counts as absent, since clients with protocol buffers write it
/// so.
fn text(message: &Map<String, Value>, name: &str) -> Result<Option<String>, Fault> {
    match message.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        // In JSON, a control character takes six times its room.
        Some(Value::String(text))
            if text.len() <= MAX_ID_BYTES && !text.contains(char::is_control) =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(Fault::bad(format!(
            "message.{name} must be a text of at most {MAX_ID_BYTES} bytes without control characters."
        ))),
    }
}

/// Checks a part of a message: it must have exactly one content, a text or data.
fn check(part: &Value) -> Result<(), Fault> {
    let has = |name: &&str| part.get(*name).is_some_and(|value| !value.is_null());
    let files = ["raw", "url", "file"]
        .iter()
        .filter(|name| has(name))
        .count();
    match (
        ["text", "data"].iter().filter(|name| has(name)).count(),
        files,
    ) {
        (1, 0)
            if part
                .get("text")
                .is_none_or(|text| text.is_string() || text.is_null()) =>
        {
            Ok(())
        }
        (0, 1) => Err(Fault::new(
            Kind::ContentType,
            "Files are not read here: send text or data parts.",
        )),
        _ => Err(Fault::bad(
            "Each part must have exactly one content: text (a string) or data.",
        )),
    }
}

/// What a message asks for. `is_beside`: whether the metadata of the call have a payment.
fn asks(message: &Map<String, Value>, parts: &[Value], is_beside: bool) -> Asks {
    let metadata = message.get("metadata");
    let metadata = |name| {
        metadata
            .and_then(|metadata| metadata.get(name))
            .filter(|value| !value.is_null())
    };
    let status = metadata(STATUS).and_then(Value::as_str);
    if status == Some("payment-rejected") {
        return Asks::Reject;
    }
    if let Some(payload) = metadata(PAYLOAD) {
        return Asks::Pay(Box::new(PaymentPayload::parse(X402::X402V2, payload)));
    }
    let data = object(parts);
    let data = data.as_ref();
    if is_beside || is_payment(data) {
        return Asks::Pay(Box::new(Err(misplaced())));
    }
    if is_proof(data) {
        // A proof in the form of the x402 door is read, too.
        let proof = data.get("proof").filter(|proof| !proof.is_null());
        let proof = proof::parse(proof.unwrap_or(data), Way::Message);
        return proof.map_or_else(Asks::Misproven, Asks::Prove);
    }
    if status == Some("payment-submitted") {
        return Asks::Pay(Box::new(Err(Refusal::InvalidPayload.into())));
    }
    match data {
        Value::Null => Asks::Talk(None),
        data => wish(data).unwrap_or_else(Asks::Refused),
    }
}

/// The first object in the parts: in a data part, or else as JSON in a text part. `null` if there is none.
fn object(parts: &[Value]) -> Cow<'_, Value> {
    let data = parts
        .iter()
        .find_map(|part| part.get("data").filter(|data| data.is_object()));
    if let Some(data) = data {
        return Cow::Borrowed(data);
    }
    let read = parts.iter().find_map(|part| {
        let value: Value = serde_json::from_str(part.get("text")?.as_str()?).ok()?;
        value.is_object().then_some(value)
    });
    Cow::Owned(read.unwrap_or_default())
}

/// The call that a message describes together with a payment.
fn described(parts: &[Value]) -> Option<CallRequest> {
    let data = object(parts);
    if !has(&data, "routeId") {
        return None;
    }
    AccessRequest::read(&data).ok()?.call
}

fn has(data: &Value, name: &str) -> bool {
    data.get(name).is_some_and(|value| !value.is_null())
}

/// Whether a data part is a payment. (Payments belong into the metadata.)
fn is_payment(data: &Value) -> bool {
    let is_bare = |data: &Value| has(data, "x402Version") && has(data, "payload");
    has(data, PAYLOAD) || is_bare(data) || data.get("payment").is_some_and(is_bare)
}

/// Whether a data part is a proof of a transfer, well formed or not.
fn is_proof(data: &Value) -> bool {
    let is_said = data.get("type").and_then(Value::as_str) == Some("PaymentProof");
    let wants = has(data, "planId") || has(data, "routeId");
    is_said || has(data, "proof") || has(data, "txHash") || (!wants && proof::is_meant(data))
}

/// The fault of a payment that stands where none is read.
fn misplaced() -> Unreadable {
    Unreadable {
        refusal: Refusal::InvalidPayload,
        member: Some(PAYLOAD),
        message: "The payment stands where none is read, and nothing was charged for this request: send the same payment on this task, in \
                  message.metadata as x402.payment.payload, with x402.payment.status \"payment-submitted\"."
            .into(),
    }
}

/// What a data part asks for.
fn wish(data: &Value) -> Result<Asks, Error> {
    let request = AccessRequest::read(data)?;
    if request
        .request_id
        .as_ref()
        .is_some_and(RequestId::is_derived)
    {
        // A derived id follows from a payment that everybody may have seen.
        return Err(Error::invalid_request(
            "requestId must be a UUID. Nothing was charged for this request.",
        ));
    }
    if request.plan.is_some() || request.call.is_some() || request.names_a_grant() {
        return Ok(Asks::Price(request));
    }
    Ok(match request.hint() {
        Some(member) => Asks::Talk(Some(member)),
        None => Asks::Browse,
    })
}

#[cfg(test)]
mod tests;
