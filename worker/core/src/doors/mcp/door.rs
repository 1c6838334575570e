//! The way of a request through the door.

use crate::json;
use crate::json::Put as _;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap};
use serde_json::{Map, Value};

use super::era::Era;
use super::rpc::{self, Fault, Message, Request};
use super::{call, http as transport, tools};
use crate::checkout::{Checkout, Deployment};
use crate::documents::{MCP_HANDSHAKE, MCP_MODERN};
use crate::limit;
use crate::response::{self, Response};

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// How long a client may cache a result that is the same for every client.
const TTL_MILLIS: u32 = 60_000;

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, already limited to [`super::MAX_BODY_BYTES`].
    pub body: &'a [u8],
}

/// Answers a message.
pub async fn answer<D: Deployment>(checkout: &Checkout<'_, D>, arrival: &Arrival<'_>) -> Response {
    let headers = arrival.headers;
    let mut era = Era::of_headers(headers);
    if let Err(fault) = transport::check(headers, &checkout.config.mcp, &checkout.origin) {
        // The request's body was not read, so its id is not known.
        return tell(Era::Modern, None, Err(fault));
    }
    let request = match Message::read(arrival.body) {
        Ok(Message::Request(request)) => request,
        Ok(Message::Answer) if era == Era::Modern => {
            return tell(era, None, Err(Fault::not_a_request("Nobody was asked.")));
        }
        Ok(Message::Notification | Message::Answer) => {
            let mut response = Response::new(Vec::new());
            *response.status_mut() = StatusCode::ACCEPTED;
            return response;
        }
        Err((id, fault)) => return tell(era, id, Err(fault)),
    };
    era = Era::of(&request, headers);
    let mut counts = false;
    let result = match era.check(&request, headers) {
        Ok(()) => carry_out(checkout, &request, era, headers, &mut counts).await,
        Err(fault) => Err(fault),
    };
    let result = result.map(|result| match era {
        Era::Handshake => result,
        Era::Modern => modern(result, checkout),
    });
    let response = tell(era, request.id, result);
    match counts {
        true => limit::counted(response),
        false => response,
    }
}

/// Runs a request's method. Sets `counts` when the call counts against the client's address.
async fn carry_out<D: Deployment>(
    checkout: &Checkout<'_, D>,
    request: &Request,
    era: Era,
    headers: &HeaderMap,
    counts: &mut bool,
) -> Result<Value, Fault> {
    let params = request.params()?;
    match (era, request.method.as_str()) {
        (_, "tools/list") => match params.get("cursor") {
            None | Some(Value::Null) => Ok(cacheable(era, tools::list(checkout.config))),
            Some(_) => Err(Fault::bad_params(
                "No cursor was given: all tools are on one page.",
            )),
        },
        (_, "tools/call") => call::call(checkout, &params, headers, counts).await,
        (Era::Modern, "server/discover") => {
            let mut about = tools::about(checkout.config);
            about.put("supportedVersions", json!([MCP_MODERN]));
            Ok(cacheable(era, Value::Object(about)))
        }
        (Era::Handshake, "initialize") => {
            let wanted = params.get("protocolVersion").and_then(Value::as_str);
            let [newest, ..] = MCP_HANDSHAKE;
            let agreed = MCP_HANDSHAKE
                .into_iter()
                .find(|served| wanted == Some(*served));
            let mut about = tools::about(checkout.config);
            about.put("protocolVersion", agreed.unwrap_or(newest).into());
            about.put("serverInfo", tools::server_info(checkout.config));
            Ok(Value::Object(about))
        }
        (Era::Handshake, "ping") => Ok(json!({})),
        _ => {
            let status = match era {
                Era::Handshake => StatusCode::OK,
                Era::Modern => StatusCode::NOT_FOUND,
            };
            Err(Fault::new(status, -32601, "There is no such method here."))
        }
    }
}

/// Adds what the modern versions require of a result that is the same for every client.
fn cacheable(era: Era, mut result: Value) -> Value {
    if let (Era::Modern, Some(members)) = (era, result.as_object_mut()) {
        members.put("ttlMs", TTL_MILLIS.into());
        members.put("cacheScope", "public".into());
    }
    result
}

/// Adds what the modern versions require of every result.
fn modern<D>(mut result: Value, checkout: &Checkout<'_, D>) -> Value {
    if let Some(members) = result.as_object_mut() {
        members.put("resultType", "complete".into());
        let meta = members
            .entry("_meta")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(meta) = meta.as_object_mut() {
            meta.put(SERVER_INFO, tools::server_info(checkout.config));
        }
    }
    result
}

/// Writes the response. An id that could not be read is `null` in versions with a handshake, and left out in the modern ones,
/// which forbid `null`.
fn tell(era: Era, id: Option<Value>, result: Result<Value, Fault>) -> Response {
    let status = result
        .as_ref()
        .map_or_else(|fault| fault.status, |_| StatusCode::OK);
    let mut answer = rpc::answer(result);
    match (id, era) {
        (Some(id), _) => answer.put("id", id),
        (None, Era::Handshake) => answer.put("id", Value::Null),
        (None, Era::Modern) => {}
    }
    let mut response = response::json(status, &answer);
    response::set(&mut response, CACHE_CONTROL, "private, no-store");
    response
}

#[cfg(test)]
mod tests;
