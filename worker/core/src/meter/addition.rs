//! What purchases add to a grant after it was founded.
//!
//! Each purchase adds at most once, whatever is lost or repeated: the grant stores what came of each. Before the money of
//! such a purchase goes back, its addition is withdrawn; from then on it cannot come any more. What was used is not
//! withdrawn, so no buyer has both the units and the money.

use serde::{Deserialize, Serialize};

use super::granted::Granted;
use super::limits::Quota;
use crate::types::{Address, PlanId, RequestId, UnixMillis};

/// What is added to a grant.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adds {
    /// How much may be used in addition. `None` where the grant has no quota either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// By how many seconds the grant ends later.
    pub seconds: u64,
}

/// A top-up: a purchase that adds to a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopUp {
    /// The purchase.
    pub purchase: RequestId,
    /// The plan that was bought for the grant.
    pub plan: PlanId,
    /// What it adds.
    pub adds: Adds,
    /// The wallet that pays.
    pub payer: Address,
    /// Whether the buyer has shown a token of the grant. If not, only the grant's own wallet may top it up.
    pub is_holder: bool,
    /// When the payment was first shown.
    pub shown_at: UnixMillis,
}

/// Why a grant takes no such top-up.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Barred {
    /// No delivered purchase has founded such a grant, or it is no more.
    NotGranted,
    /// It belongs to another wallet, and its token was not shown.
    NotYours,
    /// It is a grant of another plan.
    OtherPlan,
    /// The plan counts otherwise than the grant: calls, credit or nothing.
    OtherQuota,
    /// It was taken back.
    Revoked,
    /// It was topped up as often as is possible.
    TooOften,
    /// The addition was withdrawn, so that the money can go back.
    Withdrawn,
}

/// What has come of a purchase that adds to a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Addition {
    /// It was added.
    Added {
        /// What was added.
        adds: Adds,
        /// If the grant had ended before the payment was shown: the grant as it was then, and what was used of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anew: Option<(Granted, u64)>,
        /// The grant with it.
        grant: Granted,
    },
    /// It is not added, and never will be.
    Withdrawn,
}
