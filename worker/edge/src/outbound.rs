//! Calls to the outside: one deadline for headers and body, no redirects, a limit on the answer's size.

use futures_util::StreamExt as _;
use key0_core::challenge::IssueFault;
use key0_core::credential::remote::{IssueAnswer, IssueCall};
use key0_core::payment::rpc::Http;
use worker::{AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

const RPC_DEADLINE_MILLIS: u32 = 5_000;
const MAX_RPC_ANSWER_BYTES: usize = 1024 * 1024;
/// A credential is small; it has to fit into a purchase's record.
const MAX_CREDENTIAL_BYTES: usize = 64 * 1024;

/// HTTP over the platform's `fetch`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchHttp;

impl Http for FetchHttp {
    async fn post(&self, url: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
        let answer = post(url, &[], &body, RPC_DEADLINE_MILLIS, MAX_RPC_ANSWER_BYTES)
            .await
            .map_err(|error| fault(&error))?;
        // JSON-RPC endpoints put errors of a call into the body, some with a status of 4xx or 5xx.
        let is_json = answer.body.trim_ascii_start().first() == Some(&b'{');
        if !answer.is_success() && !is_json {
            return Err(format!("status {}", answer.status));
        }
        Ok(answer.body)
    }
}

/// Asks the backend for a credential.
pub(crate) async fn issue(call: IssueCall) -> Result<IssueAnswer, IssueFault> {
    let headers = [("idempotency-key", call.idempotency_key.as_str())];
    let answer = post(
        &call.url,
        &headers,
        &call.body,
        call.timeout_millis,
        MAX_CREDENTIAL_BYTES,
    )
    .await;
    match answer {
        Ok(answer) if answer.is_success() => {
            IssueAnswer::parse(answer.body).ok_or(IssueFault::Failed)
        }
        Ok(_) => Err(IssueFault::Failed),
        Err(error) => Err(if is_timeout(&error) {
            IssueFault::Timeout
        } else {
            IssueFault::Failed
        }),
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

async fn post(
    url: &str,
    more_headers: &[(&str, &str)],
    body: &[u8],
    deadline_millis: u32,
    max_answer_bytes: usize,
) -> worker::Result<Answer> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    for (name, value) in more_headers {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(js_sys::Uint8Array::from(body).into()));
    let signal: AbortSignal = web_sys::AbortSignal::timeout_with_u32(deadline_millis).into();
    let mut response = Fetch::Request(Request::new_with_init(url, &init)?)
        .send_with_signal(&signal)
        .await?;
    let status = response.status_code();
    let mut body = Vec::new();
    let mut stream = response.stream()?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if body.len().saturating_add(chunk.len()) > max_answer_bytes {
            return Err("the answer is too large".into());
        }
        body.extend(chunk);
    }
    Ok(Answer { status, body })
}

fn is_timeout(error: &worker::Error) -> bool {
    let text = error.to_string();
    text.contains("TimeoutError") || text.contains("timeout")
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
