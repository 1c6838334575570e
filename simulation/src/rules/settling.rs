//! What must hold when a facilitator is asked.

use key0_core::chain::SignedAuthorization;
use key0_core::purchase::{Stage, State};
use key0_core::settlement::facilitator::{Action, FacilitatorCall, Settled, request};

use super::steps::{describe, may_charge};
use crate::objects::PurchaseObject;
use crate::world::World;

/// How long a facilitator is left alone that may be settling.
const GRACE_MILLIS: u64 = 30_000;

/// A facilitator is about to be asked. Returns what it is asked about.
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
    let ours = request(
        &record.terms,
        &record.issuer,
        &attempt.broadcast.authorization,
    );
    // It would have to create the payer's wallet, by a call that somebody else has written.
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
        // What is known to have failed is not under way.
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

/// What it answered arrives. Who has declined may be asked again at once.
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
