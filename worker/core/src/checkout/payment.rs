//! What a buyer presents: a payment in any x402 version, or the proof of a transfer.

use alloy_primitives::B256;

use crate::offer::Offer;
use crate::types::Address;
use crate::x402::{Authorization, PaymentPayload};

/// What a client repeats of the offer that it accepts. Only the sealed offer decides what is sold. But a payment that
/// contradicts the offer was meant for another one, and is refused.
pub trait Echo {
    /// The members that contradict this offer, by their names in the client's protocol; empty when there are none.
    fn mismatches(&self, offer: &Offer) -> Vec<&'static str>;
}

/// A signed authorization as it was read from the request. Nothing in it is checked yet.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "a dialect's echo has nothing to show"
)]
pub struct Payment<'a> {
    /// What the client says the payer has signed.
    pub authorization: &'a Authorization,
    /// The claimed signature.
    pub signature: &'a [u8],
    /// The digest of the client's own name for the payment (the x402 extension `payment-identifier`).
    pub identifier: Option<B256>,
    /// The id of the offer that this payment is for, if the client has kept it.
    pub challenge_id: Option<&'a str>,
    /// What else the client repeats of that offer.
    pub echo: &'a dyn Echo,
}

impl Echo for PaymentPayload {
    fn mismatches(&self, offer: &Offer) -> Vec<&'static str> {
        Self::mismatches(self, offer)
    }
}

impl<'a> From<&'a PaymentPayload> for Payment<'a> {
    fn from(payload: &'a PaymentPayload) -> Self {
        Self {
            authorization: &payload.authorization,
            signature: &payload.signature,
            identifier: payload.identifier,
            challenge_id: payload.challenge_id(),
            echo: payload,
        }
    }
}

/// A transfer that is said to have paid an offer, and the payer's signature over the offer's id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransferProof {
    /// The offer.
    pub challenge_id: String,
    /// The transaction.
    pub transaction: B256,
    /// The payer's signature of the challenge id as a text (EIP-191).
    pub signature: Option<Vec<u8>>,
    /// The chain on which the buyer says that it has paid.
    pub chain_id: Option<u64>,
    /// The wallet that has signed; a contract wallet must be named.
    pub payer: Option<Address>,
}
