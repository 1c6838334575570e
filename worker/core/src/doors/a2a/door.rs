//! The way of a call through the door.

use crate::json;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::{Map, Value};

use super::desk::Desk;
use super::dialect::{Dialect, Method};
use super::fault::{Fault, Kind};
use super::message::Message;
use super::params::{self, Manner, Wanted};
use super::rpc::{self, Call};
use super::tasks::Conversations;
use crate::checkout::Deployment;
use crate::limit;
use crate::response::{self, Response};

/// A call as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The query string of its URL.
    pub query: &'a str,
    /// Its body, already limited to [`crate::response::MAX_BODY_BYTES`].
    pub body: &'a [u8],
}

/// Whether a body is meant for this door, even if it was sent to the x402 door.
pub fn is_call(body: &[u8]) -> bool {
    // Most bodies of the x402 door are short and have no such member.
    body.windows(9).any(|window| window == b"\"jsonrpc\"")
        && serde_json::from_slice::<Value>(body).is_ok_and(|body| body.get("jsonrpc").is_some())
}

/// Answers a call. The HTTP status is 200 even when the call cannot be carried out.
pub async fn answer<D: Deployment, C: Conversations>(
    desk: &Desk<'_, D, C>,
    arrival: &Arrival<'_>,
) -> Response {
    let mut counts = false;
    let dialect = Dialect::negotiate(arrival.headers, arrival.query);
    let spoken = dialect.clone().unwrap_or(Dialect::V1_0);
    let answer = match Call::read(arrival.body) {
        Err((id, fault)) => rpc::answer(&id, Err(fault), spoken),
        Ok(call) => {
            let result =
                match dialect.and_then(|dialect| readable(arrival.headers).map(|()| dialect)) {
                    Ok(dialect) => carry_out(desk, &call, dialect, &mut counts)
                        .await
                        // A call for a task that does not exist has cost a question to an object.
                        .inspect_err(|fault| counts |= fault.is_of_no_task()),
                    Err(fault) => Err(fault),
                };
            rpc::answer(&call.id, result, spoken)
        }
    };
    let mut response = response::json(StatusCode::OK, &answer);
    response::set(&mut response, CACHE_CONTROL, "private, no-store");
    if let Some((name, active)) = spoken.active(arrival.headers) {
        response::set(&mut response, HeaderName::from_static(name), &active);
    }
    match counts {
        true => limit::counted(response),
        false => response,
    }
}

fn readable(headers: &HeaderMap) -> Result<(), Fault> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = given
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    match media.trim().eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(Fault::new(Kind::ContentType, "Send application/json.")),
    }
}

/// Carries out a call. Sets `counts` when the call has cost us something and brought no money.
async fn carry_out<D: Deployment, C: Conversations>(
    desk: &Desk<'_, D, C>,
    call: &Call,
    dialect: Dialect,
    counts: &mut bool,
) -> Result<Value, Fault> {
    match dialect.method(&call.method)? {
        Method::Send => {
            let params = call.params()?;
            let manner = Manner::read(params)?;
            let message = Message::read(params, dialect)?;
            let task = desk.send(&message, manner.patience, counts).await?;
            let task = dialect.task(desk.shown(&task, manner.history).await?);
            Ok(match dialect {
                Dialect::V1_0 => json!({"task": task}),
                Dialect::V0_3 => task,
            })
        }
        Method::Get => {
            let params = call.params()?;
            let history = params::history(params)?;
            let task = desk.look(params::task_id(params)?).await?;
            Ok(dialect.task(desk.shown(&task, history).await?))
        }
        Method::Cancel => {
            let task = desk.cancel(params::task_id(call.params()?)?).await?;
            Ok(dialect.task(desk.shown(&task, None).await?))
        }
        Method::List => {
            let none = Map::new();
            let params = match &call.params {
                None | Some(Value::Null) => &none,
                Some(_) => call.params()?,
            };
            desk.list(&Wanted::read(params)?).await
        }
        Method::Stream => Err(Fault::new(
            Kind::Unsupported,
            "Nothing is streamed here: send the message without streaming, and ask for the task again while it is working.",
        )),
        Method::Push => Err(Fault::new(
            Kind::NoPush,
            "Push notifications are not sent here: ask again with the task's id.",
        )),
        Method::ExtendedCard => Err(Fault::new(
            Kind::Unsupported,
            "There is no extended agent card.",
        )),
    }
}

#[cfg(test)]
mod tests;
