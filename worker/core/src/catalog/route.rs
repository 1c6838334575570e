//! Routes: calls to the seller's API that are paid one by one.

use core::fmt;

use http::{HeaderName, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::path::PathTemplate;
use crate::meter::Cost;
use crate::types::{PlanId, ResourceId, RouteId, UsdcAmount};

/// One route of the seller's API: calls that match it are forwarded, for a price or free.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Its id, unique among the routes.
    pub id: RouteId,
    /// The method: `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: Method,
    /// The path, with parameters.
    pub path: PathTemplate,
    /// The path as an offer names it.
    pub resource: ResourceId,
    /// The price of a call; never zero. `None`: calls are free.
    pub price: Option<UsdcAmount>,
    /// Whether the call is made before or after its price is settled.
    pub settle: Settle,
    /// What a call delivers, for people and models.
    pub description: String,
    /// Which statuses of the API's answer are what was paid for.
    pub charged: Charged,
    /// Whether a call may be repeated when it is not known whether the first attempt arrived.
    pub idempotent: bool,
    /// The most bytes that a request's body may have.
    pub max_body: usize,
    /// Headers of the request that the payment is bound to, besides the content type: with another value it is another
    /// call.
    pub vary: Vec<HeaderName>,
    /// Whether answers are passed on while they arrive.
    pub stream: bool,
    /// Whether a call must spell the path exactly so. Otherwise the path matches in any case, and with or without a
    /// slash at its end.
    pub case_sensitive: bool,
    /// Whether an `Authorization` header that does not hold a token of ours is passed on.
    pub forward_authorization: bool,
    /// Whether the backend is notified of each paid call.
    pub notify: bool,
    /// Plans whose tokens open the route without payment.
    pub plans: Vec<PlanId>,
    /// The most that a call takes of such a plan's quota, as far as the seller says.
    pub max_cost: Option<Cost>,
    /// How a call is made and what it brings, for documents.
    pub shapes: Shapes,
}

/// JSON Schemas and an example, as the seller wrote them. They are published; no request is checked against them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shapes {
    /// The schema of the parameters of path and query.
    pub params: Option<Value>,
    /// The schema of the request's body.
    pub body: Option<Value>,
    /// The schema of the answer.
    pub output: Option<Value>,
    /// An example of an answer.
    pub example: Option<Value>,
}

/// When the price of a call is settled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Settle {
    /// After the API has answered, and before the buyer gets the answer. A call that is not charged costs nobody
    /// anything.
    After,
    /// Before the API is called. When the call fails, the money goes back.
    Before,
}

/// Which statuses of an answer are charged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Charged(Vec<StatusRange>);

/// A range of statuses, both ends included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StatusRange(pub u16, pub u16);

impl Charged {
    /// Charges the statuses in these ranges.
    pub fn new(ranges: impl IntoIterator<Item = StatusRange>) -> Self {
        Self(ranges.into_iter().collect())
    }

    /// Whether an answer with this status is what was paid for.
    pub fn includes(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|StatusRange(first, last)| (*first..=*last).contains(&status))
    }
}

/// Charges all of 2xx and 3xx.
impl Default for Charged {
    fn default() -> Self {
        Self::new([StatusRange(200, 399)])
    }
}

impl fmt::Display for Settle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::After => "after",
            Self::Before => "before",
        })
    }
}
