//! The entries of the book, and how long each is kept.

use serde::{Deserialize, Serialize};

use super::target::TargetKey;
use crate::types::{RequestId, UnixMillis, UsdcAmount};

/// The attempt number of a purchase that will not be attempted again, such as one paid by a transfer.
pub const LAST_ATTEMPT: u32 = u32::MAX;
/// The attempt number under which a returned transfer is booked. No purchase has it.
pub(super) const RETURNED_ATTEMPT: u32 = u32::MAX - 1;
/// The attempt number of a purchase that has not begun: its price is only set aside while it is checked.
pub const NO_ATTEMPT: u32 = 0;
/// How long a price stays set aside for a purchase that does not begin. By then the purchase's checks are done or given
/// up.
pub const HOLD_MILLIS: u64 = 60_000;
/// How long a payment stays bound to a purchase that did not begin. Without this, the operator of an RPC endpoint, who
/// saw the payment during the checks, could pay a purchase of his own with it.
pub const BOUND_MILLIS: u64 = 900_000;
/// The most payments of purchases that did not begin that stay bound.
pub const MAX_BOUND: u32 = 64;
/// For how long after a delivery a new payment for the same plan counts as the repetition of a request whose answer was
/// lost.
pub const RECENT_MILLIS: u64 = 120_000;
/// A balance read less than this long after a payment arrived may come from a node one block behind, and not reflect
/// the payment.
pub const BALANCE_LAG_MILLIS: u64 = 2_000;

/// A booked payment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// The purchase that presented the payment.
    pub claimant: RequestId,
    /// The purchase for which the payment counts.
    pub owner: RequestId,
    /// The newest attempt for which the payment was reserved; [`NO_ATTEMPT`] while it is only bound.
    pub attempt: u32,
}

impl Booking {
    /// Whether the payment was reserved or claimed, so that money may be moving or has moved.
    pub(super) const fn is_attempted(&self) -> bool {
        self.attempt != NO_ATTEMPT && self.attempt != RETURNED_ATTEMPT
    }

    /// Whether this purchase presented the payment, so that it may present it again.
    pub(super) fn is_by(&self, request_id: &RequestId) -> bool {
        // A returned transfer belongs to no purchase, not even to one with the request id that it is booked under.
        self.claimant == *request_id && self.attempt != RETURNED_ATTEMPT
    }
}

/// A purchase under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Open {
    /// The purchase.
    pub request_id: RequestId,
    /// What the purchase is for.
    pub target: TargetKey,
    /// What the purchase may still take from the payer: the price, or nothing once the price has arrived.
    pub amount: UsdcAmount,
    /// Whether the client chose the request id itself.
    pub chosen: bool,
    /// The attempt that keeps the purchase open; [`NO_ATTEMPT`] while the price is only set aside.
    pub held: u32,
    /// Since when the purchase is open.
    pub at: UnixMillis,
}

/// A purchase that was delivered a short while ago.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recent {
    /// What the purchase was for.
    pub target: TargetKey,
    /// The purchase.
    pub request_id: RequestId,
    /// The amount that the delivered purchase took by authorization; zero if a transfer paid it or
    /// [`Arrived`](super::PayerCommand::Arrived) was sent.
    pub amount: UsdcAmount,
}
