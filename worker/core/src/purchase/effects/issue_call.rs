//! The call to a backend that issues credentials: URL, body and headers.

use crate::json;
use crate::json::Put as _;

use super::super::sold::Access;
use super::super::state::{Payment, Purchase};
use crate::backend::authentication::BackendCall;
use crate::backend::issuance::{self, IssuingBackend};
use crate::types::PlanId;

/// The call for a purchase: with the plan's limits, if it has any, and its `extra` members, as they were when it was sold.
pub(super) fn call(
    backend: &IssuingBackend,
    plan: &PlanId,
    sold: &Access,
    record: &Purchase,
    payment: &Payment,
) -> BackendCall {
    let mut body = json!({
        "requestId": record.terms.request_id,
        "challengeId": record.challenge_id,
        "resourceId": record.terms.resource,
        "planId": plan,
        "txHash": payment.transaction,
        "unitAmount": record.terms.amount,
    });
    if let Some(members) = body.as_object_mut() {
        if !sold.limits.is_none() {
            members.put("limits", json!(sold.limits));
        }
        for (name, value) in &sold.extra {
            members.entry(name).or_insert_with(|| value.clone());
        }
    }
    issuance::call(
        backend,
        body.to_string().into_bytes(),
        record.challenge_id.to_string(),
        record.issuer.clone(),
    )
}
