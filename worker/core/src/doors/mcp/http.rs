//! The rules of the transport, which hold for every request
//! (<https://modelcontextprotocol.io/specification/2026-07-28/basic/transports>).

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, ORIGIN};

use super::rpc::Fault;
use crate::config::McpSettings;
use crate::types::HttpUrl;

/// The most bytes that a request body may have.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

const JSON: &str = "application/json";

/// Checks the headers against the transport's rules. `own`: the address of this deployment.
pub(super) fn check(
    headers: &HeaderMap,
    settings: &McpSettings,
    own: &HttpUrl,
) -> Result<(), Fault> {
    let refused = |status, why| Err(Fault::new(status, -32600, why));
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    if text(ORIGIN).is_some_and(|origin| !is_allowed(origin, settings, own)) {
        let why = "Web pages of this origin may not use this server.";
        return refused(StatusCode::FORBIDDEN, why);
    }
    if !text(CONTENT_TYPE).is_some_and(|value| is_media(value, &[JSON])) {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send application/json.");
    }
    let accepts = |value: &str| {
        let mut ranges = value.split(',');
        ranges.any(|range| is_media(range, &[JSON, "application/*", "*/*"]))
    };
    if text(ACCEPT).is_some_and(|value| !value.trim().is_empty() && !accepts(value)) {
        return refused(StatusCode::NOT_ACCEPTABLE, "Answers are application/json.");
    }
    Ok(())
}

/// Whether web pages of this origin may call. Agents do not run in web pages and send no `Origin`. This prevents DNS
/// rebinding.
///
/// A page of another site could make its own name point to a server in its visitor's network, and call that server in
/// the visitor's place. `Origin` and `Host` then both name that other site. So the origin is compared with what we know
/// ourselves: it must be an address over https, for which the other site has no certificate, or an address on this
/// machine.
fn is_allowed(origin: &str, settings: &McpSettings, own: &HttpUrl) -> bool {
    let Some(origin) = HttpUrl::origin_of(origin) else {
        return false;
    };
    let is_own = own.is_https() && HttpUrl::origin_of(own.as_str()).as_ref() == Some(&origin);
    is_own || settings.allowed_origins.contains(&origin) || (own.is_local() && origin.is_local())
}

fn is_media(value: &str, wanted: &[&str]) -> bool {
    let media = value.split(';').next().unwrap_or_default().trim();
    wanted
        .iter()
        .any(|wanted| media.eq_ignore_ascii_case(wanted))
}
