//! Tells the backend what the outbox holds: in order, each notice until it is taken.

use super::env::{PurchaseEnv, PurchaseStore, StoreFault};
use super::lifecycle::Event;
use super::notice;
use super::outbox::NoticeEvent;
use super::store::commit;

/// How often a fact is stored again because the purchase moved at the same moment.
const MAX_RACES: usize = 8;
/// Statuses of a server that knows no such endpoint.
const NOBODY_THERE: [u16; 4] = [404, 405, 410, 501];

/// Sends what is due, one after the other.
pub(super) async fn notify_all<E: PurchaseEnv>(env: &E) -> Result<(), StoreFault> {
    while notify(env).await? {}
    Ok(())
}

/// Sends the oldest notice, if it is due. Whether it is done with.
async fn notify<E: PurchaseEnv>(env: &E) -> Result<bool, StoreFault> {
    let Some(stored) = env.store().load()? else {
        return Ok(false);
    };
    let record = &stored.record;
    let now = env.now();
    let (Some(oldest), Some(due_at)) = (record.outbox.open.first(), record.outbox.due_at()) else {
        return Ok(false);
    };
    // The backend of one network hears of no purchase on another.
    if due_at > now || record.terms.network != env.config().network {
        return Ok(false);
    }
    let number = record.outbox.number();
    let call = match &env.config().backend.notified {
        Some(notified) if !record.outbox.is_hopeless() => {
            notice::call(notified, record, oldest, now.to_seconds())
        }
        _ => None,
    };
    let Some(call) = call else {
        env.log("notice_given_up", record.terms.request_id.as_str());
        return settle(env, number, NoticeEvent::GivenUp).await;
    };
    // The next time is stored before anything is sent. Whoever stores it sends: nobody else at the same time.
    let event = NoticeEvent::Tried;
    if !commit(env, Some(&stored), Event::Notice { number, event })? {
        return Ok(false);
    }
    let fault = match env.backend(call).await {
        Ok(answer) if answer.is_success() => {
            return settle(env, number, NoticeEvent::Taken).await;
        }
        Ok(answer) => {
            if NOBODY_THERE.contains(&answer.status) {
                settle(env, number, NoticeEvent::Unwanted).await?;
            }
            format!("status {}", answer.status)
        }
        Err(_) => "no answer".to_owned(),
    };
    env.log("notice_failed", &fault);
    Ok(false)
}

/// Stores what came of a notice, whatever happened to the purchase meanwhile. Whether that was news.
async fn settle<E: PurchaseEnv>(
    env: &E,
    number: u32,
    event: NoticeEvent,
) -> Result<bool, StoreFault> {
    for _ in 0..MAX_RACES {
        let stored = env.store().load()?;
        if commit(env, stored.as_ref(), Event::Notice { number, event })? {
            return Ok(true);
        }
        if stored.is_none_or(|stored| stored.record.outbox.number() != number) {
            return Ok(false);
        }
    }
    Ok(false)
}
