//! The grants with a meter that a payer has bought, for whoever has signed as that payer.

use serde::{Deserialize, Serialize};

use crate::types::{PlanId, RequestId, UnixSeconds};

/// For how long a grant is listed after its end.
pub const LISTED_SECONDS: u64 = 35 * 24 * 3_600;
/// The most grants that one look finds.
pub const MAX_FOUND: usize = 40;

/// A grant whose calls are counted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BoughtGrant {
    /// Its id: the purchase that founded it.
    pub id: RequestId,
    /// The plan that was bought.
    pub plan: PlanId,
    /// When it ends, as far as the book knows.
    pub ends_at: UnixSeconds,
}

/// The question of a wallet for its grants.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindGrants {
    /// The grant that is meant; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The nonce that the wallet has signed.
    pub nonce: String,
    /// Until when that is good.
    pub until: UnixSeconds,
}
