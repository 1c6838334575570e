//! What the seller wants of purchases.

use crate::types::Network;

/// The seller's settings that the schedule depends on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The network that is sold on now. Purchases on another one rest.
    pub network: Network,
    /// After how long a paid purchase that cannot be delivered is refunded; `None` when refunds are off.
    pub refund_after_millis: Option<u64>,
    /// The pause after a refund's first failure; doubled with each further one.
    pub refund_interval_millis: u64,
    /// Whether the backend is told how purchases end.
    pub notifies: bool,
}
