//! What is bought.

use serde::{Deserialize, Serialize};

use super::digest::CallDigest;
use crate::types::{PlanId, RouteId};

/// What a purchase buys: a plan, or one call of a route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A plan of the catalog: access for a period.
    Plan(PlanId),
    /// One call of a route of the catalog.
    Route {
        /// The route.
        id: RouteId,
        /// The digest of the call: two different calls of one route are two targets.
        call: CallDigest,
    },
}

impl Target {
    /// The kind of the target, in a word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Plan(_) => "plan",
            Self::Route { .. } => "route",
        }
    }

    /// The id of the plan or route in the catalog.
    pub fn id(&self) -> &str {
        match self {
            Self::Plan(id) => id.as_str(),
            Self::Route { id, .. } => id.as_str(),
        }
    }

    /// The name of the JSON member that carries this target's id.
    pub const fn member(&self) -> &'static str {
        match self {
            Self::Plan(_) => "planId",
            Self::Route { .. } => "routeId",
        }
    }

    /// The plan, if it is one.
    pub const fn plan(&self) -> Option<&PlanId> {
        match self {
            Self::Plan(id) => Some(id),
            Self::Route { .. } => None,
        }
    }

    /// The text under which a payer's book counts this target. Ids contain no space, so no two targets share a key:
    /// neither a plan and a route of the same id, nor two calls of one route.
    pub fn key(&self) -> String {
        match self {
            Self::Plan(id) => format!("plan {id}"),
            Self::Route { id, call } => format!("route {id} {call}"),
        }
    }
}
