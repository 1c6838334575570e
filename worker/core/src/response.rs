//! Parts that all responses share: JSON, CORS, caching, the list of methods.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Code, Error};

/// An answer, ready to be sent.
pub type Response = http::Response<Vec<u8>>;

/// The most bytes that a request body may have, checked before it is read as a whole.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The most characters that a payment header may have, checked before it is decoded.
pub const MAX_PAYMENT_HEADER_CHARS: usize = 16 * 1024;

/// What browser-based agents may send: what the protocols need, and what tracing libraries add to every request of a page
/// (W3C Trace Context, W3C Baggage, Sentry); a header that is not listed fails the whole request.
const ALLOWED_HEADERS: &str = "Content-Type, Authorization, PAYMENT-SIGNATURE, X-PAYMENT, Payment-Authorization, \
     Accept-Payment, SIGN-IN-WITH-X, Idempotency-Key, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID, \
     Access-Control-Expose-Headers, A2A-Version, A2A-Extensions, X-A2A-Extensions, baggage, sentry-trace, traceparent, \
     tracestate";
/// The response headers that browser-based agents may read.
const EXPOSED_HEADERS: &str = "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, Payment-Receipt, WWW-Authenticate, Retry-After, ETag, A2A-Extensions, \
     X-A2A-Extensions, Key0-Left, RateLimit, RateLimit-Policy";

/// The most characters of the headers that a preflight asks for.
const MAX_ASKED_HEADERS_CHARS: usize = 1024;

/// A JSON answer. If the value cannot be serialised, the answer is an internal error.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let (status, body) = match serde_json::to_vec(body) {
        Ok(body) => (status, body),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            br#"{"type":"Error","code":"INTERNAL_ERROR","message":"The answer could not be written."}"#
                .to_vec(),
        ),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

/// The answer for an error of the catalogue. Never cached.
pub fn error(error: &Error) -> Response {
    let mut response = json(error.code.status(), &error.body());
    set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

/// The answer for a path that nothing is served at.
pub fn not_found() -> Response {
    error(&Error::new(
        Code::NotFound,
        "Nothing is served here. GET /discover lists what can be bought, GET /health says whether it can be sold.",
    ))
}

/// The answer for a path that is served with other methods only.
pub fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = error(&Error::new(
        Code::MethodNotAllowed,
        format!("This path answers {allowed} only."),
    ));
    set(&mut response, header::ALLOW, allowed);
    response
}

/// The answer for a path of the seller's API whose routes have other methods.
pub fn other_methods(allowed: &[Method]) -> Response {
    let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>();
    let allowed = allowed.join(", ");
    let mut response = error(&Error::new(
        Code::MethodNotAllowed,
        format!("This path answers {allowed} only."),
    ));
    set(&mut response, header::ALLOW, &allowed);
    response
}

/// The answer to `OPTIONS` of a path of the seller's API: a page may send what it asks for, since we decide what is passed on.
pub fn preflight(methods: &[Method], request_headers: &HeaderMap) -> Response {
    let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>();
    let mut response = options("");
    let allowed = [allowed.join(", ").as_str(), "OPTIONS"].join(", ");
    set(&mut response, header::ALLOW, &allowed);
    set(
        &mut response,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        &allowed,
    );
    let wanted = request_headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(wanted) = wanted.filter(|wanted| wanted.len() <= MAX_ASKED_HEADERS_CHARS) {
        let name = header::ACCESS_CONTROL_ALLOW_HEADERS;
        response.headers_mut().insert(name, wanted.clone());
    }
    response
}

/// The answer to a request for another protocol (`Upgrade`): no payment can be tied to such a connection.
pub fn no_upgrade() -> Response {
    error(&Error::new(
        Code::NotImplemented,
        "Connections are not upgraded here: there are no WebSockets. Nothing was charged for this request.",
    ))
}

/// Marks a response as an answer from the seller's API.
#[derive(Clone, Copy, Debug)]
struct OfApi;

/// Marks the response as an answer from the seller's API: the platform adds the body.
#[must_use]
pub fn of_api(mut response: Response) -> Response {
    response.extensions_mut().insert(OfApi);
    response
}

/// Whether the platform adds the body.
pub fn is_of_api(response: &Response) -> bool {
    response.extensions().get::<OfApi>().is_some()
}

/// The answer to `OPTIONS`, also to a browser's preflight.
pub fn options(allowed: &'static str) -> Response {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set(&mut response, header::ALLOW, allowed);
    set(&mut response, header::ACCESS_CONTROL_ALLOW_METHODS, allowed);
    set(
        &mut response,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        ALLOWED_HEADERS,
    );
    set(&mut response, header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}

/// A public document: cacheable, with a validator; `304` when the client has it already.
pub fn document(
    body: &impl Serialize,
    request_headers: &HeaderMap,
    max_age_seconds: u32,
) -> Response {
    let response = json(StatusCode::OK, body);
    cacheable(response, request_headers, max_age_seconds)
}

/// A public text of this media type: cacheable, with a validator; `304` when the client has it already.
pub fn text_document(
    text: String,
    media_type: &str,
    request_headers: &HeaderMap,
    max_age_seconds: u32,
) -> Response {
    let mut response = Response::new(text.into_bytes());
    set(&mut response, header::CONTENT_TYPE, media_type);
    cacheable(response, request_headers, max_age_seconds)
}

fn cacheable(
    mut response: Response,
    request_headers: &HeaderMap,
    max_age_seconds: u32,
) -> Response {
    let etag = etag(response.body());
    let known = request_headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.body_mut().clear();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    set(&mut response, header::ETAG, &etag);
    set(
        &mut response,
        header::CACHE_CONTROL,
        &format!("public, max-age={max_age_seconds}"),
    );
    response
}

/// Lets scripts of any web page read the answer: everything is for them but the operator's door.
#[must_use]
pub fn allow_browsers(mut response: Response) -> Response {
    set(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    let exposed = match is_of_api(&response) {
        true => "*",
        false => EXPOSED_HEADERS,
    };
    set(
        &mut response,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        exposed,
    );
    response
}

/// The last step for each response: forbids guessing of the media type, and removes the body for `HEAD`.
#[must_use]
pub fn finish(mut response: Response, method: &Method) -> Response {
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if method == Method::HEAD {
        response.body_mut().clear();
    }
    response
}

/// Sets a header whose value we made ourselves. A value that is no header text is left out.
pub fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn etag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let short: [u8; 12] = core::array::from_fn(|at| digest.get(at).copied().unwrap_or_default());
    format!("\"{}\"", alloy_primitives::hex::encode(short))
}

#[cfg(test)]
mod tests {
    use crate::json;

    use super::*;

    #[test]
    fn a_known_document_is_not_sent_again() {
        let body = json!({"a": 1});
        let first = document(&body, &HeaderMap::new(), 60);
        assert_eq!(first.status(), StatusCode::OK);
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let second = document(&body, &headers, 60);
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert!(second.body().is_empty());
        let changed = document(&json!({"a": 2}), &headers, 60);
        assert_eq!(changed.status(), StatusCode::OK);
    }

    #[test]
    fn head_is_answered_without_a_body() {
        let response = finish(json(StatusCode::OK, &json!({})), &Method::HEAD);
        assert!(response.body().is_empty());
    }

    #[test]
    fn browsers_may_read_only_what_is_opened_to_them() {
        let answer = || json(StatusCode::OK, &json!({}));
        let origin = header::ACCESS_CONTROL_ALLOW_ORIGIN;
        assert_eq!(allow_browsers(answer()).headers()[&origin], "*");
        assert!(
            !finish(answer(), &Method::GET)
                .headers()
                .contains_key(origin)
        );
    }

    #[test]
    fn a_page_with_tracing_may_send_its_headers() {
        let response = options("POST, OPTIONS");
        let allowed = response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS]
            .to_str()
            .unwrap()
            .to_ascii_lowercase();
        let names: Vec<_> = allowed.split(',').map(str::trim).collect();
        for name in [
            "payment-signature",
            "baggage",
            "sentry-trace",
            "traceparent",
            "tracestate",
        ] {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let response = method_not_allowed("GET, HEAD, OPTIONS");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD, OPTIONS");
    }
}
