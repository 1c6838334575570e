//! Rules for calls to facilitators.

use key0_core::chain::SignedAuthorization;
use key0_core::offer::Target;
use key0_core::purchase::{Stage, State};
use key0_core::settlement::facilitator::{Action, FacilitatorCall, Settled, request};

use super::steps::{describe, is_paid_after_its_answer, may_charge};
use crate::objects::PurchaseObject;
use crate::world::World;

/// How long a facilitator that may be settling must be left alone.
const GRACE_MILLIS: u64 = 30_000;

/// Checks a call to a facilitator: the record must announce it, and when the facilitator is told to settle, the price
/// may be charged. Returns the authorization in the call.
pub fn on_facilitator(
    world: &World,
    object: &PurchaseObject,
    call: &FacilitatorCall<'_>,
) -> Option<SignedAuthorization> {
    let id = &object.id;
    let record = object.record()?;
    let State::Pending { attempt } = &record.state else {
        let detail = format!("{:?} while {}", call.action, describe(&record));
        world.violation("facilitator_without_intent", id, detail);
        return None;
    };
    let intended = match attempt.stage {
        Stage::Settling => call.action == Action::Verify,
        Stage::Asked { .. } => call.action == Action::Settle,
        _ => false,
    };
    // The catalog is edited, but always has the same routes.
    let route = match &record.terms.target {
        Target::Plan(_) | Target::TopUp { .. } => None,
        Target::Route { id, .. } => world.config.catalog.route(id),
    };
    let ours = request(
        &record.terms,
        &record.issuer,
        &attempt.broadcast.authorization,
        !is_paid_after_its_answer(&record),
        route,
    );
    // Only the gas wallet creates a payer's wallet: the call for it comes from the payer, and no facilitator gets it.
    let is_ours_alone = attempt.broadcast.authorization.deployment().is_some();
    if !intended || call.body != ours || is_ours_alone {
        let detail = format!("{:?} while {}", call.action, describe(&record));
        world.violation("facilitator_without_intent", id, detail);
    }
    if call.action == Action::Settle {
        may_charge(
            world,
            object,
            &record,
            attempt.broadcast.authorization.authorization(),
        );
        // A payment that is known to have failed is not under way.
        if has_reverted(world, object) {
            object.told_to_settle.set(None);
        }
        object.claimed.borrow_mut().clear();
        let told = object.told_to_settle.replace(Some(world.now().0));
        if told.is_some_and(|told| world.now().0 < told + GRACE_MILLIS) {
            world.violation("settled_blindly", id, format!("{told:?}"));
        }
    }
    Some(attempt.broadcast.authorization.clone())
}

fn has_reverted(world: &World, object: &PurchaseObject) -> bool {
    let chain = world.chain.borrow();
    object.claimed.borrow().iter().any(|hash| {
        chain
            .ledger()
            .receipt(*hash)
            .is_some_and(|receipt| !receipt.success)
    })
}

/// Notes a facilitator's answer. A facilitator that declined to settle may be told to again at once.
pub fn on_facilitator_answer(object: &PurchaseObject, action: Action, answer: Option<&[u8]>) {
    if action != Action::Settle {
        return;
    }
    match answer.map(Settled::parse) {
        Some(Settled::Declined { .. }) => object.told_to_settle.set(None),
        Some(Settled::Named(hash)) => object.claimed.borrow_mut().push(hash),
        _ => {}
    }
}
