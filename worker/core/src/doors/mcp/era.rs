//! The two ways in which clients say which version of the protocol they speak.
//!
//! Up to version 2025-11-25, client and server agree on a version in a first request: [`Era::Handshake`]. Nothing of it
//! is remembered here. From version 2026-07-28 on, each request names its version, in an envelope in its parameters and
//! once more in headers: [`Era::Modern`].

use crate::json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::HeaderMap;
use serde_json::Value;

use super::rpc::{Fault, Request};
use crate::documents::{MCP_HANDSHAKE, MCP_MODERN};

const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_MEMBER: &str = "io.modelcontextprotocol/clientCapabilities";

/// How a client says which version it speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Era {
    /// The client and the server agree on a version in a handshake.
    Handshake,
    /// Each request names its version.
    Modern,
}

impl Era {
    /// The era of a request, as far as its headers tell.
    pub(super) fn of_headers(headers: &HeaderMap) -> Self {
        // Versions are dates, which sort as texts.
        let is_day = |text: &str| {
            text.len() == MCP_MODERN.len() && text.bytes().all(|b| b == b'-' || b.is_ascii_digit())
        };
        match text(headers, VERSION) {
            Some(version) if is_day(version) && version >= MCP_MODERN => Self::Modern,
            _ => Self::Handshake,
        }
    }

    pub(super) fn of(request: &Request, headers: &HeaderMap) -> Self {
        let envelope = request.params.get("_meta");
        match envelope.is_some_and(|meta| meta.get(VERSION_MEMBER).is_some()) {
            true => Self::Modern,
            false => Self::of_headers(headers),
        }
    }

    /// Checks that the request has the form that its version requires.
    pub(super) fn check(self, request: &Request, headers: &HeaderMap) -> Result<(), Fault> {
        if request.id.is_none() {
            return Err(Fault::not_a_request("id must be a text or a whole number."));
        }
        match self {
            Self::Handshake => check_version(request, headers),
            Self::Modern => check_envelope(request, headers),
        }
    }
}

/// Checks the version in the headers. The handshake itself never fails here: it only begins to agree on a version.
fn check_version(request: &Request, headers: &HeaderMap) -> Result<(), Fault> {
    let is_served = match headers.contains_key(VERSION) {
        true => text(headers, VERSION).is_some_and(|version| MCP_HANDSHAKE.contains(&version)),
        false => true,
    };
    if is_served || request.method == "initialize" {
        return Ok(());
    }
    Err(Fault::not_a_request(format!(
        "The header MCP-Protocol-Version names a version that is not served. Served are {MCP_MODERN}, {}.",
        MCP_HANDSHAKE.join(", ")
    )))
}

fn check_envelope(request: &Request, headers: &HeaderMap) -> Result<(), Fault> {
    let meta = request.params.get("_meta");
    let member = |name| meta.and_then(|meta| meta.get(name));
    let version = member(VERSION_MEMBER).and_then(Value::as_str);
    let has_capabilities = member(CAPABILITIES_MEMBER).is_some_and(Value::is_object);
    let (Some(version), true) = (version, has_capabilities) else {
        return Err(Fault::new(
            StatusCode::BAD_REQUEST,
            -32602,
            format!(
                "params._meta must have {VERSION_MEMBER} (a text) and {CAPABILITIES_MEMBER} (an object)."
            ),
        ));
    };
    let name = request.params.get("name").and_then(Value::as_str);
    let named = match request.method.as_str() {
        "tools/call" => {
            text(headers, NAME).and_then(decoded).as_deref() == Some(name.unwrap_or_default())
        }
        _ => true,
    };
    let is_repeated = text(headers, VERSION) == Some(version)
        && text(headers, METHOD) == Some(request.method.as_str())
        && named;
    if !is_repeated {
        return Err(Fault::new(
            StatusCode::BAD_REQUEST,
            -32020,
            "The headers MCP-Protocol-Version and Mcp-Method, and Mcp-Name for tools/call, must repeat what the body says.",
        ));
    }
    if version != MCP_MODERN {
        return Err(Fault::new(
            StatusCode::BAD_REQUEST,
            -32022,
            "This protocol version is not served.",
        )
        .with_data(json!({"supported": [MCP_MODERN], "requested": version})));
    }
    Ok(())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.trim())
}

/// Decodes a name. Names that cannot stand in a header are sent encoded.
fn decoded(text: &str) -> Option<String> {
    let inner = text
        .strip_prefix("=?base64?")
        .and_then(|text| text.strip_suffix("?="));
    match inner {
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}
