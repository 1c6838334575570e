//! Calls to the chain, the backend and facilitators. Headers and body have one deadline, the answer's size is limited,
//! and no redirect is followed, except a facilitator's redirects within its own site.

use futures_util::StreamExt as _;
use key0_core::backend::authentication::{BackendAnswer, BackendCall};
use key0_core::backend::oauth::{MAX_TOKEN_ANSWER_BYTES, OAuthClient, TOKEN_DEADLINE_MILLIS};
use key0_core::chain::endpoints::{EndpointMemory, Http, HttpFault};
use key0_core::chain::rpc::RpcChain;
use key0_core::config::Config;
use key0_core::goods::DeliveryFault;
use key0_core::json;
use key0_core::purchase::Shared;
use key0_core::settlement::facilitator::{
    FacilitatorAnswer, FacilitatorCall, MAX_ANSWER_BYTES, MAX_REDIRECTS, host_of, redirect,
};
use key0_core::types::{CallFault, UnixMillis};
use web_sys::{RequestInit, RequestRedirect};
use worker::{AbortSignal, Fetch, Headers, Method};

use crate::{cdp, platform};

const MAX_RPC_ANSWER_BYTES: usize = 1024 * 1024;
const TOO_LARGE: &str = "the answer is too large";
/// The longest answer with a credential: the credential has to fit into a purchase's record.
const MAX_CREDENTIAL_BYTES: usize = 64 * 1024;

thread_local! {
    // The memory lives as long as the isolate: the endpoints are the same for every request that it serves.
    static ENDPOINTS: &'static EndpointMemory = Box::leak(Box::default());
    // The state lives as long as the isolate: purchases and requests learn from earlier ones.
    static SHARED: &'static Shared = Box::leak(Box::default());
}

/// The state that all purchases and requests of this isolate share.
pub(crate) fn shared() -> &'static Shared {
    SHARED.with(|shared| *shared)
}

/// The configured chain.
pub(crate) fn chain(config: &Config) -> RpcChain<'_, FetchHttp> {
    let memory = ENDPOINTS.with(|memory| *memory);
    RpcChain::new(FetchHttp, &config.chain.rpc_urls, config.network, memory)
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
        // JSON-RPC endpoints put the error of a call into the body, some of them with a status of 4xx or 5xx.
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
) -> Result<BackendAnswer, DeliveryFault> {
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
        Ok(Answer { status, body, .. }) => Ok(BackendAnswer { status, body }),
        Err(error) => {
            platform::log(
                "backend_call_failed",
                json!({"url": call.url, "detail": fault(&error)}),
            );
            Err(match is_timeout(&error) {
                true => DeliveryFault::Timeout,
                false => DeliveryFault::Failed,
            })
        }
    }
}

/// Requests a token from an authorization server. Its answer may contain the secret, so only the status is reported.
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

/// Calls a facilitator. The body of its answer contains its decision, whatever the status.
pub(crate) async fn facilitator(call: FacilitatorCall<'_>) -> Result<FacilitatorAnswer, CallFault> {
    let mut headers = Vec::new();
    let token;
    let (facilitator, action) = (call.facilitator, call.action);
    if let Some(key) = facilitator.key() {
        let path = facilitator.url().path_of(action.path());
        token = cdp::bearer(key, action.method(), &path)
            .await
            .map_err(|_| CallFault("the API key cannot be used".to_owned()))?;
        headers.push(("authorization", token.as_str()));
    }
    let body = (!call.body.is_empty()).then_some(call.body.as_slice());
    // One deadline for the whole call, redirects included.
    let signal = deadline(action.deadline_millis());
    let mut url = facilitator.url().join(action.path());
    for _ in 0..=MAX_REDIRECTS {
        let method = match body {
            Some(_) => Method::Post,
            None => Method::Get,
        };
        let answer = send(method, &url, &headers, body, &signal, MAX_ANSWER_BYTES)
            .await
            .map_err(|error| CallFault(fault(&error)))?;
        let Answer {
            status,
            body,
            location,
        } = answer;
        let next =
            location.and_then(|location| redirect(facilitator, action, &url, status, &location));
        let Some(next) = next else {
            return Ok(FacilitatorAnswer { status, body });
        };
        let (from, to) = (facilitator.url(), host_of(&next));
        if shared().moved(from, &to) {
            platform::log("facilitator_moved", json!({"from": from.host(), "to": to}));
        }
        url = next;
    }
    Err(CallFault("too many redirects".to_owned()))
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    location: Option<String>,
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
        &deadline(deadline_millis),
        max_answer_bytes,
    )
    .await
}

pub(crate) fn deadline(millis: u32) -> AbortSignal {
    web_sys::AbortSignal::timeout_with_u32(millis).into()
}

async fn send(
    method: Method,
    url: &str,
    more_headers: &[(&str, &str)],
    body: Option<&[u8]>,
    signal: &AbortSignal,
    max_answer_bytes: usize,
) -> worker::Result<Answer> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    for (name, value) in more_headers {
        headers.set(name, value)?;
    }
    let init = RequestInit::new();
    init.set_method(method.as_ref());
    init.set_headers(headers.as_ref());
    init.set_redirect(RequestRedirect::Manual);
    if let Some(body) = body {
        init.set_body(&js_sys::Uint8Array::from(body));
    }
    let mut response = Fetch::Request(platform::request(url, &init)?)
        .send_with_signal(signal)
        .await?;
    let status = response.status_code();
    let location = match status {
        300..=399 => response.headers().get("location")?,
        _ => None,
    };
    // Reading piece by piece would cost more than the rest of the call, so a body that has announced its length is read at
    // once.
    if let Some(length) = length_of_body(response.headers()) {
        if length > max_answer_bytes {
            return Err(TOO_LARGE.into());
        }
        let body = platform::whole_body(&response).await?.to_vec();
        return Ok(Answer {
            status,
            body,
            location,
        });
    }
    let mut body = Vec::new();
    // An answer without a body, such as 204, has no stream.
    let Ok(mut stream) = response.stream() else {
        return Ok(Answer {
            status,
            body,
            location,
        });
    };
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if body.len().saturating_add(chunk.len()) > max_answer_bytes {
            return Err(TOO_LARGE.into());
        }
        body.extend(chunk);
    }
    Ok(Answer {
        status,
        body,
        location,
    })
}

/// The announced length of the body. `None` for a compressed body, whose announced length is not the length that is read.
pub(crate) fn length_of_body(headers: &Headers) -> Option<usize> {
    if headers.get("content-encoding").ok()?.is_some() {
        return None;
    }
    headers.get("content-length").ok()??.parse().ok()
}

pub(crate) fn is_timeout(error: &worker::Error) -> bool {
    let text = error.to_string();
    text.contains("TimeoutError") || text.contains("timeout")
}

/// The cause for the log. The URL is left out, because it may contain an access key.
pub(crate) fn fault(error: &worker::Error) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !word.contains("://"))
        .collect();
    words.join(" ").chars().take(200).collect()
}
