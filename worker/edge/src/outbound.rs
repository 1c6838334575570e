//! Calls to the outside (chain, backend, facilitators): one deadline for headers and body, no redirects, a limit on the answer's size.

use futures_util::StreamExt as _;
use key0_core::challenge::{CallFault, ChainMemory, IssueFault};
use key0_core::config::Config;
use key0_core::credential::backend::{BackendAnswer, BackendCall};
use key0_core::credential::oauth::{MAX_TOKEN_ANSWER_BYTES, OAuthClient, TOKEN_DEADLINE_MILLIS};
use key0_core::payment::endpoints::{EndpointMemory, Http, HttpFault};
use key0_core::payment::facilitator::{FacilitatorCall, MAX_ANSWER_BYTES};
use key0_core::payment::rpc::RpcChain;
use key0_core::types::UnixMillis;
use serde_json::json;
use worker::{AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

use crate::{cdp, platform};

const MAX_RPC_ANSWER_BYTES: usize = 1024 * 1024;
const TOO_LARGE: &str = "the answer is too large";
/// A credential is small; it has to fit into a purchase's record.
const MAX_CREDENTIAL_BYTES: usize = 64 * 1024;

thread_local! {
    // One for the isolate's life: the endpoints are the same for all that it serves.
    static ENDPOINTS: &'static EndpointMemory = Box::leak(Box::default());
    // The same chain for all purchases that the isolate serves.
    static CHAIN: &'static ChainMemory = Box::leak(Box::default());
}

/// The configured chain.
pub(crate) fn chain(config: &Config) -> RpcChain<'_, FetchHttp> {
    let memory = ENDPOINTS.with(|memory| *memory);
    RpcChain::new(FetchHttp, &config.rpc_urls, config.network, memory)
}

/// What this isolate remembers of the configured chain.
pub(crate) fn chain_memory() -> &'static ChainMemory {
    CHAIN.with(|memory| *memory)
}

/// HTTP over the platform's `fetch`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchHttp;

impl Http for FetchHttp {
    async fn post(
        &self,
        url: &str,
        body: Vec<u8>,
        deadline_millis: u32,
    ) -> Result<Vec<u8>, HttpFault> {
        let answer = post(url, &[], &body, deadline_millis, MAX_RPC_ANSWER_BYTES)
            .await
            .map_err(|error| match fault(&error) {
                text if text.contains(TOO_LARGE) => HttpFault::TooLarge,
                text => HttpFault::NoAnswer(text),
            })?;
        // JSON-RPC endpoints put errors of a call into the body, some with a status of 4xx or 5xx.
        if !answer.is_success() && !answer.begins_with(b"{[") {
            return Err(HttpFault::Status(answer.status));
        }
        Ok(answer.body)
    }

    fn now(&self) -> UnixMillis {
        platform::now()
    }

    fn skipped(&self, endpoint: usize, fault: &str) {
        platform::log(
            "rpc_endpoint_skipped",
            json!({"endpoint": endpoint, "detail": fault}),
        );
    }
}

/// Calls the backend.
pub(crate) async fn backend(
    call: &BackendCall,
    authentication: Option<(&str, &str)>,
) -> Result<BackendAnswer, IssueFault> {
    let mut headers = vec![("idempotency-key", call.idempotency_key.as_str())];
    headers.extend(
        call.headers
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    headers.extend(authentication);
    let deadline = call.timeout_millis;
    match post(
        &call.url,
        &headers,
        &call.body,
        deadline,
        MAX_CREDENTIAL_BYTES,
    )
    .await
    {
        Ok(Answer { status, body }) => Ok(BackendAnswer { status, body }),
        Err(error) => {
            platform::log("backend_call_failed", json!({"detail": fault(&error)}));
            Err(match is_timeout(&error) {
                true => IssueFault::Timeout,
                false => IssueFault::Failed,
            })
        }
    }
}

/// Asks an authorization server for a token. Its answer may name the secret, so only the status is told.
pub(crate) async fn access_token(client: &OAuthClient) -> Result<Vec<u8>, String> {
    let answer = post(
        client.token_url.as_str(),
        &[("content-type", "application/x-www-form-urlencoded")],
        client.form().as_bytes(),
        TOKEN_DEADLINE_MILLIS,
        MAX_TOKEN_ANSWER_BYTES,
    )
    .await
    .map_err(|error| fault(&error))?;
    match answer.is_success() {
        true => Ok(answer.body),
        false => Err(format!("status {}", answer.status)),
    }
}

/// Asks a facilitator. The body says what it has decided, whatever the status.
pub(crate) async fn facilitator(call: FacilitatorCall<'_>) -> Result<Vec<u8>, CallFault> {
    let mut headers = Vec::new();
    let token;
    if let Some(key) = call.facilitator.key() {
        let path = call.facilitator.url().path_of(call.action.path());
        token = cdp::bearer(key, call.action.method(), &path)
            .await
            .map_err(|_| CallFault("the API key cannot be used".to_owned()))?;
        headers.push(("authorization", token.as_str()));
    }
    let url = call.facilitator.url().join(call.action.path());
    let (method, body) = match call.body.is_empty() {
        true => (Method::Get, None),
        false => (Method::Post, Some(call.body.as_slice())),
    };
    let deadline = call.action.deadline_millis();
    let answer = send(method, &url, &headers, body, deadline, MAX_ANSWER_BYTES)
        .await
        .map_err(|error| CallFault(fault(&error)))?;
    if !answer.is_success() && !answer.begins_with(b"{") {
        return Err(CallFault(format!("status {}", answer.status)));
    }
    Ok(answer.body)
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    fn begins_with(&self, any_of: &[u8]) -> bool {
        let first = self.body.trim_ascii_start().first();
        first.is_some_and(|first| any_of.contains(first))
    }
}

async fn post(
    url: &str,
    more_headers: &[(&str, &str)],
    body: &[u8],
    deadline_millis: u32,
    max_answer_bytes: usize,
) -> worker::Result<Answer> {
    send(
        Method::Post,
        url,
        more_headers,
        Some(body),
        deadline_millis,
        max_answer_bytes,
    )
    .await
}

async fn send(
    method: Method,
    url: &str,
    more_headers: &[(&str, &str)],
    body: Option<&[u8]>,
    deadline_millis: u32,
    max_answer_bytes: usize,
) -> worker::Result<Answer> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    for (name, value) in more_headers {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(method)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual)
        .with_body(body.map(|body| js_sys::Uint8Array::from(body).into()));
    let signal: AbortSignal = web_sys::AbortSignal::timeout_with_u32(deadline_millis).into();
    let mut response = Fetch::Request(Request::new_with_init(url, &init)?)
        .send_with_signal(&signal)
        .await?;
    let status = response.status_code();
    // What has announced its length is not read piece by piece: that would cost more than the rest of the call.
    if let Some(length) = length_of_body(response.headers()) {
        if length > max_answer_bytes {
            return Err(TOO_LARGE.into());
        }
        let body = platform::whole_body(&response).await?;
        return Ok(Answer { status, body });
    }
    let mut body = Vec::new();
    // An answer without a body, such as 204, has no stream.
    let Ok(mut stream) = response.stream() else {
        return Ok(Answer { status, body });
    };
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if body.len().saturating_add(chunk.len()) > max_answer_bytes {
            return Err(TOO_LARGE.into());
        }
        body.extend(chunk);
    }
    Ok(Answer { status, body })
}

/// The length of a body that announces it. (That of a compressed one is not what is read.)
fn length_of_body(headers: &Headers) -> Option<usize> {
    if headers.get("content-encoding").ok()?.is_some() {
        return None;
    }
    headers.get("content-length").ok()??.parse().ok()
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
