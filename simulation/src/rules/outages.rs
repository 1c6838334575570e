//! Rules for times when the backend or the seller's API fails, and for purchases that have lost their alarm.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use alloy_primitives::Address;
use key0_core::goods::{DeliveryFault, OriginFault};
use key0_core::offer::Target;
use key0_core::purchase::{Arrived, OriginCall, Purchase, Stage, State, wake_at};
use key0_core::types::RouteId;

use super::money;
use crate::objects::PurchaseObject;
use crate::world::World;

/// How many deliveries may fail in a row before no further purchase begins.
const MOST_FAILURES: u32 = 3;
/// The pause after which one purchase may begin nevertheless, in milliseconds.
const PAUSE_MILLIS: u64 = 30_000;
/// Two failures of calls that are at least this many milliseconds apart are not failures in a row.
const FORGOTTEN_MILLIS: u64 = 600_000;

/// How deliveries, and the calls of each route, have gone since the runtime began.
#[derive(Debug, Default)]
pub struct Deliveries {
    failures: Cell<u32>,
    last: Cell<u64>,
    routes: RefCell<BTreeMap<RouteId, Calls>>,
}

/// How the calls of a route have gone.
#[derive(Debug, Default)]
struct Calls {
    /// The payers whose calls have failed since the last answer.
    failed: Vec<Address>,
    last: u64,
}

impl Calls {
    /// Whether calls of the route are sold to this payer only one by one, with pauses.
    fn keep_failing(&self, payer: Address) -> bool {
        self.failed.len() >= MOST_FAILURES as usize
            && (self.failed.contains(&payer) || self.are_of_several())
    }

    fn are_of_several(&self) -> bool {
        self.failed
            .iter()
            .any(|payer| Some(payer) != self.failed.first())
    }
}

impl Deliveries {
    /// Forgets the failures: the backend has issued something, or the runtime that remembered them is gone.
    pub fn reset(&self) {
        self.failures.set(0);
    }

    /// Forgets how deliveries and calls went: the runtime that remembered it is gone.
    pub fn forget(&self) {
        self.reset();
        self.routes.take();
    }
}

/// Notes how a call to the seller's API went. A call that costs nothing when it fails closes no route.
pub fn on_called(world: &World, call: &OriginCall, answer: &Result<Arrived, OriginFault>) {
    if call.transaction.is_none() {
        return;
    }
    let mut routes = world.deliveries.routes.borrow_mut();
    let calls = routes.entry(call.route.clone()).or_default();
    let now = world.now().0;
    match answer {
        Err(OriginFault::Busy | OriginFault::TooLarge) => {}
        // How much its answer may hold is the caller's doing, so this says nothing of the API.
        Ok(Arrived::Whole(head)) if head.length > call.limit as u64 => {}
        Ok(Arrived::Whole(head) | Arrived::Begun(head)) if head.status < 500 => {
            *calls = Calls::default();
        }
        _ => {
            if now >= calls.last + FORGOTTEN_MILLIS {
                calls.failed.clear();
            }
            calls.failed.push(call.payer);
            calls.last = now;
        }
    }
}

/// Checks a purchase of a call that has just begun: while the route's calls keep failing, there must have been a pause.
fn on_call_begun(world: &World, object: &PurchaseObject, record: &Purchase) {
    let Target::Route { id, .. } = &record.terms.target else {
        return;
    };
    let mut routes = world.deliveries.routes.borrow_mut();
    let Some(calls) = routes
        .get_mut(id)
        .filter(|calls| calls.keep_failing(record.payer))
    else {
        return;
    };
    let now = world.now().0;
    if now < calls.last + PAUSE_MILLIS {
        let detail = format!("{} calls of {id} in a row have failed", calls.failed.len());
        world.violation("begun_while_undeliverable", &object.id, detail);
    }
    calls.last = now;
}

/// Checks a record that was just stored: after several failed deliveries in a row, purchases of plans begin only one by
/// one, with pauses.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    let deliveries = &world.deliveries;
    let now = world.now().0;
    // A plan that is gone says nothing of the deliveries of other plans.
    let has_failed = |record: &Purchase| {
        matches!(
            record.state,
            State::Paid {
                failure: Some(failure),
                ..
            } if failure.fault != DeliveryFault::PlanGone && !failure.fault.is_of_a_call()
        )
    };
    if has_failed(after) && before.is_some_and(|before| !has_failed(before)) {
        deliveries.failures.set(deliveries.failures.get() + 1);
        deliveries.last.set(now);
    }
    let is_attempt = |record: &Purchase| matches!(&record.state, State::Pending { attempt } if attempt.stage == Stage::Reserving);
    if !is_attempt(after) || before.is_some_and(is_attempt) {
        return;
    }
    on_call_begun(world, object, after);
    if after.terms.target.plan().is_none() || deliveries.failures.get() < MOST_FAILURES {
        return;
    }
    if now < deliveries.last.get() + PAUSE_MILLIS {
        let detail = format!(
            "{} deliveries in a row have failed",
            deliveries.failures.get()
        );
        world.violation("begun_while_undeliverable", &object.id, detail);
    }
    deliveries.last.set(now);
}

/// Whether nothing will wake this purchase but its buyer, or a sweep.
pub(super) fn has_lost_alarm(world: &World, object: &PurchaseObject, record: &Purchase) -> bool {
    let policy = world.config.policy();
    object.alarm.at().is_none() && wake_at(record, world.now(), &policy).is_some()
}

/// Whether no sweep can find the purchase: it has lost its alarm, and it has no payment on chain that a payer's book
/// knows.
pub(super) fn is_out_of_sight(world: &World, object: &PurchaseObject, record: &Purchase) -> bool {
    has_lost_alarm(world, object, record)
        && (matches!(record.state, State::Proving { .. })
            || money::received(world, object, record).is_none())
}
