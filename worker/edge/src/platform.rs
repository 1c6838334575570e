//! Clock, randomness, waiting, and lines for the operator.

use key0_core::types::UnixMillis;
use serde_json::{Value, json};
use worker::{Date, Delay, console_log};

/// The clock.
pub(crate) fn now() -> UnixMillis {
    UnixMillis(Date::now().as_millis())
}

/// Sixteen random bytes.
pub(crate) fn random() -> Result<[u8; 16], getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Waits.
pub(crate) async fn sleep(millis: u64) {
    Delay::from(core::time::Duration::from_millis(millis)).await;
}

/// Writes one JSON line that `wrangler tail` can filter.
pub(crate) fn log(event: &str, mut facts: Value) {
    if let Some(members) = facts.as_object_mut() {
        members.insert("event".to_owned(), json!(event));
    }
    console_log!("{facts}");
}
