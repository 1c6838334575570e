//! Reads the proof of an ordinary transfer: the transaction, and the payer's signature.

use crate::json;
use alloy_primitives::hex;
use serde_json::Value;

use super::instructions::Way;
use super::near;
use super::whole::whole;
use crate::checkout::TransferProof;
use crate::error::Error;

const KNOWN: [&str; 5] = ["challengeId", "txHash", "signature", "payer", "chainId"];
/// Names that clients write instead, in lower case and without separators, and the member that is meant.
const NEAR: [(&str, &str); 10] = [
    ("challenge", "challengeId"),
    ("challengeid", "challengeId"),
    ("hash", "txHash"),
    ("transaction", "txHash"),
    ("transactionhash", "txHash"),
    ("transactionid", "txHash"),
    ("tx", "txHash"),
    ("txhash", "txHash"),
    ("txid", "txHash"),
    ("sig", "signature"),
];

/// Whether a message that asks for nothing else is meant to be a proof: it has a member for an offer or a transaction,
/// under the right name or a similar one.
pub(super) fn is_meant(value: &Value) -> bool {
    let has = |name: &str| value.get(name).is_some_and(|value| !value.is_null());
    has("challengeId") || has("txHash") || near::miss(value, &NEAR, &KNOWN).is_some()
}

/// Reads a proof: the member `proof` of a body, or a data part of a message. Members that are not needed are ignored,
/// since what the buyer says about the payment decides nothing.
pub(super) fn parse(value: &Value, way: Way) -> Result<TransferProof, Error> {
    let invalid = |member: &str, expected: &str| refused(value, way, member, expected);
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let challenge_id = text("challengeId")
        .ok_or_else(|| invalid("challengeId", "the challengeId of the offer"))?;
    let transaction = text("txHash")
        .filter(|text| text.len() == 66)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid("txHash", "0x and 64 hex digits"))?;
    let signature = match value.get("signature") {
        None | Some(Value::Null) => None,
        Some(signature) => Some(
            signature
                .as_str()
                .and_then(|text| text.strip_prefix("0x"))
                .and_then(|digits| hex::decode(digits).ok())
                .ok_or_else(|| invalid("signature", "0x and hex digits"))?,
        ),
    };
    let chain_id = match value.get("chainId") {
        None | Some(Value::Null) => None,
        Some(id) => Some(whole(id).ok_or_else(|| invalid("chainId", "a whole number"))?),
    };
    let payer = match value.get("payer") {
        None | Some(Value::Null) => None,
        Some(payer) => Some(
            payer
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| invalid("payer", "an address"))?,
        ),
    };
    Ok(TransferProof {
        challenge_id: challenge_id.to_owned(),
        transaction,
        signature,
        chain_id,
        payer,
    })
}

/// The error for a member that is missing, or that does not hold what belongs there.
fn refused(value: &Value, way: Way, member: &str, expected: &str) -> Error {
    let (place, form) = match way {
        Way::Post => (
            "proof.",
            r#"{"proof": {"challengeId", "txHash", "signature"}}"#,
        ),
        Way::Message => (
            "",
            r#"{"type": "PaymentProof", "challengeId", "txHash", "signature"}"#,
        ),
    };
    let instead = match near::miss(value, &NEAR, &KNOWN) {
        Some((sent, meant)) if meant == member => {
            format!(" Instead of a member like `{sent}` send `{meant}`.")
        }
        _ => String::new(),
    };
    Error::invalid_request(format!(
        "`{place}{member}` must be {expected}.{instead} Send {form}."
    ))
    .with_details(json!({"member": format!("{place}{member}")}))
}

#[cfg(test)]
mod tests;
