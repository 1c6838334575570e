//! Storing a change: the event is applied to the record that was read, and the result is written if nobody else was
//! faster.

use super::env::{PurchaseEnv, PurchaseStore, StoreFault, Stuck, Versioned};
use super::lifecycle::{Event, apply};
use super::schedule::wake_at;
use super::state::Purchase;

/// Applies an event to the record that was read and stores the result. Returns `false` if somebody else was first or
/// the event does not fit.
pub(super) fn commit<E: PurchaseEnv>(
    env: &E,
    stored: Option<&Versioned>,
    event: Event,
) -> Result<bool, StoreFault> {
    let now = env.now();
    let policy = env.config().policy();
    let Ok(record) = apply(
        stored.map(|stored| &stored.record),
        event.clone(),
        now,
        &policy,
    ) else {
        return Ok(false);
    };
    if !with_answer(env.store(), stored, &record)? {
        return Ok(false);
    }
    let audit = event.audit(&record, now);
    env.store().commit(
        stored.map(|stored| stored.version),
        &record,
        audit.as_ref(),
        wake_at(&record, now, &policy),
    )
}

/// Writes the body of an answer with the record that gains it, and removes it with the record that loses it. Returns
/// `false` if there is no body to write, because memory was lost since the call.
pub(super) fn with_answer<S: PurchaseStore>(
    store: &S,
    stored: Option<&Versioned>,
    after: &Purchase,
) -> Result<bool, StoreFault> {
    let before = stored.map(|stored| &stored.record);
    let held = before.and_then(Purchase::held);
    match after.held() {
        Some(head) if held == Some(head) => Ok(true),
        Some(head) => store.keep_answer(head.number),
        None => {
            // The body of a call that was being made may be stored without a record of it: its commit may have failed.
            let may_be_written = before.is_some_and(Purchase::is_being_called);
            if held.is_some() || (may_be_written && !after.is_being_called()) {
                store.remove_answer()?;
            }
            Ok(true)
        }
    }
}

/// Stores the event that an effect returned, or logs why it got no further. Returns whether the record changed.
pub(super) fn record_outcome<E: PurchaseEnv>(
    env: &E,
    before: &Versioned,
    outcome: &Result<Event, Stuck>,
) -> Result<bool, StoreFault> {
    match outcome {
        Ok(event) => record_fact(env, before, event),
        Err(Stuck::Waiting) => Ok(false),
        Err(Stuck::Fault(fault)) => {
            env.log("effect_failed", fault);
            Ok(false)
        }
    }
}

/// Stores an event that an effect has found out. The record may have changed meanwhile, by a try that the alarm
/// counted; the event stays true as long as the state is the one for which it was found out.
pub(super) fn record_fact<E: PurchaseEnv>(
    env: &E,
    before: &Versioned,
    event: &Event,
) -> Result<bool, StoreFault> {
    if commit(env, Some(before), event.clone())? {
        return Ok(true);
    }
    match env.store().load()? {
        Some(current) if current.record.state == before.record.state => {
            commit(env, Some(&current), event.clone())
        }
        _ => Ok(false),
    }
}
