//! The seller's rules for purchases.

use crate::types::Network;

/// The seller's settings that the schedule depends on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The network on which things are sold now. Purchases on another network rest.
    pub network: Network,
    /// After how long a paid purchase that cannot be delivered is refunded; `None` when refunds are off.
    pub refund_after_millis: Option<u64>,
    /// The pause after a refund's first failure; doubled with each further one.
    pub refund_interval_millis: u64,
    /// Whether the backend is notified of how purchases end.
    pub notifies: bool,
    /// How long a paid answer is kept for a client that asks again.
    pub answer_kept_millis: u64,
}
