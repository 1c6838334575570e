//! The receipt of a payment.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::names::METHOD;
use crate::goods::Receipt;

/// The receipt of a payment, in the protocol's form.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentReceipt<'a> {
    challenge_id: &'a str,
    chain_id: u64,
    method: &'static str,
    /// The transaction.
    reference: String,
    status: &'static str,
    timestamp: String,
}

impl<'a> PaymentReceipt<'a> {
    /// The receipt for the payment of this challenge. The same payment always has the same receipt.
    pub fn new(receipt: &Receipt, challenge_id: &'a str) -> Self {
        Self {
            challenge_id,
            chain_id: receipt.network.chain_id(),
            method: METHOD,
            reference: receipt.transaction.to_string(),
            status: "success",
            timestamp: receipt.settled_at.to_rfc3339(),
        }
    }

    /// The receipt as a header's value.
    pub fn header(&self) -> Option<String> {
        let json = serde_json::to_vec(self).ok()?;
        Some(URL_SAFE_NO_PAD.encode(json))
    }
}
