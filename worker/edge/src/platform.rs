//! Clock, randomness, waiting, whole bodies, and lines for the operator.

use js_sys::Uint8Array;
use key0_core::types::UnixMillis;
use serde_json::{Value, json};
use wasm_bindgen_futures::JsFuture;
use worker::{Date, Delay, Response, ResponseBody, console_log};

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

/// Reads a body whose length is known to be bounded, in one piece. (The platform crate reads every body piece by piece, at
/// several times the cost.)
pub(crate) async fn whole_body(response: &Response) -> worker::Result<Vec<u8>> {
    let ResponseBody::Stream(stream) = response.body() else {
        return Ok(Vec::new());
    };
    let body = web_sys::Response::new_with_opt_readable_stream(Some(stream))?.array_buffer()?;
    Ok(Uint8Array::new(&JsFuture::from(body).await?).to_vec())
}
