//! What must hold of answers that are passed on while they arrive.

use key0_core::catalog::Settle;
use key0_core::goods::Goods;
use key0_core::purchase::{Purchase, State, StreamEnd};

use super::is_executed;
use super::routes::call_of;
use super::steps::describe;
use crate::objects::{Passed, PurchaseObject};
use crate::world::World;

/// If an answer is cut, the buyer is to blame if it has let the answer wait for this many
/// milliseconds.
const SLOW_MILLIS: u64 = 30_000;

/// Checks a piece of an answer that leaves for the buyer: the record must have said before that the
/// answer is passed on while it arrives.
pub fn on_piece(world: &World, object: &PurchaseObject, number: u32) {
    let record = object.record();
    let is_intended = record.as_ref().is_some_and(|record| {
        let is_sold = call_of(record).is_some_and(|sold| sold.settle == Settle::Before);
        let is_said = matches!(
            &record.state,
            State::Paid { failure: None, calling: Some(calling), .. }
                if calling.streaming && calling.number == number
        );
        is_sold && is_said && is_executed(world, object, record)
    });
    if !is_intended {
        let detail = format!("{number} while {:?}", record.as_ref().map(describe));
        world.violation("streamed_without_intent", &object.id, detail);
    }
}

/// The purchase has given out the head of an answer.
pub(super) fn on_head(world: &World, object: &PurchaseObject, record: &Purchase, goods: &Goods) {
    let status = goods.answer().map(|head| head.status);
    let is_charged = call_of(record)
        .zip(status)
        .is_some_and(|(sold, status)| sold.charged.includes(status));
    if !is_charged {
        let detail = format!("{goods:?} while {}", describe(record));
        world.violation("released_unpaid", &object.id, detail);
    }
}

/// A call leaves the purchase: not after one was delivered.
pub(super) fn on_call(world: &World, object: &PurchaseObject) {
    let passed = object.passed.borrow();
    if passed.values().any(|passed| passed.is_delivered) {
        let detail = format!("{passed:?}");
        world.violation("called_after_the_end", &object.id, detail);
    }
}

/// A record was stored.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    let passed = object.passed.borrow();
    let is_returned = matches!(
        after.state,
        State::RefundPending { .. } | State::RefundBlocked { .. } | State::Refunded { .. }
    );
    if is_returned && passed.values().any(|passed| passed.is_delivered) {
        let detail = format!("{passed:?} while {}", describe(after));
        world.violation("refund_after_the_end", &object.id, detail);
    }
    let was_paid = before.is_some_and(|before| matches!(before.state, State::Paid { .. }));
    let is_closed = matches!(after.state, State::Closed { .. });
    if was_paid && is_closed && !passed.values().any(has_reached_its_end) {
        let detail = format!("{passed:?}");
        world.violation("closed_without_an_end", &object.id, detail);
    }
}

/// Whether an answer came to its end, or it is the buyer's fault that it did not.
fn has_reached_its_end(passed: &Passed) -> bool {
    match passed.ended {
        Some((StreamEnd::Whole | StreamEnd::Left, _)) => true,
        Some((StreamEnd::Cut | StreamEnd::TimeUp | StreamEnd::Silent, waited)) => {
            waited >= SLOW_MILLIS
        }
        Some((StreamEnd::Lost, _)) | None => false,
    }
}

/// Rule: whoever saw the end of an answer has paid for it.
pub(super) fn at_end(world: &World) {
    for object in world.objects.purchases() {
        let Some(record) = object.record() else {
            continue;
        };
        let passed = object.passed.borrow();
        let is_whole = passed.values().any(|passed| passed.is_whole);
        if is_whole && !matches!(record.state, State::Closed { .. }) {
            let detail = format!("{passed:?} while {}", describe(&record));
            world.violation("whole_and_not_paid", &object.id, detail);
        }
    }
}
