//! The platform's clock, randomness, timers, bodies, and log.

use js_sys::Uint8Array;
use key0_core::json;
use key0_core::json::Put as _;
use key0_core::types::UnixMillis;
use serde_json::Value;
use wasm_bindgen_futures::JsFuture;
use web_sys::RequestInit;
use worker::{Date, Delay, Headers, Request, Response, ResponseBody, console_log};

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

/// Waits for `millis` milliseconds.
pub(crate) async fn sleep(millis: u64) {
    Delay::from(core::time::Duration::from_millis(millis)).await;
}

/// Writes one JSON line that `wrangler tail` can filter.
pub(crate) fn log(event: &str, mut facts: Value) {
    if let Some(members) = facts.as_object_mut() {
        members.put("event", json!(event));
    }
    console_log!("{facts}");
}

/// A request. (The platform crate's own `RequestInit` carries along all that Cloudflare can do to an image.)
pub(crate) fn request(url: &str, init: &RequestInit) -> worker::Result<Request> {
    let request = web_sys::Request::new_with_str_and_init(url, init)?;
    Ok(request.into())
}

/// Reads a body whose length is known to be bounded, in one piece. (The platform crate reads every body piece by piece, at
/// several times the cost.)
pub(crate) async fn whole_body(response: &Response) -> worker::Result<Uint8Array> {
    let ResponseBody::Stream(stream) = response.body() else {
        return Ok(Uint8Array::new_with_length(0));
    };
    let body = web_sys::Response::new_with_opt_readable_stream(Some(stream))?.array_buffer()?;
    Ok(Uint8Array::new(&JsFuture::from(body).await?))
}

/// Reads the body of a request, in one piece.
pub(crate) async fn whole_request(request: &Request) -> worker::Result<Uint8Array> {
    let body = request.inner().array_buffer()?;
    Ok(Uint8Array::new(&JsFuture::from(body).await?))
}

/// A response with this body. The body's bytes stay outside of wasm's memory.
pub(crate) fn response_of(
    status: u16,
    headers: &Headers,
    body: Option<&Uint8Array>,
) -> worker::Result<Response> {
    let init = web_sys::ResponseInit::new();
    init.set_status(status);
    init.set_headers(&headers.0);
    // Some statuses have no body, not even an empty one (RFC 9110, section 6.4.1).
    let body = body.filter(|body| body.length() > 0);
    let response = match body {
        Some(body) => web_sys::Response::new_with_opt_js_u8_array_and_init(Some(body), &init),
        None => web_sys::Response::new_with_opt_str_and_init(None, &init),
    };
    Ok(response?.into())
}

/// A response with a body that is still arriving.
pub(crate) fn streamed(
    status: u16,
    headers: &Headers,
    body: &web_sys::ReadableStream,
) -> worker::Result<Response> {
    let init = web_sys::ResponseInit::new();
    init.set_status(status);
    init.set_headers(&headers.0);
    let response = web_sys::Response::new_with_opt_readable_stream_and_init(Some(body), &init)?;
    Ok(response.into())
}
