//! What a buyer wants, in no door's words.

use serde::{Deserialize, Serialize};

use crate::book::TargetKey;
use crate::offer::{Target, Terms};
use crate::pauses::Patience;
use crate::types::{Address, RequestId, ResourceId};

/// What a buyer wants. Everything may be left out: then it is offered the cheapest plan under a new request id.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Order {
    /// What it wants to buy.
    pub target: Option<Target>,
    /// What that should open.
    pub resource: Option<ResourceId>,
    /// The purchase.
    pub request_id: Option<RequestId>,
    /// Whether the client itself has named the purchase. Then it means no other one; otherwise it may have lost an answer and
    /// be starting over.
    pub chosen: bool,
    /// How long it waits for an outcome.
    pub patience: Patience,
}

impl Order {
    /// The members that contradict the offer that is paid.
    pub(super) fn contradictions(&self, terms: &Terms) -> Vec<&'static str> {
        fn differs<T: PartialEq>(ordered: Option<&T>, offered: &T) -> bool {
            ordered.is_some_and(|ordered| ordered != offered)
        }
        [
            (
                // As the client calls it.
                self.target.as_ref().unwrap_or(&terms.target).member(),
                differs(self.target.as_ref(), &terms.target),
            ),
            (
                "resourceId",
                differs(self.resource.as_ref(), &terms.resource),
            ),
            (
                "requestId",
                differs(self.request_id.as_ref(), &terms.request_id),
            ),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }

    /// What a payment without an offer may have bought: target and resource only if the client named them. The plan may have
    /// opened another resource first, and another plan may have been the cheapest one; then the purchase says what was bought.
    pub(super) fn covered(&self) -> TargetKey {
        match (&self.target, &self.resource) {
            (Some(target), Some(resource)) => TargetKey::new(target, resource),
            (Some(target), None) => TargetKey::of_any_resource(target),
            (None, resource) => TargetKey::of_any_plan(resource.as_ref()),
        }
    }
}

/// The right to ask what became of a purchase, for a payer that was proven when it was given. A door that keeps it (with a task
/// of a random id, for instance) need not ask for another proof.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The purchase.
    pub request_id: RequestId,
    /// Who pays.
    pub payer: Address,
    pub(super) target: TargetKey,
}
