//! How an offer is paid without an x402 client: by an ordinary transfer, and a proof of it.

use crate::json;
use crate::json::Put as _;
use serde::Serialize;
use serde_json::Value;

use crate::config::ProofBinding;
use crate::offer::Offer;

/// How to pay an offer without x402.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Instructions<'a> {
    description: String,
    destination: String,
    asset_address: String,
    amount: String,
    pay_before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign: Option<&'a str>,
    body: Value,
}

/// How a buyer sends the proof of a transfer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// As the body of a request to the x402 door.
    Post,
    /// In a message of an A2A conversation.
    Message,
}

impl<'a> Instructions<'a> {
    pub(super) fn new(offer: &'a Offer, binding: ProofBinding, way: Way) -> Self {
        let terms = &offer.terms;
        let is_signed = binding == ProofBinding::Signature;
        let mut proof = json!({"challengeId": offer.id, "txHash": "<transaction hash>"});
        if let (true, Some(members)) = (is_signed, proof.as_object_mut()) {
            members.put("signature", "<signature>".into());
        }
        let sign = match is_signed {
            true => {
                "sign the text in `sign` with the same wallet (EIP-191, personal_sign; a contract wallet also sends its \
                 address as `payer`); "
            }
            false => "",
        };
        let (send, body) = match way {
            Way::Post => ("POST `body`. On 202 repeat it.", json!({"proof": proof})),
            Way::Message => {
                if let Some(members) = proof.as_object_mut() {
                    members.put("type", "PaymentProof".into());
                }
                let send = "send `body` as a data part on this task. While the answer's code is TX_UNCONFIRMED, send it again after details.retryAfterSeconds.";
                (send, proof)
            }
        };
        Self {
            description: format!(
                "Without an x402 client: send one ordinary USDC transfer of at least `amount` (micro-units) of \
                 `assetAddress` to `destination`, to be included before `payBefore`; {sign}then {send}"
            ),
            destination: terms.pay_to.to_checksum(None),
            asset_address: terms.network.usdc().to_checksum(None),
            amount: terms.amount.units().to_string(),
            pay_before: terms.expires_at.to_iso(),
            sign: is_signed.then(|| offer.id.as_str()),
            body,
        }
    }
}
