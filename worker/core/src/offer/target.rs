//! What is bought.

use serde::{Deserialize, Serialize};

use super::digest::CallDigest;
use crate::types::{PlanId, RequestId, RouteId};

/// What a purchase buys: a plan, for itself or for a grant, or one call of a route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A plan of the catalog: access for a period.
    Plan(PlanId),
    /// A plan of the catalog for a grant: it ends later, and more may be used of it.
    TopUp {
        /// The plan.
        plan: PlanId,
        /// The request id of the purchase that founded the grant.
        grant: RequestId,
    },
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
            Self::TopUp { .. } => "topUp",
            Self::Route { .. } => "route",
        }
    }

    /// The id of the plan or route in the catalog.
    pub fn id(&self) -> &str {
        match self {
            Self::Plan(id) | Self::TopUp { plan: id, .. } => id.as_str(),
            Self::Route { id, .. } => id.as_str(),
        }
    }

    /// The name of the JSON member that carries this target's id.
    pub const fn member(&self) -> &'static str {
        match self {
            Self::Plan(_) | Self::TopUp { .. } => "planId",
            Self::Route { .. } => "routeId",
        }
    }

    /// The plan that is bought, also for a grant.
    pub const fn plan(&self) -> Option<&PlanId> {
        match self {
            Self::Plan(id) | Self::TopUp { plan: id, .. } => Some(id),
            Self::Route { .. } => None,
        }
    }

    /// The route whose call is bought.
    pub const fn route(&self) -> Option<&RouteId> {
        match self {
            Self::Route { id, .. } => Some(id),
            Self::Plan(_) | Self::TopUp { .. } => None,
        }
    }

    /// The grant that is topped up.
    pub const fn grant(&self) -> Option<&RequestId> {
        match self {
            Self::TopUp { grant, .. } => Some(grant),
            Self::Plan(_) | Self::Route { .. } => None,
        }
    }

    /// The text under which a payer's book counts this target. Ids contain no space, so no two targets share a key:
    /// neither a plan and a route of the same id, nor two calls of one route, nor top-ups of two grants.
    pub fn key(&self) -> String {
        match self {
            Self::Plan(id) => format!("plan {id}"),
            Self::TopUp { plan, grant } => format!("topUp {plan} {grant}"),
            Self::Route { id, call } => format!("route {id} {call}"),
        }
    }
}
