//! What a buyer wants, in a form that is the same for every door.

use serde::{Deserialize, Serialize};

use crate::book::TargetKey;
use crate::offer::{Target, Terms};
use crate::pauses::Patience;
use crate::types::{Address, RequestId, ResourceId};

/// What a buyer wants. Every member may be left out: then the cheapest plan is offered, under a new request id.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Order {
    /// The plan or the call.
    pub target: Option<Target>,
    /// For a top-up: whether the buyer has shown a token of the grant.
    pub by_holder: bool,
    /// What the plan should open. If the buyer names nothing, the resource is `default`, or the first that the plan
    /// opens.
    pub resource: Option<ResourceId>,
    /// The purchase. If the buyer names none, a payment goes to the purchase of its offer, or to one whose id follows
    /// from the payment.
    pub request_id: Option<RequestId>,
    /// Whether the client itself chose `request_id`. If so, it means that purchase and no other. If not, the client may
    /// have lost an answer and be starting over, so its payment may join a purchase that it began a moment ago.
    pub chosen: bool,
    /// How long the request waits for an outcome before its client is told that the purchase is pending.
    pub patience: Patience,
}

impl Order {
    /// The members of the order that contradict the offer that is paid.
    pub(super) fn contradictions(&self, terms: &Terms) -> Vec<&'static str> {
        fn differs<T: PartialEq>(ordered: Option<&T>, offered: &T) -> bool {
            ordered.is_some_and(|ordered| ordered != offered)
        }
        [
            (
                // The member's name as the client wrote it.
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

    /// What a payment that does not send its offer back may have bought: only the target and resource that the client
    /// named. What the client left out is not filled in from the catalog, which may have changed since: another plan
    /// may have been the cheapest, or the plan may have opened another resource first. The purchase itself knows what
    /// it sold.
    pub(super) fn covered(&self) -> TargetKey {
        match (&self.target, &self.resource) {
            (Some(target), Some(resource)) => TargetKey::new(target, resource),
            (Some(target), None) => TargetKey::of_any_resource(target),
            (None, resource) => TargetKey::of_any_plan(resource.as_ref()),
        }
    }
}

/// The right to ask what became of a purchase. A claim is given only after the purchase's payer was proven, so a door
/// that keeps the claim needs no other proof. Whoever presents it is believed: keep it out of the client's reach, for
/// instance under a task's random id.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The purchase.
    pub request_id: RequestId,
    /// The wallet that pays.
    pub payer: Address,
    pub(super) target: TargetKey,
    /// Whether the only thing that led to this purchase is an authorization that the purchase had already attempted.
    /// Others may have seen that authorization and presented it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(super) by_attempted: bool,
}

impl Claim {
    /// Whether this claim opens less than the payer's own: the purchase had already taken the payment when it was
    /// presented, so anyone who saw the payment may have presented it.
    pub const fn is_by_attempted(&self) -> bool {
        self.by_attempted
    }
}
