//! A purchase whose alarm was lost is woken again: by its buyer's next request, or by the sweep.
//!
//! Every change of a record sets its alarm in the same storage transaction, and the platform rings it at least once.
//! But the platform gives up on a handler that cannot run, such as that of a deployment which does not start, and
//! storage that takes no writes takes no alarm either. So no repair depends on one alarm.

use super::env::{PurchaseEnv, PurchaseStore, StoreFault, Versioned};
use super::lifecycle::{Event, apply};
use super::schedule::wake_at;
use super::state::Purchase;
use crate::config::Policy;
use crate::pauses::LOST_ALARM;
use crate::types::UnixMillis;

/// If the alarm is missing or long overdue: the time at which it must ring.
fn missing(
    record: &Purchase,
    alarm: Option<UnixMillis>,
    now: UnixMillis,
    policy: &Policy,
) -> Option<UnixMillis> {
    let at = wake_at(record, now, policy)?;
    alarm
        .is_none_or(|alarm| alarm.plus(LOST_ALARM) < now)
        .then_some(at)
}

/// Sets the alarm if it is missing. Returns whether it was.
async fn rearm<S: PurchaseStore>(
    store: &S,
    record: &Purchase,
    now: UnixMillis,
    policy: &Policy,
) -> Result<bool, StoreFault> {
    let alarm = store.alarm().await?;
    match missing(record, alarm, now, policy) {
        Some(at) => store.set_alarm(at).map(|()| true),
        None => Ok(false),
    }
}

/// Sets a missing alarm when the buyer sends a request. The answer does not depend on whether that succeeds.
pub(super) async fn rearm_for_buyer<E: PurchaseEnv>(env: &E, record: &Purchase) {
    match rearm(env.store(), record, env.now(), &env.config().policy()).await {
        Ok(false) => {}
        Ok(true) => env.log("alarm_was_lost", record.terms.request_id.as_str()),
        Err(fault) => env.log("alarm_not_set", &fault.0),
    }
}

/// Checks a purchase for the sweep: sets a missing alarm, and has a report that has failed before sent again soon.
/// Returns whether there was anything to do.
pub async fn nudge<S: PurchaseStore>(
    store: &S,
    now: UnixMillis,
    policy: &Policy,
) -> Result<bool, StoreFault> {
    let Some(Versioned { version, record }) = store.load()? else {
        return Ok(false);
    };
    if record.outbox.report.is_some_and(|tries| tries.count > 0)
        && let Ok(after) = apply(Some(&record), Event::ReportAsked, now, policy)
        // If somebody else was faster, the commit of that change has set the alarm.
        && store.commit(Some(version), &after, None, wake_at(&after, now, policy))?
    {
        return Ok(true);
    }
    rearm(store, &record, now, policy).await
}
