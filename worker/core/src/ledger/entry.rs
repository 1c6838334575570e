//! What the ledger knows of one purchase.

use serde::{Deserialize, Serialize};

use crate::types::{Address, B256, Network, RequestId, ResourceId, Status, UnixMillis, UsdcAmount};

/// One purchase as the ledger knows it. Small, and kept for ever: a sale is a book entry.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The purchase.
    pub request_id: RequestId,
    /// The offer that was paid.
    pub challenge_id: String,
    /// Its state.
    pub status: Status,
    /// What was bought, as `plan:<planId>` or `route:<routeId>`.
    pub target: String,
    /// What it opens.
    pub resource: ResourceId,
    /// What was received; the price as long as nothing was.
    pub amount: UsdcAmount,
    /// Who pays.
    pub payer: Address,
    /// On which chain.
    pub network: Network,
    /// The payment's transaction, or the newest one that may become it.
    pub transaction: Option<B256>,
    /// The transaction that returned the money, or the newest one that may.
    pub refund: Option<B256>,
    /// Why it got no further.
    pub reason: Option<String>,
    /// When the purchase began. Never changes, so a purchase belongs to one day for ever.
    pub created_at: UnixMillis,
    /// When the state last changed.
    pub changed_at: UnixMillis,
    /// The version of the record that this tells of. A higher one is newer.
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
