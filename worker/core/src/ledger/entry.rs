//! A purchase's entry in the ledger.

use serde::{Deserialize, Serialize};

use crate::types::{Address, B256, Network, RequestId, ResourceId, Status, UnixMillis, UsdcAmount};

/// A purchase's entry in the ledger. It is small, and kept for ever, unless the purchase of a
/// call is removed: it is the seller's record of the sale.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The purchase.
    pub request_id: RequestId,
    /// The offer that was paid.
    pub challenge_id: String,
    /// The purchase's state.
    pub status: Status,
    /// What was bought, as `plan:<planId>` or `route:<routeId>`.
    pub target: String,
    /// The resource that the plan or the route opens.
    pub resource: ResourceId,
    /// The amount received; before that, the price.
    pub amount: UsdcAmount,
    /// The payer.
    pub payer: Address,
    /// The chain of the payment.
    pub network: Network,
    /// The payment's transaction; before the money has arrived, the newest transaction that may bring it.
    pub transaction: Option<B256>,
    /// The transaction that returned the money; before that, the newest transaction that may return it.
    pub refund: Option<B256>,
    /// Why the purchase got no further.
    pub reason: Option<String>,
    /// When the purchase began. It never changes, so neither does the day that the purchase belongs to.
    pub created_at: UnixMillis,
    /// When the state last changed.
    pub changed_at: UnixMillis,
    /// The version of the record from which the entry was made. A higher version is newer.
    pub version: u64,
}

impl LedgerEntry {
    /// The transaction that has paid the purchase, if one has.
    pub fn paid_by(&self) -> Option<B256> {
        let is_paid = !matches!(
            self.status,
            Status::Pending | Status::Expired | Status::Cancelled
        );
        self.transaction.filter(|_| is_paid)
    }
}
