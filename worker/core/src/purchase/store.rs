//! Storing a change: what happened is applied to the record that was read, and written if nobody else was faster.

use super::env::{PurchaseEnv, PurchaseStore, StoreFault, Stuck, Versioned};
use super::lifecycle::{Event, apply};
use super::schedule::wake_at;

/// Applies an event to what was read and stores the result. `false` when somebody else was first or the event does not
/// fit.
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
    let audit = event.audit(&record, now);
    env.store().commit(
        stored.map(|stored| stored.version),
        &record,
        audit.as_ref(),
        wake_at(&record, now, &policy),
    )
}

/// Stores what an effect has found out, if it has. Whether that changed the record.
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

/// Stores what an effect has found out. The alarm may have counted a try meanwhile; a fact stays true as long as the
/// state that it was found out for is still the same.
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
