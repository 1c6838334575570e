//! The commands that a purchase sends to its payer's book, and the book's replies.

use serde::{Deserialize, Serialize};

use super::booking::Booking;
use super::grants::{BoughtGrant, FindGrants};
use super::target::TargetKey;
use crate::types::{B256, CallFault, RequestId, UnixMillis, UsdcAmount};

/// A command of a purchase to its payer's book.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerCommand {
    /// Set the price aside while the purchase is checked, and bind the payment to the purchase. Both lapse by
    /// themselves.
    Hold(Hold),
    /// The purchase does not begin, so its price is no longer set aside. (If the payer has paid before, the payment
    /// stays bound for a while.)
    Withdraw {
        /// The purchase.
        request_id: RequestId,
    },
    /// Book this payment to this purchase, for which the price is set aside. A repetition gets the same reply.
    Reserve(Reservation),
    /// Book to this purchase a transfer that was already made. A repetition gets the same reply.
    Claim(Claim),
    /// The seller has returned this transfer by hand: it must never pay a purchase. A repetition gets the same reply.
    Return {
        /// The transfer's key ([`booking_key`](crate::chain::transfer::booking_key)).
        transfer: B256,
    },
    /// Tell what is booked. This changes nothing, and the reply may be outdated a moment later.
    Look(Look),
    /// The purchase's money has arrived, and the purchase is not resolved yet. A repetition changes nothing.
    Arrived {
        /// The purchase.
        request_id: RequestId,
    },
    /// The payment of a call has arrived after the call had ended uncharged, and goes back: it counts like any call that is
    /// refunded. A repetition counts nothing.
    ArrivedLate {
        /// The purchase.
        request_id: RequestId,
        /// The authorization's nonce.
        nonce: B256,
    },
    /// A purchase is removed, and the book forgets its payment, which can never be executed any more or was executed long
    /// ago. A repetition changes nothing.
    Forget {
        /// The purchase.
        request_id: RequestId,
        /// The authorization's nonce.
        nonce: B256,
        /// The digest of the client's own name for the payment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identifier: Option<B256>,
    },
    /// The purchase is resolved: delivered, or not charged by its attempts so far.
    Release {
        /// The purchase.
        request_id: RequestId,
        /// The purchase's newest resolved attempt; [`LAST_ATTEMPT`](super::LAST_ATTEMPT) when no attempt will follow.
        attempt: u32,
        /// How the attempt ended, as far as it concerns the payer's standing.
        #[serde(default, skip_serializing_if = "Outcome::is_other")]
        outcome: Outcome,
        /// The grant that it has founded, if its calls are counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<BoughtGrant>,
    },
    /// The wallet itself asks for its grants.
    FindGrants(FindGrants),
}

/// A look into the book.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// The payments to look up: nonces of authorizations and keys of transfers.
    pub payments: Vec<B256>,
    /// The digest of a client's own name for a payment.
    pub identifier: Option<B256>,
}

/// The bookings that a look has found.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The booking of each payment, in the order of [`Look::payments`].
    pub bookings: Vec<Option<Booking>>,
    /// The payment to which the client has given the name ([`Look::identifier`]).
    pub named: Option<B256>,
}

impl Seen {
    /// The purchase for which the first booked payment counts.
    pub fn owner(self) -> Option<RequestId> {
        let booking = self.bookings.into_iter().flatten().next();
        booking.map(|booking| booking.owner)
    }

    /// Another purchase for which a payment counts that the purchase `request_id` has presented.
    pub fn superseded_by(&self, request_id: &RequestId) -> Option<&RequestId> {
        let mut its = self.bookings.iter().flatten();
        its.find(|booking| booking.is_by(request_id) && booking.owner != *request_id)
            .map(|booking| &booking.owner)
    }

    /// Another purchase than `request_id` that has attempted one of the payments.
    pub fn attempted_by_another(&self, request_id: &RequestId) -> Option<&RequestId> {
        let mut attempted = self.bookings.iter().flatten();
        attempted
            .find(|booking| booking.is_attempted() && booking.owner != *request_id)
            .map(|booking| &booking.owner)
    }

    /// Whether the purchase `request_id` may present one of the payments: it presented that payment before, or no
    /// purchase did.
    pub fn is_free_for(&self, request_id: &RequestId) -> bool {
        let mut all = self.bookings.iter();
        all.any(|booking| {
            booking
                .as_ref()
                .is_none_or(|booking| booking.is_by(request_id))
        })
    }
}

/// How an attempt ended, as far as it concerns the payer's standing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The money arrived, and the purchase was delivered.
    Delivered,
    /// The money arrived, and the purchase was not delivered.
    Paid,
    /// The gas wallet's transaction was included and reverted, while the authorization was good.
    Reverted,
    /// A call was paid for, and the money went back or is to go back.
    Returned,
    /// A call was made and not charged for.
    Uncharged,
    /// A call was made, and its answer could not be charged for.
    Withheld,
    /// None of these: the payer's standing stays as it is.
    #[default]
    Other,
}

impl Outcome {
    const fn is_other(&self) -> bool {
        matches!(self, Self::Other)
    }
}

/// Whether the account at the payer's address has code, as far as that is known.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerCode {
    /// The address has code, or will have it when its wallet is deployed.
    Some,
    /// The address has no code; or it does not matter, because the gas wallet sends nothing that could cost it ether.
    None,
    /// The chain was not asked. That takes a call, and matters only for the few payers that have much under way.
    Unknown,
}

/// A payment whose price is to be set aside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The payment, the purchase and the target.
    pub reservation: Reservation,
    /// The price.
    pub amount: UsdcAmount,
    /// Whether the client chose the request id itself. Then it means a new purchase, not one that it has begun before.
    pub chosen: bool,
    /// The payer's USDC, in micro-units.
    pub balance: u64,
    /// When the chain was asked for the balance, taken before the request.
    pub read_at: UnixMillis,
    /// Whether the payer's account has code.
    pub code: PayerCode,
}

/// A payment, the purchase that presents it, and the target.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The authorization's nonce.
    pub nonce: B256,
    /// The purchase.
    pub request_id: RequestId,
    /// The attempt's number within the purchase. A command may arrive when its attempt is long over; the number tells
    /// it from the next attempt with the same payment.
    pub attempt: u32,
    /// What is bought.
    pub target: TargetKey,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
}

/// Transfers of one transaction. One of them is to be booked as the payment of a purchase.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The keys of the transfers ([`booking_key`](crate::chain::transfer::booking_key)); the first one that belongs to
    /// no purchase is booked.
    pub transfers: Vec<B256>,
    /// The purchase.
    pub request_id: RequestId,
    /// What is bought.
    pub target: TargetKey,
}

/// The book's reply.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerReply {
    /// (For `Hold` and `Reserve`.) The price is set aside and the payment bound; or the payment belongs to this purchase.
    Reserved,
    /// (Only for `Reserve`.) The price is no longer set aside: too much time has passed since `Hold`.
    Lapsed,
    /// The payment counts for another purchase of the same payer and target.
    Superseded {
        /// The other purchase.
        by: RequestId,
    },
    /// (Only for `Hold`.) The same payment was presented for another purchase before, which may have another target.
    Presented {
        /// The other purchase.
        to: RequestId,
    },
    /// (Only for `Hold`.) Another purchase of this payment or target is being checked right now.
    Wait,
    /// (Only for `Hold`.) The balance does not cover the price together with what the payer has under way.
    Uncovered {
        /// Whether the payer has anything under way. If so, the balance may have paid for it already while it still
        /// counts as under way.
        under_way: bool,
    },
    /// (Only for `Hold`.) An account with code has as many purchases under way as it may have.
    Crowded,
    /// (Only for `Hold`.) Too many of the payer's calls are under way, or were not charged for.
    TooManyCalls {
        /// How many milliseconds the payer must wait.
        millis: u64,
    },
    /// (Only for `Hold`.) The payer has so many purchases under way that the book must know whether its account has
    /// code: send `Hold` again with [`Hold::code`] set.
    NameCode,
    /// The transfer with this key belongs to this purchase (for `Claim`), or counts as returned (for `Return`).
    Claimed(
        /// The transfer's key.
        B256,
    ),
    /// The payment belongs to another purchase.
    Taken,
    /// (Only for `Hold`.) Too many of this payer's transfers have reverted: none is sent until it has waited.
    Paused {
        /// How many milliseconds the payer must wait.
        millis: u64,
    },
    /// The client has given its name for this payment to another payment before.
    NamedOtherwise,
    /// (Only for `FindGrants`.) The grants.
    Grants {
        /// Those that were found.
        grants: Vec<BoughtGrant>,
        /// How many there are besides.
        more: usize,
    },
    /// (Only for `FindGrants`.) The nonce was used before.
    NonceUsed,
    /// (Only for `Look`.) The bookings.
    Seen(Seen),
    /// (For `Withdraw`, `Arrived`, `ArrivedLate`, `Forget` and `Release`.) The book has taken note.
    Noted,
}

impl PayerReply {
    /// The bookings, if this is the reply to [`PayerCommand::Look`]; an error for every other reply.
    pub fn seen(self) -> Result<Seen, CallFault> {
        match self {
            Self::Seen(seen) => Ok(seen),
            _ => Err(CallFault("the payer's book gave a wrong answer".to_owned())),
        }
    }
}
