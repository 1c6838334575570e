//! What must hold while the backend fails, and of purchases that have lost their alarm.

use core::cell::Cell;

use key0_core::goods::DeliveryFault;
use key0_core::purchase::{Purchase, Stage, State, wake_at};

use super::money;
use crate::objects::PurchaseObject;
use crate::world::World;

/// So many purchases may fail to be delivered in a row before no more are begun.
const MOST_FAILURES: u32 = 3;
/// Then one may be tried in so many milliseconds.
const PAUSE_MILLIS: u64 = 30_000;

/// How deliveries have gone since the runtime began.
#[derive(Debug, Default)]
pub struct Deliveries {
    failures: Cell<u32>,
    last: Cell<u64>,
}

impl Deliveries {
    /// The backend has issued something; or the runtime, which knew better, is gone.
    pub fn reset(&self) {
        self.failures.set(0);
    }
}

/// A record was stored.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    let deliveries = &world.deliveries;
    let now = world.now().0;
    // A plan that is gone says nothing of the others.
    let has_failed = |record: &Purchase| {
        matches!(
            record.state,
            State::Paid {
                failure: Some(failure),
                ..
            } if failure.fault != DeliveryFault::PlanGone
        )
    };
    if has_failed(after) && before.is_some_and(|before| !has_failed(before)) {
        deliveries.failures.set(deliveries.failures.get() + 1);
        deliveries.last.set(now);
    }
    let is_attempt = |record: &Purchase| matches!(&record.state, State::Pending { attempt } if attempt.stage == Stage::Reserving);
    if !is_attempt(after)
        || before.is_some_and(is_attempt)
        || deliveries.failures.get() < MOST_FAILURES
    {
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

/// Whether no sweep can find it: it has lost its alarm, and no money of it has moved that a payer's book knows.
pub(super) fn is_out_of_sight(world: &World, object: &PurchaseObject, record: &Purchase) -> bool {
    has_lost_alarm(world, object, record)
        && (matches!(record.state, State::Proving { .. })
            || money::received(world, object, record).is_none())
}
