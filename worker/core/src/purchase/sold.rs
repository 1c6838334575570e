//! What a purchase delivers, as the plan said it when the purchase began.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::Plan;
use crate::config::Config;
use crate::offer::Target;

/// What the buyer gets for the money. Taken from the catalog once, when the purchase begins, and read from the record
/// afterwards: a plan that the seller edits, renames or removes later changes nothing of what was sold before.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sold {
    /// How long the access lasts from its delivery, in seconds.
    pub lifetime: u64,
    /// What the backend that issues the credential is told of the plan.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl Sold {
    /// What this plan sells.
    pub fn of(plan: &Plan, config: &Config) -> Self {
        Self {
            lifetime: plan.expires_in.unwrap_or(config.token.ttl_seconds),
            extra: plan.extra.clone(),
        }
    }

    /// What the catalog sells under this target now; `None` when it does not have it.
    pub fn today(target: &Target, config: &Config) -> Option<Self> {
        let Target::Plan(plan) = target;
        let plan = config.catalog.plan(plan)?;
        Some(Self::of(plan, config))
    }
}
