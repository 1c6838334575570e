//! Values that plans and routes have in common.

use core::str::FromStr;

use serde_json::Value;

use crate::types::{IdError, PlanId, PriceError, SERVICE_PLAN, UsdcAmount};

/// Facilitators refuse longer descriptions, and the payment offer must fit into a header.
pub(super) const MAX_DESCRIPTION_CHARS: usize = 500;

pub(super) fn text(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| "must be a text in quotes".to_owned())
}

pub(super) fn parsed<T: FromStr<Err = IdError>>(value: &Value) -> Result<T, String> {
    text(value)?
        .parse()
        .map_err(|error: IdError| error.to_string())
}

pub(super) fn plan_id(value: &Value) -> Result<PlanId, String> {
    let id: PlanId = parsed(value)?;
    match id.as_str() == SERVICE_PLAN {
        true => Err("is reserved for the worker's own calls".to_owned()),
        false => Ok(id),
    }
}

pub(super) fn price(value: &Value) -> Result<UsdcAmount, String> {
    let text = value
        .as_str()
        .ok_or_else(|| "must be a price in quotes, like \"$0.015\"".to_owned())?;
    let price: UsdcAmount = text
        .parse()
        .map_err(|error: PriceError| error.to_string())?;
    match price.is_zero() {
        true => Err("must be above zero".to_owned()),
        false => Ok(price),
    }
}

pub(super) fn description(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    match text.chars().count() > MAX_DESCRIPTION_CHARS {
        true => Err(format!("has more than {MAX_DESCRIPTION_CHARS} characters")),
        false => Ok(text.to_owned()),
    }
}

/// Reads a list of at most `most` values. A fault in one of them names its place in the list.
pub(super) fn list<T>(
    value: &Value,
    (most, of): (usize, &str),
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let items = value.as_array().ok_or("must be a list of texts")?;
    if items.len() > most {
        return Err(format!("lists more than {most} {of}"));
    }
    let item = |(at, item): (usize, &Value)| {
        read(item).map_err(|reason| format!("{reason} (number {} of the list)", at + 1))
    };
    items.iter().enumerate().map(item).collect()
}
