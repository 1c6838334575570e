//! Calls to the outside: one deadline for headers and body, no redirects, a limit on the answer's size.

use futures_util::StreamExt as _;
use key0_core::payment::rpc::Http;
use worker::{AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

const DEADLINE_MILLIS: u32 = 5_000;
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// HTTP over the platform's `fetch`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchHttp;

impl Http for FetchHttp {
    async fn post(&self, url: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
        post(url, body).await.map_err(|error| fault(&error))
    }
}

async fn post(url: &str, body: Vec<u8>) -> worker::Result<Vec<u8>> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(js_sys::Uint8Array::from(body.as_slice()).into()));
    let signal: AbortSignal = web_sys::AbortSignal::timeout_with_u32(DEADLINE_MILLIS).into();
    let mut response = Fetch::Request(Request::new_with_init(url, &init)?)
        .send_with_signal(&signal)
        .await?;
    let status = response.status_code();
    let mut answer = Vec::new();
    let mut stream = response.stream()?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if answer.len().saturating_add(chunk.len()) > MAX_ANSWER_BYTES {
            return Err("the answer is too large".into());
        }
        answer.extend(chunk);
    }
    // JSON-RPC endpoints put errors of a call into the body, some with a status of 4xx or 5xx.
    let is_json = answer.trim_ascii_start().first() == Some(&b'{');
    if !(200..300).contains(&status) && !is_json {
        return Err(format!("status {status}").into());
    }
    Ok(answer)
}

/// The cause for the log, without the URL, which may contain an access key.
fn fault(error: &worker::Error) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !word.contains("://"))
        .collect();
    words.join(" ").chars().take(200).collect()
}
