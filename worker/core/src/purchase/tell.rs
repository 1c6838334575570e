//! Sends what the outbox holds: each message until it is taken, the notices in their order.

use super::env::{PurchaseEnv, PurchaseStore, StoreFault, Versioned};
use super::lifecycle::Event;
use super::notice;
use super::outbox::{Message, Sending};
use super::report::ledger_entry;
use super::schedule::next_message;
use super::store::{commit, record_fact};

/// Statuses of a server that knows no such endpoint.
const NOBODY_THERE: [u16; 4] = [404, 405, 410, 501];

/// Sends what is due, one after the other.
pub(super) async fn tell_all<E: PurchaseEnv>(env: &E) -> Result<(), StoreFault> {
    while tell(env).await? {}
    Ok(())
}

/// Sends the next message, if it is due. Whether there may be another one.
async fn tell<E: PurchaseEnv>(env: &E) -> Result<bool, StoreFault> {
    let Some(stored) = env.store().load()? else {
        return Ok(false);
    };
    let Some((message, at)) = next_message(&stored.record, &env.config().policy()) else {
        return Ok(false);
    };
    let told = |sending| Event::Told { message, sending };
    // The next time is stored before anything is sent. Whoever stores it sends, and no other at the
    // same time.
    if at > env.now() || !commit(env, Some(&stored), told(Sending::Tried))? {
        return Ok(false);
    }
    match message {
        Message::Report => match env
            .ledger(ledger_entry(&stored.record, stored.version))
            .await
        {
            Ok(()) => drop(record_fact(env, &stored, &told(Sending::Taken))?),
            Err(fault) => env.log("report_failed", &fault.0),
        },
        Message::Notice(_) => {
            if let Some(sending) = notify(env, &stored).await {
                // Whatever happened to the purchase meanwhile.
                commit(env, env.store().load()?.as_ref(), told(sending))?;
            }
        }
    }
    Ok(true)
}

/// Sends the oldest notice to the backend. What came of it, if anything did.
async fn notify<E: PurchaseEnv>(env: &E, stored: &Versioned) -> Option<Sending> {
    let (record, outbox) = (&stored.record, &stored.record.outbox);
    let call = match (&env.config().backend.notified, outbox.open.first()) {
        (Some(notified), Some(oldest)) if !outbox.is_hopeless() => {
            notice::call(notified, record, oldest, env.now().to_seconds())
        }
        _ => None,
    };
    let Some(call) = call else {
        env.log("notice_given_up", record.terms.request_id.as_str());
        return Some(Sending::GivenUp);
    };
    let Ok(answer) = env.backend(call).await else {
        env.log("notice_failed", "no answer");
        return None;
    };
    if answer.is_success() {
        return Some(Sending::Taken);
    }
    env.log("notice_failed", &format!("status {}", answer.status));
    let is_unwanted = NOBODY_THERE.contains(&answer.status);
    is_unwanted.then_some(Sending::Unwanted)
}
