//! What stands in the book, and for how long.

use serde::{Deserialize, Serialize};

use super::target::TargetKey;
use crate::types::{RequestId, UnixMillis, UsdcAmount};

/// The number of a purchase's last attempt: what was paid by a transfer is not attempted again.
pub const LAST_ATTEMPT: u32 = u32::MAX;
/// The number of the attempt under which a transfer is booked that the seller has returned. No purchase has it.
pub(super) const RETURNED_ATTEMPT: u32 = u32::MAX - 1;
/// The number of no attempt: what is only set aside while the purchase is checked.
pub const NO_ATTEMPT: u32 = 0;
/// How long a price stays set aside for a purchase that does not begin. Its checks are done or given up by then.
pub const HOLD_MILLIS: u64 = 60_000;
/// How long a payment stays bound to a purchase that did not begin. Otherwise an RPC endpoint that saw the payment during
/// the checks could pay a purchase of its own with it.
pub const BOUND_MILLIS: u64 = 900_000;
/// How many payments of purchases that did not begin stay bound at most.
pub const MAX_BOUND: u32 = 64;
/// For how long after a delivery a new payment for the same target is taken for a repeat whose answer was lost.
pub const RECENT_MILLIS: u64 = 120_000;
/// A balance that was read less than this long after a payment had arrived may be that of a node one block behind.
pub const BALANCE_LAG_MILLIS: u64 = 2_000;

/// A booked payment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// The purchase that presented it.
    pub claimant: RequestId,
    /// The purchase that it counts for.
    pub owner: RequestId,
    /// The newest attempt that it was reserved for; [`NO_ATTEMPT`] while it is only bound.
    pub attempt: u32,
}

impl Booking {
    /// Whether its owner has reserved it, so that it may be on its way.
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
