//! What a buyer wants, whatever the wire.

use serde::{Deserialize, Serialize};

use crate::book::TargetKey;
use crate::offer::{Target, Terms};
use crate::pauses::Patience;
use crate::types::{Address, RequestId, ResourceId};

/// What a buyer wants. Everything may be left out: then the cheapest plan is offered, under a new request id.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Order {
    /// The plan or the call.
    pub target: Option<Target>,
    /// What the plan should open. Where none is named that is `default`, or the first that the plan opens.
    pub resource: Option<ResourceId>,
    /// The purchase. Without an id a payment's purchase is that of its offer, or one whose id follows from the payment.
    pub request_id: Option<RequestId>,
    /// Whether the client itself chose `request_id`. Then it means that purchase and no other. Otherwise it may have lost an
    /// answer and be starting over, so its payment may join a purchase that it began a moment ago.
    pub chosen: bool,
    /// How long the request waits for an outcome before it is told that the purchase is pending.
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

    /// What a payment that does not bring its offer back may have bought: of target and resource only what the client named.
    /// For what it left out the catalog may have had another answer then: another plan was the cheapest, or the plan opened
    /// another resource first. The purchase knows which.
    pub(super) fn covered(&self) -> TargetKey {
        match (&self.target, &self.resource) {
            (Some(target), Some(resource)) => TargetKey::new(target, resource),
            (Some(target), None) => TargetKey::of_any_resource(target),
            (None, resource) => TargetKey::of_any_plan(resource.as_ref()),
        }
    }
}

/// The right to ask what became of a purchase. It is given only after its payer was proven, so a door that keeps it needs no
/// other proof. Whoever presents it is believed: keep it out of the client's reach, for instance under a task's random id.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The purchase.
    pub request_id: RequestId,
    /// Who pays.
    pub payer: Address,
    pub(super) target: TargetKey,
    /// Whether only the very authorization that this purchase has attempted led to it, which others may have seen and shown.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(super) by_attempted: bool,
}

impl Claim {
    /// Whether it opens less than the payer's own claim: the purchase had already taken the payment when it was presented, so
    /// anyone who saw the payment may have presented it.
    pub const fn is_by_attempted(&self) -> bool {
        self.by_attempted
    }
}
