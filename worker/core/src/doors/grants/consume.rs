//! A backend that is called without the gateway has its calls counted: each by a name, or many by a lease.

use crate::json;
use crate::json::Put as _;
use http::StatusCode;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::http::request;
use super::secret::{Arrival, turned_away};
use crate::config::Config;
use crate::error::{Code, Error};
use crate::meter::{
    Consume, Cost, LEASE_MILLIS, LeaseId, MeterCommand, MeterReply, Meters, Quota, Refused, Report,
    Standing, Why, left,
};
use crate::pauses::METER_RETRY_SECONDS;
use crate::response::{self, Response};

/// The most bytes of a request's body.
pub const MAX_CONSUME_BYTES: usize = 4 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    grant: String,
    cost: Option<Value>,
    lease: Option<LeaseBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseBody {
    id: String,
    used: u64,
    #[serde(default)]
    want: u32,
    #[serde(default)]
    done: bool,
}

/// Counts what a backend says.
pub async fn consume<M: Meters>(config: &Config, meters: &M, arrival: &Arrival<'_>) -> Response {
    if let Some(refusal) = turned_away(config, arrival.headers) {
        return refusal;
    }
    match counted(meters, arrival).await {
        Ok(body) => {
            let mut answer = response::json(StatusCode::OK, &body);
            response::set(&mut answer, CACHE_CONTROL, "no-store");
            answer
        }
        Err(error) => {
            let mut answer = response::error(&error);
            let details = error.details.as_ref();
            let seconds = details.and_then(|details| details.get("retryAfterSeconds")?.as_u64());
            if let Some(seconds) = seconds {
                response::set(&mut answer, RETRY_AFTER, &seconds.to_string());
            }
            answer
        }
    }
}

async fn counted<M: Meters>(meters: &M, arrival: &Arrival<'_>) -> Result<Value, Error> {
    let body: Body = serde_json::from_slice(arrival.body).map_err(|error| {
        Error::invalid_request(format!(
            "The body must be JSON like {{\"grant\": \"…\", \"cost\": 1}} or {{\"grant\": \"…\", \"lease\": {{\"id\": \"…\", \"used\": 0, \
             \"want\": 50}}}}: {error}."
        ))
    })?;
    let command = command(&body, arrival)?;
    let reply = meters.ask(&body.grant, &command).await;
    match reply.map_err(|_| unknown())? {
        MeterReply::Consumed(standing) => Ok(Value::Object(facts(&standing))),
        MeterReply::Lent(lent) => {
            let mut facts = facts(&lent.standing);
            facts.put("upTo", lent.up_to.into());
            facts.put("leaseSeconds", (LEASE_MILLIS / 1_000).into());
            Ok(Value::Object(facts))
        }
        MeterReply::OtherCost => Err(Error::invalid_request(
            "cost must be a number of calls for a plan whose quota is calls, and dollars for one whose quota is a credit. \
             Nothing was counted.",
        )),
        MeterReply::Refused(refused) => Err(refusal(&refused)),
        MeterReply::NotGranted => Err(Error::new(
            Code::NotFound,
            "No purchase of a plan with limits was delivered under this id: grant is the claim of that name in a token of such a plan.",
        )
        .with_details(json!({"reason": "unknown_grant"}))),
        _ => Err(Error::internal()),
    }
}

fn command(body: &Body, arrival: &Arrival<'_>) -> Result<MeterCommand, Error> {
    if let Some(lease) = &body.lease {
        let id = LeaseId::parse(&lease.id);
        let id = id.filter(|_| body.cost.is_none());
        let id = id.ok_or_else(|| {
            Error::invalid_request(
                "lease.id must be 32 hex digits, chosen at random by the process that takes the lease; and a lease has no cost.",
            )
        })?;
        return Ok(MeterCommand::Lease(Report {
            lease: id,
            used: lease.used,
            want: lease.want,
            done: lease.done,
        }));
    }
    let key = request::key(arrival.headers)?.ok_or_else(|| {
        Error::invalid_request(
            "Send an Idempotency-Key, the same each time you repeat this: then it is counted once.",
        )
    })?;
    let read = |cost: &Value| match cost {
        Value::Number(calls) => calls.as_u64().map(Cost::Calls),
        Value::String(text) => Cost::parse(text),
        _ => None,
    };
    let cost = match &body.cost {
        None => None,
        Some(cost) => Some(read(cost).ok_or_else(|| {
            Error::invalid_request(
                "cost must be a number of calls like 3, or dollars like \"$0.0123\".",
            )
        })?),
    };
    let key = key.to_owned();
    Ok(MeterCommand::Consume(Consume { key, cost }))
}

/// How a grant stands.
fn facts(standing: &Standing) -> Map<String, Value> {
    let mut facts = Map::new();
    if let Some(told) = left(standing) {
        let left = match standing.limits.quota {
            Some(Quota::Calls(_)) => standing.left.into(),
            _ => told.into(),
        };
        facts.put("left", left);
    }
    facts.put("endsAt", standing.ends_at.to_iso().into());
    facts
}

fn refusal(refused: &Refused) -> Error {
    let standing = &refused.standing;
    let (code, reason, message, seconds) = match refused.why {
        Why::UsedUp => (
            Code::QuotaUsedUp,
            "used_up",
            "What this grant was good for is used up: answer your caller 402. What a lease has reported is counted.",
            None,
        ),
        Why::Ended => (
            Code::AccessEnded,
            "ended",
            "This grant has ended. What a lease has reported is counted.",
            None,
        ),
        Why::Revoked => (
            Code::GrantRevoked,
            "revoked",
            "This grant was taken back: answer your caller 401. What a lease has reported is counted.",
            None,
        ),
        Why::TooFast => (
            Code::RateLimited,
            "too_fast",
            "The calls of this period are made: answer your caller 429. What a lease has reported is counted.",
            Some(standing.next_in.max(1)),
        ),
        Why::Over => (
            Code::RequestConflict,
            "lease_over",
            "This lease was given back. What it has reported is counted; go on with another id.",
            None,
        ),
        Why::TooMany | Why::Outstanding => (
            Code::RateLimited,
            "units_outstanding",
            "What is left of this grant is set aside for calls that are under way, or lent, and may come back: answer your caller \
             429. What a lease has reported is counted.",
            Some(METER_RETRY_SECONDS),
        ),
    };
    let mut details = facts(standing);
    details.put("reason", reason.into());
    if let Some(seconds) = seconds {
        details.put("retryAfterSeconds", seconds.into());
    }
    Error::new(code, message).with_details(Value::Object(details))
}

/// The meter gave no answer.
pub(super) fn unknown() -> Error {
    let details = json!({"reason": "meter_unavailable", "retryAfterSeconds": METER_RETRY_SECONDS});
    Error::new(
        Code::TemporarilyUnavailable,
        "The grant could not be asked. Repeat the same request after Retry-After seconds: nothing is counted twice.",
    )
    .with_details(details)
}

#[cfg(test)]
mod tests;
