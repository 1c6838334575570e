//! What a buyer shows who has paid by an ordinary transfer: the transaction, and the payer's signature.

use alloy_primitives::hex;
use serde_json::Value;

use super::whole::whole;
use crate::checkout::TransferProof;
use crate::error::Error;

/// Reads the member `proof` of a body. Members that are not needed are ignored: what the buyer says of the payment decides
/// nothing.
pub(super) fn parse(value: &Value) -> Result<TransferProof, Error> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let challenge_id = text("challengeId")
        .ok_or_else(|| invalid("challengeId must be the challengeId of the offer"))?;
    let transaction = text("txHash")
        .filter(|text| text.len() == 66)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid("txHash must be 0x and 64 hex digits"))?;
    let signature = match value.get("signature") {
        None | Some(Value::Null) => None,
        Some(signature) => Some(
            signature
                .as_str()
                .and_then(|text| text.strip_prefix("0x"))
                .and_then(|digits| hex::decode(digits).ok())
                .ok_or_else(|| invalid("signature must be 0x and hex digits"))?,
        ),
    };
    let chain_id = match value.get("chainId") {
        None | Some(Value::Null) => None,
        Some(id) => Some(whole(id).ok_or_else(|| invalid("chainId must be a whole number"))?),
    };
    let payer = match value.get("payer") {
        None | Some(Value::Null) => None,
        Some(payer) => Some(
            payer
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| invalid("payer must be an address"))?,
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

fn invalid(what: &str) -> Error {
    Error::invalid_request(format!(
        "proof.{what}. Send {{\"proof\": {{\"challengeId\", \"txHash\", \"signature\"}}}}."
    ))
}

#[cfg(test)]
mod tests;
