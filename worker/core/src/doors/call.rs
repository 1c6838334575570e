//! A call of a route: what is forwarded, and the digest that ties a payment to it.
//!
//! The digest covers all that decides what the API does: method, path, query, content type, body, and the headers that
//! the route's `vary` lists. So the payment for one call never pays for another. Other headers are passed on, but the
//! digest does not cover them.

use std::borrow::Cow;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http::{HeaderValue, Method};
use sha2::{Digest, Sha256};

use crate::catalog::{Route, spelt_as};
use crate::error::{Code, Error};
use crate::offer::{CallDigest, Target};
use crate::types::ResourceId;

/// The longest query: a longer one would not fit into the headers of an offer and of its payment.
const MAX_QUERY_BYTES: usize = 4096;

/// A call of a route as it is forwarded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call<'a> {
    /// The route.
    pub route: &'a Route,
    /// The method that is forwarded.
    pub method: Method,
    /// The path in the form in which [`Catalog::find`](crate::catalog::Catalog::find) returns it.
    pub path: String,
    /// The query, byte for byte, without the question mark.
    pub query: String,
    /// The `Content-Type` of the body, if there is a body.
    pub content_type: Option<String>,
    /// The SHA-256 of the body, if there is a body.
    pub body_digest: Option<[u8; 32]>,
    /// The digest that a payment for this call is bound to.
    pub digest: CallDigest,
}

/// Why a request is not a valid call of its route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallFault {
    /// The request has a body, but its method allows none.
    Body,
    /// The body has more bytes than this, the most that the route accepts.
    TooLarge(usize),
    /// The request's `Content-Type` cannot be read, or there are several.
    ContentType,
    /// The query has characters that no URL may have.
    Query,
    /// The query is too long.
    LongQuery,
}

impl<'a> Call<'a> {
    /// Builds the call to `route` from a request. `path` is the request's path as
    /// [`Catalog::find`](crate::catalog::Catalog::find) returns it.
    pub fn new(
        route: &'a Route,
        path: String,
        query: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Self, CallFault> {
        let method = route.method.clone();
        if !body.is_empty() && matches!(method, Method::GET | Method::DELETE) {
            return Err(CallFault::Body);
        }
        if body.len() > route.max_body {
            return Err(CallFault::TooLarge(route.max_body));
        }
        if query.len() > MAX_QUERY_BYTES {
            return Err(CallFault::LongQuery);
        }
        if !query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(CallFault::Query);
        }
        let content_type = match body.is_empty() {
            true => None,
            false => content_type(headers)?,
        };
        let bound = Bound::of(&method, query, content_type, body);
        Ok(Self {
            digest: bound.digest(&path, &route.vary, headers),
            body_digest: (!body.is_empty()).then_some(bound.body),
            route,
            method,
            path,
            query: query.to_owned(),
            content_type: content_type.map(str::to_owned),
        })
    }

    /// The target of an offer for this call.
    pub fn target(&self) -> Target {
        Target::Route {
            id: self.route.id.clone(),
            call: self.digest,
        }
    }
}

/// What decides about a call besides its path and the headers that its route varies by.
struct Bound<'a> {
    method: &'a Method,
    query: &'a str,
    essence: String,
    body: [u8; 32],
}

impl<'a> Bound<'a> {
    fn of(method: &'a Method, query: &'a str, content_type: Option<&str>, body: &[u8]) -> Self {
        Self {
            method,
            query,
            essence: content_type.map(essence).unwrap_or_default(),
            body: Sha256::digest(body).into(),
        }
    }

    fn digest(&self, path: &str, vary: &[HeaderName], headers: &HeaderMap) -> CallDigest {
        let varied: Vec<Vec<u8>> = vary.iter().map(|name| header(name, headers)).collect();
        let parts = [
            self.method.as_str().as_bytes(),
            path.as_bytes(),
            self.query.as_bytes(),
            self.essence.as_bytes(),
        ];
        let varied = varied.iter().map(Vec::as_slice);
        CallDigest::of(parts.into_iter().chain(varied).chain([&self.body[..]]))
    }
}

/// A call as it was sent, of whatever route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    pub(super) method: &'a Method,
    /// The path as it was sent.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Sent<'_> {
    /// Whether the call has, or had before its route was changed, this digest: with its path spelt as in `template`, the
    /// path of the route at that time, and with fewer headers in the route's `vary` than now.
    pub(super) fn had(
        &self,
        digest: CallDigest,
        template: &ResourceId,
        vary: &[HeaderName],
    ) -> bool {
        let content_type = match self.body.is_empty() {
            true => None,
            false => content_type(self.headers).ok().flatten(),
        };
        let bound = Bound::of(self.method, self.query, content_type, self.body);
        spelt_as(template, self.path).is_some_and(|path| {
            (0..=vary.len()).any(|count| {
                let fewer = vary.get(..count).unwrap_or_default();
                bound.digest(&path, fewer, self.headers) == digest
            })
        })
    }
}

/// The `Content-Type`, if only one was sent.
fn content_type(headers: &HeaderMap) -> Result<Option<&str>, CallFault> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| CallFault::ContentType),
        (Some(_), Some(_)) => Err(CallFault::ContentType),
    }
}

/// Type and subtype without parameters, because clients spell the parameters in their own ways, and choose a new
/// `boundary` for the same form.
fn essence(content_type: &str) -> String {
    let (essence, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    essence.trim().to_ascii_lowercase()
}

/// A header's name and values. A value cannot contain a line end, so an absent header, an empty one and several values
/// give different bytes.
fn header(name: &HeaderName, headers: &HeaderMap) -> Vec<u8> {
    let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut text = name.as_str().as_bytes().to_vec();
    for value in values {
        text.push(b'\n');
        text.extend(value);
    }
    text
}

impl CallFault {
    /// The error that the caller gets.
    pub fn error(self) -> Error {
        let (code, message): (_, Cow<'static, str>) = match self {
            Self::TooLarge(most) => (
                Code::PayloadTooLarge,
                format!("The body is larger than {most} bytes.").into(),
            ),
            Self::Body => (
                Code::InvalidRequest,
                "A call with this method has no body.".into(),
            ),
            Self::ContentType => (
                Code::InvalidRequest,
                "The request must have one Content-Type, in ASCII.".into(),
            ),
            Self::Query => (
                Code::InvalidRequest,
                "The query must be percent-encoded: spaces, # and characters beyond ASCII too."
                    .into(),
            ),
            Self::LongQuery => (
                Code::InvalidRequest,
                format!("The query is longer than {MAX_QUERY_BYTES} bytes.").into(),
            ),
        };
        Error::new(code, message)
    }
}

#[cfg(test)]
mod tests;
