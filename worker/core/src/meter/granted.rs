//! What a grant is good for.

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use crate::types::{Address, PlanId, ResourceId, UnixSeconds};

/// What the purchase that founded a grant has sold, and others have added.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Granted {
    /// What was promised of the calls. The quota is all that was sold, used or not.
    pub limits: Limits,
    /// The plan that was bought.
    pub plan: PlanId,
    /// What it opens.
    pub resource: ResourceId,
    /// The wallet that paid.
    pub payer: Address,
    /// When the purchase was delivered; or, once the grant has ended, that of the top-up with which it began anew.
    pub from: UnixSeconds,
    /// From this time on the grant opens nothing.
    pub ends_at: UnixSeconds,
}
