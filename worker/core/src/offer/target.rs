//! What is bought.

use serde::{Deserialize, Serialize};

use super::digest::CallDigest;
use crate::types::{PlanId, RouteId};

/// What is bought.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A plan of the catalog: access for a period.
    Plan(PlanId),
    /// One call of a route of the catalog.
    Route {
        /// The route.
        id: RouteId,
        /// The call. Two calls of one route are two targets.
        call: CallDigest,
    },
}

impl Target {
    /// Its kind, in a word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Plan(_) => "plan",
            Self::Route { .. } => "route",
        }
    }

    /// Its id in the catalog.
    pub fn id(&self) -> &str {
        match self {
            Self::Plan(id) => id.as_str(),
            Self::Route { id, .. } => id.as_str(),
        }
    }

    /// The name of the member that carries its id, wherever programs read it.
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

    /// The text under which a payer's book counts it. Ids contain no space, so no two targets share a key: neither a plan and
    /// a route of the same id, nor two calls of one route.
    pub fn key(&self) -> String {
        match self {
            Self::Plan(id) => format!("plan {id}"),
            Self::Route { id, call } => format!("route {id} {call}"),
        }
    }
}
