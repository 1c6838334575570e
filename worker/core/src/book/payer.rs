//! The book of one payer: which purchase each of its payments belongs to, and which of its purchases are under way.
//!
//! One payment never counts twice. And an agent that lost an answer and signs anew is not charged anew: while its purchase of
//! a target is unresolved, a second payment for the same target is booked to that purchase and never broadcast, unless its
//! client has named the second purchase.
//!
//! What is under way is counted. Each authorization alone may be covered by the payer's balance and a thousand of them together
//! not: each but the first would revert at the gas wallet's cost. So the price is set aside in here, against the balance that
//! was just read, before anything is sent. A wallet that is a contract may take a transfer when it is tried out and refuse it
//! when it is executed, so such a wallet has few purchases under way at a time, and a payer whose transfers revert must wait.

mod book;
mod standing;

pub use book::{PayerStore, UnderWay, execute};
pub use standing::Standing;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::offer::Target;
use crate::types::{RequestId, ResourceId, UnixMillis, UsdcAmount};

/// The number of a purchase's last attempt: what was paid by a transfer is not attempted again.
pub const LAST_ATTEMPT: u32 = u32::MAX;
/// The number of the attempt under which a transfer is booked that the seller has returned. No purchase has it.
pub(super) const RETURNED_ATTEMPT: u32 = u32::MAX - 1;
/// The number of no attempt: what is only set aside while the purchase is checked.
pub const NO_ATTEMPT: u32 = 0;
/// How long a price stays set aside for a purchase that does not begin. Its checks are done or given up by then.
pub const HOLD_MILLIS: u64 = 60_000;
/// How long a payment stays bound to a purchase that did not begin. Who has seen it in the check's calls to an RPC endpoint
/// could otherwise pay a purchase of its own with it.
pub const BOUND_MILLIS: u64 = 900_000;
/// How many payments of purchases that did not begin stay bound at most.
pub const MAX_BOUND: u32 = 64;
/// For how long after a delivery a new payment for the same target is taken for a repeat whose answer was lost.
pub const RECENT_MILLIS: u64 = 120_000;
/// A balance that was read less than this long after a payment had arrived may be that of a node one block behind.
pub const BALANCE_LAG_MILLIS: u64 = 2_000;

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
        /// The transfer's key ([`booking_key`](super::transfer::booking_key)).
        transfer: B256,
    },
    /// Is the client's name for this payment free, or this payment's already? Books nothing.
    Identify {
        /// The name's digest.
        identifier: B256,
        /// The authorization's nonce.
        nonce: B256,
    },
    /// Which purchase does this payment count for, which this one has presented? Books nothing.
    Whose {
        /// The authorization's nonce.
        nonce: B256,
        /// The purchase that is asked for.
        request_id: RequestId,
    },
    /// Which purchase does this payment count for? Books nothing. For the sweep alone: whoever presents a payment asks by the
    /// purchase that it presented ([`Whose`](Self::Whose)).
    Owner {
        /// The authorization's nonce, or the transfer's key.
        payment: B256,
    },
    /// The purchase's money has arrived, and it is not resolved. Repeating it changes nothing.
    Arrived {
        /// The purchase.
        request_id: RequestId,
    },
    /// The purchase is resolved: delivered, or not charged by its attempts so far.
    Release {
        /// The purchase.
        request_id: RequestId,
        /// Its newest attempt that is resolved; [`LAST_ATTEMPT`] when there will be no other.
        attempt: u32,
        /// What it says of the payer's transfers.
        #[serde(default, skip_serializing_if = "Outcome::is_other")]
        outcome: Outcome,
    },
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
#[serde(from = "HoldWire", into = "HoldWire")]
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

/// On its way to the book: a list needs less code than names would.
type HoldWire = (Reservation, UsdcAmount, bool, u64, UnixMillis, PayerCode);

impl From<HoldWire> for Hold {
    fn from((reservation, amount, chosen, balance, read_at, code): HoldWire) -> Self {
        Self {
            reservation,
            amount,
            chosen,
            balance,
            read_at,
            code,
        }
    }
}

impl From<Hold> for HoldWire {
    fn from(hold: Hold) -> Self {
        (
            hold.reservation,
            hold.amount,
            hold.chosen,
            hold.balance,
            hold.read_at,
            hold.code,
        )
    }
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
#[serde(from = "ClaimWire", into = "ClaimWire")]
pub struct Claim {
    /// The keys of the transfers ([`booking_key`](super::transfer::booking_key)); the first one that is free is taken.
    pub transfers: Vec<B256>,
    /// The purchase.
    pub request_id: RequestId,
    /// What is bought.
    pub target: TargetKey,
    /// Whether it is only asked what would be booked.
    pub only_look: bool,
}

/// On its way to the book: a list needs less code than names would.
type ClaimWire = (Vec<B256>, RequestId, TargetKey, bool);

impl From<ClaimWire> for Claim {
    fn from((transfers, request_id, target, only_look): ClaimWire) -> Self {
        Self {
            transfers,
            request_id,
            target,
            only_look,
        }
    }
}

impl From<Claim> for ClaimWire {
    fn from(claim: Claim) -> Self {
        (
            claim.transfers,
            claim.request_id,
            claim.target,
            claim.only_look,
        )
    }
}

/// A target together with its resource, as one text.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TargetKey(String);

impl TargetKey {
    /// The key of a target and a resource. Plan ids contain no space, so no two pairs share a key.
    pub fn new(target: &Target, resource: &ResourceId) -> Self {
        let Target::Plan(plan) = target;
        Self(format!("plan {plan} {resource}"))
    }

    /// Stands for all keys of a target, to look a purchase up whose resource is not known. Nothing is booked under it.
    pub fn of_any_resource(target: &Target) -> Self {
        let Target::Plan(plan) = target;
        Self(format!("plan {plan} "))
    }

    /// Stands for all keys of a resource, or for every key, to look a purchase up whose client named no plan. Nothing is booked
    /// under it.
    pub fn of_any_plan(resource: Option<&ResourceId>) -> Self {
        Self(resource.map_or_else(String::new, |resource| format!(" {resource}")))
    }

    /// Whether this is the other key, or stands for it. (A resource id is never empty.)
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let is_of_any_plan = self.0.is_empty() || self.0.starts_with(' ');
        self == other
            || (self.0.ends_with(' ') && other.0.starts_with(&self.0))
            || (is_of_any_plan && other.0.ends_with(&self.0))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The book's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerReply {
    /// The price is set aside and the payment bound; or the payment belongs to this purchase.
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
    /// The transfer with this key belongs to this purchase (or would, if it was only asked).
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
    /// Released; or, asked about a name for a payment: it is good; or, asked whose a payment is: nobody's.
    Released,
}

/// A booked payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Booking {
    /// The purchase that presented it.
    pub claimant: RequestId,
    /// The purchase that it counts for.
    pub owner: RequestId,
    /// The newest attempt that it was reserved for; [`NO_ATTEMPT`] while it is only bound.
    pub attempt: u32,
}

/// A purchase under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Open {
    /// The purchase.
    pub request_id: RequestId,
    /// What it is for.
    pub target: TargetKey,
    /// What it may still take from the payer: the price; nothing when that has arrived.
    pub amount: UsdcAmount,
    /// Whether its client has named it.
    pub chosen: bool,
    /// The attempt that holds it open; [`NO_ATTEMPT`] while its price is only set aside.
    pub held: u32,
    /// Since when.
    pub at: UnixMillis,
}

/// A purchase that was delivered a short while ago.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recent {
    /// What it was for.
    pub target: TargetKey,
    /// The purchase.
    pub request_id: RequestId,
    /// What was paid by authorization.
    pub amount: UsdcAmount,
}

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;
