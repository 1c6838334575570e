//! The values of a route's members.

use http::{HeaderName, Method};
use serde_json::Value;

use super::super::own_paths::is_own_path;
use super::super::path::PathTemplate;
use super::super::route::{Charged, Settle, StatusRange};
use super::limits::MAX_QUOTA;
use super::values::{list, parsed, plan_id, text};
use crate::meter::Cost;
use crate::types::{PlanId, ResourceId};

const MAX_SHAPE_BYTES: usize = 8192;
const MAX_CHARGED: usize = 16;
const MAX_VARY: usize = 8;
const MAX_PLANS: usize = 64;
const MAX_BODY_BYTES: usize = 1024 * 1024;
const METHODS: [Method; 5] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];
/// Request headers that the gateway removes or changes, so that `vary` must not name them.
const NOT_FORWARDED: [&str; 18] = [
    "accept-encoding",
    "accept-payment",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-payment",
    "x-real-ip",
];
const NOT_FORWARDED_BEGIN: [&str; 6] = [
    "cf-",
    "if-",
    "payment-",
    "proxy-",
    "x-forwarded-",
    "x-key0-",
];

/// A number of calls, or dollars in quotes, above zero.
pub(super) fn max_cost(value: &Value) -> Result<Cost, String> {
    let cost = match value {
        Value::String(text) => text.starts_with('$').then(|| Cost::parse(text)).flatten(),
        value => value.as_u64().map(Cost::Calls),
    };
    let units = |cost: &Cost| match cost {
        Cost::Calls(calls) => *calls,
        Cost::Credit(amount) => amount.units(),
    };
    let is_cost = |cost: &Cost| (1..=MAX_QUOTA).contains(&units(cost));
    cost.filter(is_cost).ok_or_else(|| {
        "must be a whole number of calls, like 20, or of a credit the dollars, like \"$0.05\""
            .to_owned()
    })
}

pub(super) fn method(value: &Value) -> Result<Method, String> {
    let text = text(value)?;
    let mut methods = METHODS.into_iter();
    methods
        .find(|method| method.as_str() == text)
        .ok_or(match text {
            "HEAD" => "must not be HEAD: it is answered for the route with GET",
            "OPTIONS" => "must not be OPTIONS: the worker answers it",
            _ => "must be GET, POST, PUT, PATCH or DELETE",
        })
        .map_err(str::to_owned)
}

/// The path of a route, and the resource id by which an offer names the path.
pub(super) fn path(value: &Value) -> Result<(PathTemplate, ResourceId), String> {
    let text = text(value)?;
    let path: PathTemplate = text.parse().map_err(str::to_owned)?;
    match is_own_path(text) {
        true => {
            Err("is a path that the worker itself answers; give the route another one".to_owned())
        }
        false => Ok((path, parsed(value)?)),
    }
}

pub(super) fn flag(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "must be true or false, without quotes".to_owned())
}

pub(super) fn only_true(value: &Value) -> Result<bool, String> {
    match flag(value)? {
        true => Ok(true),
        false => Err("must be true, or absent".to_owned()),
    }
}

pub(super) fn settle(value: &Value) -> Result<Settle, String> {
    match text(value)? {
        "after" => Ok(Settle::After),
        "before" => Ok(Settle::Before),
        _ => Err("must be \"after\" or \"before\"".to_owned()),
    }
}

pub(super) fn schema(value: &Value) -> Result<Value, String> {
    match value.is_object() {
        true => example(value),
        false => Err("must be a JSON Schema, which is an object".to_owned()),
    }
}

pub(super) fn example(value: &Value) -> Result<Value, String> {
    match value.to_string().len() > MAX_SHAPE_BYTES {
        true => Err(format!("has more than {MAX_SHAPE_BYTES} bytes")),
        false => Ok(value.clone()),
    }
}

pub(super) fn charged(value: &Value) -> Result<Charged, String> {
    let ranges = list(value, (MAX_CHARGED, "statuses"), |item| status(text(item)?))?;
    match ranges.is_empty() {
        true => Err("must not be empty: no call would ever be charged".to_owned()),
        false => Ok(Charged::new(ranges)),
    }
}

fn status(text: &str) -> Result<StatusRange, String> {
    let first = text.strip_suffix("xx").map(|class| format!("{class}00"));
    let width = if first.is_some() { 99 } else { 0 };
    let text = first.as_deref().unwrap_or(text);
    let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|status| is_number && (200..500).contains(status))
        .map(|status: u16| StatusRange(status, status + width))
        .ok_or_else(|| {
            "must be a status from \"200\" to \"499\", or \"2xx\", \"3xx\" or \"4xx\"".to_owned()
        })
}

pub(super) fn max_body(value: &Value) -> Result<usize, String> {
    let bytes = value.as_u64().and_then(|bytes| usize::try_from(bytes).ok());
    bytes
        .filter(|bytes| (1..=MAX_BODY_BYTES).contains(bytes))
        .ok_or_else(|| format!("must be a whole number of bytes, from 1 to {MAX_BODY_BYTES}"))
}

pub(super) fn vary(value: &Value) -> Result<Vec<HeaderName>, String> {
    list(value, (MAX_VARY, "headers"), |item| {
        let name = HeaderName::from_bytes(text(item)?.as_bytes())
            .map_err(|_| "is not the name of a header".to_owned())?;
        let is_changed = NOT_FORWARDED.contains(&name.as_str())
            || NOT_FORWARDED_BEGIN
                .iter()
                .any(|begin| name.as_str().starts_with(begin));
        match is_changed {
            true => Err("is a header that your API does not get as it came".to_owned()),
            false => Ok(name),
        }
    })
}

pub(super) fn listed_plans(value: &Value, known: Option<&[PlanId]>) -> Result<Vec<PlanId>, String> {
    list(value, (MAX_PLANS, "plans"), |item| {
        let id = plan_id(item)?;
        match known.is_some_and(|known| !known.contains(&id)) {
            true => Err(format!("names \"{id}\", and there is no such plan")),
            false => Ok(id),
        }
    })
}
