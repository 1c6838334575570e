//! Calls to the seller's API. An answer is either read as a whole, to be stored before it is paid for, or passed on
//! while it arrives.

use std::cell::RefCell;

use http::{HeaderMap, HeaderName, HeaderValue};
use js_sys::{Array, Reflect, Uint8Array};
use key0_core::backend::held::HeldBytes;
use key0_core::backend::origin::{leads_inside, passed_back};
use key0_core::goods::OriginFault;
use key0_core::json;
use key0_core::purchase::Streams;
use key0_core::types::HttpUrl;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestCache, RequestInit, RequestRedirect};
use worker::{Fetch, Headers, Response, ResponseBody};

use crate::{outbound, platform};

/// No call begins while an isolate holds this many bytes of answers. All objects of an isolate share 128 MB.
const MOST_HELD_TO_BEGIN: usize = 24 * 1024 * 1024;
/// The most bytes of answers that an isolate holds. An answer that would exceed this fails with
/// [`OriginFault::TooLarge`].
const MOST_HELD: usize = 32 * 1024 * 1024;
/// The most bytes of headers that are stored with an answer.
const MAX_STORED_HEADERS: usize = 8 * 1024;

thread_local! {
    static HELD: HeldBytes = const { HeldBytes::new() };
}

/// A request to the seller's API.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Outgoing {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// Bytes of an answer in this isolate's memory. These bytes count against the limits until this value is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Uint8Array,
    count: usize,
    /// The number under which [`HeldBytes`] counts the bytes.
    number: u64,
}

/// An answer from the seller's API that has arrived completely.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Held,
}

/// How many bytes this isolate holds.
fn held() -> usize {
    HELD.with(|held| held.total(platform::now()))
}

/// An answer from the seller's API that is still arriving. When this value is dropped, the connection is given up.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// What has arrived so far.
    body: RefCell<Held>,
    /// What is still to come.
    rest: web_sys::ReadableStream,
    announced: Option<usize>,
    controller: web_sys::AbortController,
}

/// An answer from the seller's API.
#[derive(Debug)]
pub(crate) enum Answered {
    Whole(Whole),
    Begun(Begun),
}

impl Begun {
    /// Takes what has arrived so far. From now on it does not count as held.
    pub(crate) fn take(&self) -> Uint8Array {
        self.body.replace(Held::new()).bytes.clone()
    }

    pub(crate) const fn stream(&self) -> &web_sys::ReadableStream {
        &self.rest
    }

    /// How many bytes the API has announced.
    pub(crate) fn length(&self) -> u64 {
        self.announced
            .and_then(|length| u64::try_from(length).ok())
            .unwrap_or_default()
    }

    /// Whether an answer of this many bytes is not the one that was announced.
    pub(crate) fn is_short(&self, count: u64) -> bool {
        self.announced.is_some() && self.length() != count
    }

    /// Gives the connection up.
    pub(crate) fn abort(&self) {
        self.controller.abort();
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.abort();
    }
}

/// The result of reading a body up to a limit.
enum Read {
    Whole(Held),
    /// The body is longer than the limit. These are the bytes that were read.
    More(Held),
}

impl Held {
    /// No bytes yet.
    fn new() -> Self {
        Self {
            bytes: Uint8Array::new_with_length(0),
            count: 0,
            number: HELD.with(|held| held.begin(platform::now())),
        }
    }

    fn add(&mut self, length: usize) {
        HELD.with(|held| held.add(self.number, length));
        self.count += length;
    }

    pub(crate) const fn bytes(&self) -> &Uint8Array {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.with(|held| held.end(self.number));
    }
}

impl Outgoing {
    /// Adds headers to the request. They replace headers of the same name.
    pub(crate) fn saying(mut self, more: Vec<(HeaderName, HeaderValue)>) -> Self {
        for (name, value) in more {
            self.headers.retain(|(known, _)| known != name.as_str());
            if let Ok(value) = value.to_str() {
                self.headers
                    .push((name.as_str().to_owned(), value.to_owned()));
            }
        }
        self
    }

    pub(crate) fn with_headers(method: &http::Method, url: String, headers: &HeaderMap) -> Self {
        let headers = headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        Self {
            method: method.as_str().to_owned(),
            url,
            headers,
        }
    }

    /// Sends the request. The caller aborts it through `signal` if it takes too long.
    async fn send(
        &self,
        body: Option<&Uint8Array>,
        base: &HttpUrl,
        signal: &worker::AbortSignal,
    ) -> Result<Response, OriginFault> {
        let failed = |error: worker::Error| self.failed(&error);
        let headers = Headers::new();
        for (name, value) in &self.headers {
            headers.append(name, value).map_err(failed)?;
        }
        let init = RequestInit::new();
        init.set_method(&self.method);
        init.set_headers(headers.as_ref());
        init.set_redirect(RequestRedirect::Manual);
        init.set_cache(RequestCache::NoStore);
        if let Some(body) = body {
            init.set_body(body);
        }
        let request = platform::request(&self.url, &init).map_err(failed)?;
        let fetched = Fetch::Request(request).send_with_signal(signal).await;
        let response = fetched.map_err(failed)?;
        let location = match response.status_code() {
            300..=399 => response.headers().get("location").map_err(failed)?,
            _ => None,
        };
        match location {
            Some(location) if leads_inside(base, &self.url, &location) => {
                platform::log(
                    "origin_redirects_inside",
                    json!({"status": response.status_code()}),
                );
                Err(OriginFault::Redirect)
            }
            _ => Ok(response),
        }
    }

    fn failed(&self, error: &worker::Error) -> OriginFault {
        platform::log(
            "origin_call_failed",
            json!({"method": self.method, "detail": outbound::fault(error)}),
        );
        match outbound::is_timeout(error) {
            true => OriginFault::Timeout,
            false => OriginFault::Unreachable,
        }
    }

    /// Makes the call, and reads an answer of at most `most` bytes within `millis`. An answer that may be passed on while
    /// it arrives is not read to its end.
    pub(crate) async fn answered(
        self,
        body: Option<&Uint8Array>,
        base: &HttpUrl,
        most: usize,
        streams: Option<&Streams>,
        millis: u32,
    ) -> Result<Answered, OriginFault> {
        if held() >= MOST_HELD_TO_BEGIN {
            return Err(OriginFault::Busy);
        }
        let controller = web_sys::AbortController::new().map_err(|_| OriginFault::Unreachable)?;
        let late = Box::pin(platform::sleep(millis.into()));
        let arriving = Box::pin(self.arriving(body, base, most, streams, controller.clone()));
        match futures_util::future::select(arriving, late).await {
            futures_util::future::Either::Left((answered, _)) => answered,
            futures_util::future::Either::Right(_) => {
                controller.abort();
                Err(OriginFault::Timeout)
            }
        }
    }

    async fn arriving(
        &self,
        body: Option<&Uint8Array>,
        base: &HttpUrl,
        most: usize,
        streams: Option<&Streams>,
        controller: web_sys::AbortController,
    ) -> Result<Answered, OriginFault> {
        let signal = controller.signal().into();
        let response = self.send(body, base, &signal).await?;
        let status = response.status_code();
        let streams = streams.filter(|streams| streams.charged.includes(status));
        let announced = outbound::length_of_body(response.headers());
        let stored = passed_back(&headers_of(response.headers()), false);
        let headers: Vec<(String, String)> = stored
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let size = |(name, value): &(String, String)| name.len() + value.len();
        if headers.iter().map(size).sum::<usize>() > MAX_STORED_HEADERS {
            return Err(OriginFault::TooLarge);
        }
        let most = match streams {
            None => Some(most),
            Some(streams) => streams.kept,
        };
        let is_too_long = most.is_none_or(|most| announced.is_some_and(|length| length > most));
        let (body, rest) = match (response.body(), most) {
            (ResponseBody::Stream(rest), _) if is_too_long => (Read::More(Held::new()), Some(rest)),
            (ResponseBody::Stream(rest), Some(most)) => (read(rest, most).await?, Some(rest)),
            _ => (Read::Whole(Held::new()), None),
        };
        match (body, rest) {
            (Read::Whole(body), _) if announced.is_some_and(|length| length != body.count) => {
                Err(OriginFault::Cut)
            }
            (Read::Whole(body), _) => Ok(Answered::Whole(Whole {
                status,
                headers,
                body,
            })),
            (Read::More(body), Some(rest)) if streams.is_some() => Ok(Answered::Begun(Begun {
                status,
                headers,
                body: RefCell::new(body),
                rest: rest.clone(),
                announced,
                controller,
            })),
            (Read::More(_), _) => {
                // The connection is given up.
                controller.abort();
                Err(OriginFault::TooLarge)
            }
        }
    }

    /// Makes the call. Its answer's body is still to be read.
    pub(crate) async fn opened(
        self,
        body: Option<&Uint8Array>,
        base: &HttpUrl,
        millis: u32,
    ) -> Result<Opened, OriginFault> {
        // The deadline is only for the head of the answer: the body may take as long as it likes.
        let controller = web_sys::AbortController::new().map_err(|_| OriginFault::Unreachable)?;
        let signal = controller.signal().into();
        let late = Box::pin(platform::sleep(millis.into()));
        let call = Box::pin(self.send(body, base, &signal));
        let response = match futures_util::future::select(call, late).await {
            futures_util::future::Either::Left((answer, _)) => answer?,
            futures_util::future::Either::Right(_) => {
                controller.abort();
                return Err(OriginFault::Timeout);
            }
        };
        let body = match response.body() {
            ResponseBody::Stream(stream) => Some(stream.clone()),
            _ => None,
        };
        Ok(Opened {
            status: response.status_code(),
            headers: headers_of(response.headers()),
            body,
            announced: outbound::length_of_body(response.headers()),
            controller,
        })
    }
}

/// An answer from the seller's API of which nothing but the head has been read.
pub(crate) struct Opened {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<web_sys::ReadableStream>,
    announced: Option<usize>,
    controller: web_sys::AbortController,
}

impl Opened {
    /// The answer's body, to be passed on piece by piece. When that is dropped, the connection is given up.
    pub(crate) fn begun(&self) -> Option<Begun> {
        Some(Begun {
            status: self.status,
            headers: Vec::new(),
            body: RefCell::new(Held::new()),
            rest: self.body.clone()?,
            announced: self.announced,
            controller: self.controller.clone(),
        })
    }
}

fn headers_of(headers: &Headers) -> HeaderMap {
    headers
        .entries()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(&value).ok()?))
        })
        .collect()
}

/// Reads a body piece by piece. Stops after `most` bytes, or when the isolate holds too much.
async fn read(stream: &web_sys::ReadableStream, most: usize) -> Result<Read, OriginFault> {
    let mut answer = Held::new();
    let cut = |_| OriginFault::Cut;
    let reader = stream
        .get_reader()
        .unchecked_into::<web_sys::ReadableStreamDefaultReader>();
    let pieces = Array::new();
    loop {
        let piece = JsFuture::from(reader.read()).await.map_err(cut)?;
        let member = |name: &str| Reflect::get(&piece, &JsValue::from_str(name)).map_err(cut);
        if member("done")?.is_truthy() {
            break;
        }
        let bytes: Uint8Array = member("value")?.unchecked_into();
        let length = usize::try_from(bytes.length()).unwrap_or(usize::MAX);
        // The fault is not `Busy`, after which the call would be made again: this call was already made.
        if held().saturating_add(length) > MOST_HELD {
            return Err(OriginFault::TooLarge);
        }
        answer.add(length);
        pieces.push(&bytes);
        if answer.count > most {
            reader.release_lock();
            answer.bytes = joined(&pieces, answer.count);
            return Ok(Read::More(answer));
        }
    }
    answer.bytes = joined(&pieces, answer.count);
    Ok(Read::Whole(answer))
}

fn joined(pieces: &Array, length: usize) -> Uint8Array {
    let whole = Uint8Array::new_with_length(u32::try_from(length).unwrap_or_default());
    let mut at = 0;
    for piece in pieces.iter() {
        let piece: Uint8Array = piece.unchecked_into();
        whole.set(&piece, at);
        at += piece.length();
    }
    whole
}
