//! Sends the messages of the outbox: each until it is accepted or given up, the notifications in their order.

use super::env::{PurchaseEnv, PurchaseStore, StoreFault, Versioned};
use super::lifecycle::Event;
use super::notice;
use super::outbox::{Message, Sending};
use super::report::ledger_entry;
use super::schedule::next_message;
use super::store::{commit, record_fact};

/// The HTTP statuses of a server that has no such endpoint.
const NOBODY_THERE: [u16; 4] = [404, 405, 410, 501];

/// Sends all messages that are due, one after the other.
pub(super) async fn tell_all<E: PurchaseEnv>(env: &E) -> Result<(), StoreFault> {
    while tell(env).await? {}
    Ok(())
}

/// Sends the next message, if it is due. Returns whether another one may be due.
async fn tell<E: PurchaseEnv>(env: &E) -> Result<bool, StoreFault> {
    let Some(stored) = env.store().load()? else {
        return Ok(false);
    };
    let Some((message, at)) = next_message(&stored.record, &env.config().policy()) else {
        return Ok(false);
    };
    let told = |sending| Event::Told { message, sending };
    // The time of the next try is stored before anything is sent. Only the caller that has stored it sends, so no two
    // send at the same time.
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
                // The result is stored even if the purchase has changed meanwhile.
                commit(env, env.store().load()?.as_ref(), told(sending))?;
            }
        }
    }
    Ok(true)
}

/// Sends the oldest open notification to the backend. Returns what came of the try; `None` if the notification must be
/// sent again.
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
