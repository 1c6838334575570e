//! Rules for notifications: the backend gets all of them, in order, and only true ones.

use key0_core::backend::authentication::BackendCall;
use key0_core::purchase::{Purchase, State};

use super::outages::has_lost_alarm;
use super::routes::call_of;
use super::steps::describe;
use crate::objects::PurchaseObject;
use crate::world::World;

/// For how long a notification is tried.
const LONGEST_MILLIS: u64 = 48 * 3_600_000;
/// How long after now the last try may be, if that time has passed.
const LAST_MILLIS: u64 = 60_000;

/// Checks a record that was just stored: it must have every notification of its states, and the next try must not come
/// too late.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    let is_new =
        before.is_none_or(|before| before.state.status().as_str() != after.state.status().as_str());
    if is_new
        && world.setting.notifies
        && let Some(kind) = kind_of(after)
    {
        object.news.borrow_mut().push(kind);
    }
    // However often a notification was tried, the next try comes within its two days; the very last may come shortly
    // after.
    let outbox = &after.outbox;
    let latest = (outbox.since.0 + LONGEST_MILLIS).max(world.now().0 + LAST_MILLIS);
    if outbox.notice_at().is_some_and(|due_at| due_at.0 > latest) {
        world.violation("told_too_late", &object.id, format!("{outbox:?}"));
    }
    let kept = after.outbox.done as usize + after.outbox.open.len();
    if kept != object.news.borrow().len() {
        let detail = format!("{:?}, but {:?}", after.outbox, object.news.borrow());
        world.violation("notice_lost", &object.id, detail);
    }
}

/// The notification for the record's state, if there is one. Of calls only refunds are notified, unless the seller
/// wants more.
fn kind_of(record: &Purchase) -> Option<&'static str> {
    match &record.state {
        State::Delivered { .. } | State::Closed { .. }
            if record.terms.target.plan().is_none()
                && !call_of(record).is_some_and(|call| call.notify) =>
        {
            None
        }
        State::Delivered { .. } | State::Closed { .. } => Some("payment.delivered"),
        State::Refunded { .. } => Some("payment.refunded"),
        State::RefundFailed { .. } | State::RefundBlocked { retried: false, .. } => {
            Some("payment.refund_failed")
        }
        _ => None,
    }
}

/// Checks a notification that arrives at the backend: it must be true, hold no credential, come in its order, and be
/// the same at each try.
pub fn on_notice(world: &World, call: &BackendCall) {
    let key = call.idempotency_key.as_str();
    let found = key.rsplit_once(':').and_then(|(offer, number)| {
        let objects = world.objects.purchases();
        let object = objects.into_iter().find(|object| {
            let record = object.record();
            record.is_some_and(|record| record.challenge_id.as_str() == offer)
        })?;
        Some((object, number.parse::<usize>().ok()?))
    });
    let Some((object, number)) = found else {
        return world.violation("false_notice", key, "there is no such purchase".to_owned());
    };
    let body = String::from_utf8_lossy(&call.body);
    let kind = object.news.borrow().get(number.wrapping_sub(1)).copied();
    if kind.is_none_or(|kind| !body.contains(&format!("\"{kind}\""))) {
        let state = object.record().map(|record| describe(&record));
        world.violation("false_notice", &object.id, format!("{body} is {state:?}"));
    }
    if world.backend.has_issued_any(&body) {
        world.violation("token_told", &object.id, body.to_string());
    }
    let mut told = world.backend.told.borrow_mut();
    let earlier = key.trim_end_matches(|last| last != ':').to_owned() + &(number - 1).to_string();
    if number > 1 && !told.contains_key(&earlier) {
        let record = object.record();
        // A notification that was given up never arrives, so a later one may arrive without it.
        if record.is_none_or(|record| record.outbox.given_up == 0) {
            world.violation(
                "notices_disordered",
                &object.id,
                format!("{number} comes first"),
            );
        }
    }
    let bodies = told.entry(key.to_owned()).or_default();
    if !bodies.contains(&call.body) {
        bodies.push(call.body.clone());
    }
    if bodies.len() > 1 {
        world.violation("notice_changed", &object.id, format!("{bodies:?}"));
    }
}

/// Rule: when the backend works and there was time enough, it has got every notification.
pub fn all_told(world: &World) {
    let told = world.backend.told.borrow();
    for object in world.objects.purchases() {
        let Some(record) = object.record() else {
            continue;
        };
        let count = object.news.borrow().len();
        let is_told =
            |number: &usize| told.contains_key(&format!("{}:{number}", record.challenge_id));
        let missing: Vec<usize> = (1..=count).filter(|number| !is_told(number)).collect();
        // The ledger counts a delivered purchase as over, so no sweep finds one that has lost its alarm.
        if (!missing.is_empty() || !record.outbox.open.is_empty())
            && !has_lost_alarm(world, &object, &record)
        {
            let detail = format!("{missing:?} of {count}, {:?}", record.outbox);
            world.violation("not_told", &object.id, detail);
        }
    }
}
