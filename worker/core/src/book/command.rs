//! What a purchase asks of its payer's book, and the answers.

use serde::{Deserialize, Serialize};

use super::booking::Booking;
use super::target::TargetKey;
use crate::types::{B256, CallFault, RequestId, UnixMillis, UsdcAmount};

/// What a purchase asks of its payer's book.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerCommand {
    /// Set the price aside while the purchase is checked, and bind the payment to it. Both lapse by themselves.
    Hold(Hold),
    /// The purchase does not begin: its price is free again. (The payment stays bound for a while, if its payer has paid before.)
    Withdraw {
        /// The purchase.
        request_id: RequestId,
    },
    /// Book this payment to this purchase, which holds its price. Repeating it gives the same answer.
    Reserve(Reservation),
    /// Book a transfer that was already made to this purchase. Repeating it gives the same answer.
    Claim(Claim),
    /// The seller has returned this transfer by hand: it must never pay a purchase. Repeating it gives the same answer.
    Return {
        /// The transfer's key ([`booking_key`](crate::chain::transfer::booking_key)).
        transfer: B256,
    },
    /// What is booked? Changes nothing, and what it says may be otherwise a moment later.
    Look(Look),
    /// The purchase's money has arrived, and it is not resolved. Repeating it changes nothing.
    Arrived {
        /// The purchase.
        request_id: RequestId,
    },
    /// The purchase is resolved: delivered, or not charged by its attempts so far.
    Release {
        /// The purchase.
        request_id: RequestId,
        /// Its newest attempt that is resolved; [`LAST_ATTEMPT`](super::LAST_ATTEMPT) when there will be no other.
        attempt: u32,
        /// What it says of the payer's transfers.
        #[serde(default, skip_serializing_if = "Outcome::is_other")]
        outcome: Outcome,
    },
}

/// A look into the book.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// Nonces of authorizations, and keys of transfers.
    pub payments: Vec<B256>,
    /// The digest of a client's own name for a payment.
    pub identifier: Option<B256>,
}

/// What a look has found.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The payments' bookings, in the order asked.
    pub bookings: Vec<Option<Booking>>,
    /// The payment that has the name.
    pub named: Option<B256>,
}

impl Seen {
    /// The purchase that one of the payments counts for.
    pub fn owner(self) -> Option<RequestId> {
        let booking = self.bookings.into_iter().flatten().next();
        booking.map(|booking| booking.owner)
    }

    /// The other purchase that a payment counts for which this one has presented.
    pub fn superseded_by(&self, request_id: &RequestId) -> Option<&RequestId> {
        let mut its = self.bookings.iter().flatten();
        its.find(|booking| booking.is_by(request_id) && booking.owner != *request_id)
            .map(|booking| &booking.owner)
    }

    /// The other purchase that has attempted a payment.
    pub fn attempted_by_another(&self, request_id: &RequestId) -> Option<&RequestId> {
        let mut attempted = self.bookings.iter().flatten();
        attempted
            .find(|booking| booking.is_attempted() && booking.owner != *request_id)
            .map(|booking| &booking.owner)
    }

    /// Whether this purchase may present one of the payments: it has done so before, or no other has.
    pub fn is_free_for(&self, request_id: &RequestId) -> bool {
        let mut all = self.bookings.iter();
        all.any(|booking| {
            booking
                .as_ref()
                .is_none_or(|booking| booking.is_by(request_id))
        })
    }
}

/// What the end of an attempt says of its payer's transfers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The money arrived, and the purchase was delivered.
    Delivered,
    /// The money arrived.
    Paid,
    /// The gas wallet's transaction was included and reverted, while the authorization was good.
    Reverted,
    /// Nothing.
    #[default]
    Other,
}

impl Outcome {
    const fn is_other(&self) -> bool {
        matches!(self, Self::Other)
    }
}

/// What is known of the code at a payer's address.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerCode {
    /// There is some, or there will be.
    Some,
    /// There is none; or the gas wallet, which it might cost ether, sends nothing.
    None,
    /// It was not asked for: that takes a call, and few payers have so much under way that it matters.
    Unknown,
}

/// A payment whose price is to be set aside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The payment, and what it is for.
    pub reservation: Reservation,
    /// The price.
    pub amount: UsdcAmount,
    /// Whether the client has named the purchase, so that it is none of those that it has begun before.
    pub chosen: bool,
    /// The payer's USDC, in micro-units.
    pub balance: u64,
    /// Since when it is known: before it was asked for.
    pub read_at: UnixMillis,
    /// Whether the payer's account has code.
    pub code: PayerCode,
}

/// A payment, the purchase that presents it, and what it is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The authorization's nonce.
    pub nonce: B256,
    /// The purchase.
    pub request_id: RequestId,
    /// Which of the purchase's attempts this is. A message may arrive late, when the attempt is long over: by its number
    /// it is told from the next attempt with the same payment.
    pub attempt: u32,
    /// What is bought.
    pub target: TargetKey,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
}

/// Transfers of one transaction, of which one is to pay a purchase.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The keys of the transfers ([`booking_key`](crate::chain::transfer::booking_key)); the first one that is free is taken.
    pub transfers: Vec<B256>,
    /// The purchase.
    pub request_id: RequestId,
    /// What is bought.
    pub target: TargetKey,
}

/// The book's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerReply {
    /// (For `Hold` and `Reserve`.) The price is set aside and the payment bound; or the payment belongs to this purchase.
    Reserved,
    /// (Only for `Reserve`.) The price is not set aside: too much time has passed since.
    Lapsed,
    /// The payment counts for this other purchase of the same payer and target.
    Superseded {
        /// The other purchase.
        by: RequestId,
    },
    /// (Only for `Hold`.) The payment itself was presented for this other purchase, of whatever target.
    Presented {
        /// The other purchase.
        to: RequestId,
    },
    /// (Only for `Hold`.) Another purchase of this payment or target is being checked right now.
    Wait,
    /// (Only for `Hold`.) The balance does not cover the price and what is under way.
    Uncovered {
        /// Whether anything is under way: then the balance may be lower already by what still counts as under way.
        under_way: bool,
    },
    /// (Only for `Hold`.) An account with code has as many purchases under way as it may have.
    Crowded,
    /// (Only for `Hold`.) So many are under way that it matters whether the payer's account has code.
    NameCode,
    /// The transfer with this key belongs to this purchase, or is returned.
    Claimed(
        /// Its key.
        B256,
    ),
    /// The payment belongs to another purchase.
    Taken,
    /// (Only for `Hold`.) Too many of this payer's transfers have reverted: none is sent for now.
    Paused {
        /// For how long.
        millis: u64,
    },
    /// The client's name for the payment is another payment's.
    NamedOtherwise,
    /// (Only for `Look`.) This is booked.
    Seen(Seen),
    /// (For `Withdraw`, `Arrived` and `Release`.) The book knows.
    Noted,
}

impl PayerReply {
    /// What was found, if it was a look that was answered.
    pub fn seen(self) -> Result<Seen, CallFault> {
        match self {
            Self::Seen(seen) => Ok(seen),
            _ => Err(CallFault("the payer's book gave a wrong answer".to_owned())),
        }
    }
}
