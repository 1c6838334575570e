//! Plans: what can be bought, for how much, and how long it lasts.

use serde_json::{Map, Value};

use crate::meter::Limits;
use crate::types::{PlanId, ResourceId, UsdcAmount};

/// One thing that can be bought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Its id, unique in the catalog.
    pub id: PlanId,
    /// Its price; never zero.
    pub price: UsdcAmount,
    /// What the buyer gets, for people and models.
    pub description: String,
    /// How long the plan's tokens last, in seconds; `None` for the deployment's setting.
    pub expires_in: Option<u64>,
    /// The resources that the plan may open; empty means any.
    pub resources: Vec<ResourceId>,
    /// How many calls the plan is good for, how fast and how many at a time.
    pub limits: Limits,
    /// What else the backend that issues credentials is told about the plan. No buyer sees it.
    pub extra: Map<String, Value>,
}

impl Plan {
    /// How long the access lasts from its delivery, in seconds; `usual` if the plan has no time of its own.
    pub fn lifetime(&self, usual: u64) -> u64 {
        self.expires_in.unwrap_or(usual)
    }

    /// The resource that a purchase of this plan is for. That is the one asked for, if the plan opens it. If none is
    /// asked for, it is `default`, or else the first that the plan opens. `None` when the plan does not open what was
    /// asked for.
    pub fn resource(&self, wish: Option<ResourceId>) -> Option<ResourceId> {
        let opens =
            |resource: &ResourceId| self.resources.is_empty() || self.resources.contains(resource);
        match wish {
            Some(resource) => opens(&resource).then_some(resource),
            None => {
                let usual = ResourceId::default();
                if opens(&usual) {
                    Some(usual)
                } else {
                    self.resources.first().cloned()
                }
            }
        }
    }
}
