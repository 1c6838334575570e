//! The answer to a call as JSON, for doors that answer in JSON.

use crate::json;
use crate::json::Put as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::checkout::{Calls, Checkout, Deployment};
use crate::goods::{AnswerHead, CallOf, Goods, Receipt};
use crate::types::Network;

/// What a buyer is told about an answer that it does not pay for.
const RETURNED: &str = "This answer is not charged for, and the payment goes back.";
const UNCHARGED: &str = "This answer is not charged for.";
const BODILESS: &str = "The body of this answer is no longer kept.";

/// The answer to a call: its status, its headers and its body. `None` if the goods are no answer.
pub(super) fn resource_response<D: Deployment>(
    checkout: &Checkout<'_, D>,
    goods: &Goods,
    receipt: Option<&Receipt>,
) -> Option<Value> {
    let Goods::Answer { of, head, refund } = goods else {
        return None;
    };
    let body = checkout.deployment.purchases().body(of.request_id.as_str());
    // A body of another length is another answer's.
    let body = body.filter(|body| u64::try_from(body.len()) == Ok(head.length));
    let mut response = written(of, head, body.as_deref());
    let members = response.as_object_mut()?;
    if let Some(receipt) = receipt {
        members.extend(paid(receipt, checkout.config.network));
    }
    let mut notes = Vec::new();
    match refund {
        Some(transaction) => {
            members.put("refundOf", json!(transaction));
            notes.push(RETURNED);
        }
        None if receipt.is_none() => notes.push(UNCHARGED),
        None => {}
    }
    if body.is_none() && head.length > 0 {
        notes.push(BODILESS);
    }
    members.put("charged", receipt.is_some().into());
    if !notes.is_empty() {
        members.put("note", notes.join(" ").into());
    }
    Some(response)
}

fn written(of: &CallOf, head: &AnswerHead, body: Option<&[u8]>) -> Value {
    let mut resource = json!({"status": head.status, "headers": headers(head)});
    if let (Some(body), Some(members)) = (body, resource.as_object_mut()) {
        let (body, is_binary) = content(head, body);
        members.put("body", body);
        if is_binary {
            members.put("encoding", "base64".into());
        }
    }
    json!({
        "type": "ResourceResponse",
        "challengeId": of.challenge_id,
        "requestId": of.request_id,
        "routeId": of.route_id,
        "resource": resource,
    })
}

fn paid(receipt: &Receipt, network: Network) -> [(String, Value); 2] {
    let hash = receipt.transaction.to_string();
    let url = format!("{}/tx/{hash}", network.explorer());
    [
        ("txHash".to_owned(), hash.into()),
        ("explorerUrl".to_owned(), url.into()),
    ]
}

/// The headers by name; several values of one name are joined as HTTP allows.
fn headers(head: &AnswerHead) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in &head.headers {
        let value = match headers.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.clone(),
        };
        headers.insert(name.clone(), value.into());
    }
    headers
}

/// The body: JSON as JSON, other text as text, anything else as base64. Also whether it is base64.
fn content(head: &AnswerHead, body: &[u8]) -> (Value, bool) {
    let is_json = head.headers.iter().any(|(name, value)| {
        let media = value.split(';').next().unwrap_or_default().trim();
        let media = media.to_ascii_lowercase();
        name == "content-type" && (media == "application/json" || media.ends_with("+json"))
    });
    if is_json && let Ok(value) = serde_json::from_slice(body) {
        return (value, false);
    }
    match core::str::from_utf8(body) {
        Ok(text) => (text.into(), false),
        Err(_) => (STANDARD.encode(body).into(), true),
    }
}

#[cfg(test)]
mod tests;
