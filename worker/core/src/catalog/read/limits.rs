//! The limits of a plan, read from its members. Each is an object of its own, whose faults name the plan's member too.

use serde_json::Value;

use super::members::{Kind, Members, Reader};
use super::values::{price, text};
use crate::meter::{Limits, Period, Quota, Rate};
use crate::types::UsdcAmount;

/// The largest balance: so many calls, or millionths of a dollar.
pub(super) const MAX_QUOTA: u64 = 1_000_000_000_000;
/// The calls of one grant are counted in one place, which serves so many a second.
const MAX_CALLS_A_SECOND: u64 = 200;
const MAX_CONCURRENCY: u32 = 1_000;

const QUOTA: Kind = Kind {
    name: "quota",
    members: &["calls", "credit"],
    near: &[
        ("amount", "credit"),
        ("balance", "credit"),
        ("dollars", "credit"),
        ("usd", "credit"),
        ("count", "calls"),
        ("limit", "calls"),
        ("requests", "calls"),
    ],
};

const RATE: Kind = Kind {
    name: "rate",
    members: &["calls", "per"],
    near: &[
        ("count", "calls"),
        ("limit", "calls"),
        ("requests", "calls"),
        ("every", "per"),
        ("interval", "per"),
        ("period", "per"),
        ("unit", "per"),
        ("window", "per"),
    ],
};

/// Reads what limits a plan has; notes the faults.
pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    Limits {
        quota: inner(reader, "quota", quota),
        rate: inner(reader, "rate", rate),
        concurrency: reader.member("concurrency", concurrency),
    }
}

/// Reads a member that is an object, and notes each fault inside it.
fn inner<T>(
    reader: &mut Reader<'_>,
    name: &str,
    read: fn(&Members) -> Result<T, Vec<String>>,
) -> Option<T> {
    let members = reader.member(name, Members::of)?;
    match read(&members) {
        Ok(value) => Some(value),
        Err(faults) => {
            let named = |fault| format!("\"{name}\": {fault}");
            reader.faults.extend(faults.into_iter().map(named));
            None
        }
    }
}

fn quota(members: &Members) -> Result<Quota, Vec<String>> {
    let mut reader = Reader::new(members, &QUOTA);
    let calls = reader.member("calls", |value| whole(value, MAX_QUOTA));
    let credit = reader.member("credit", credit);
    let both = ["calls", "credit"].map(|name| reader.value(name).is_some());
    if both == [true, true] {
        reader
            .faults
            .push("has \"calls\" and \"credit\"; a balance is one of them".to_owned());
    } else if both == [false, false] {
        reader
            .faults
            .push("must have \"calls\", a number, or \"credit\", like \"$5.00\"".to_owned());
    }
    match (calls, credit) {
        _ if !reader.faults.is_empty() => Err(reader.faults),
        (Some(calls), _) => Ok(Quota::Calls(calls)),
        (None, Some(credit)) => Ok(Quota::Credit(credit)),
        // One of them is there, and what is wrong with it is among the faults.
        (None, None) => Err(reader.faults),
    }
}

fn rate(members: &Members) -> Result<Rate, Vec<String>> {
    let mut reader = Reader::new(members, &RATE);
    reader.require(&["calls", "per"]);
    let per = reader.member("per", period);
    // While the period is not known, the longest one's limit is told.
    let seconds = per.unwrap_or(Period::Hour).seconds();
    let calls = reader.member("calls", |value| {
        let calls = whole(value, MAX_CALLS_A_SECOND * seconds)?;
        u32::try_from(calls).map_err(|_| "is too large".to_owned())
    });
    match (calls, per) {
        (Some(calls), Some(per)) if reader.faults.is_empty() => Ok(Rate { calls, per }),
        _ => Err(reader.faults),
    }
}

fn period(value: &Value) -> Result<Period, String> {
    match text(value)? {
        "second" => Ok(Period::Second),
        "minute" => Ok(Period::Minute),
        "hour" => Ok(Period::Hour),
        _ => Err("must be \"second\", \"minute\" or \"hour\"".to_owned()),
    }
}

fn credit(value: &Value) -> Result<UsdcAmount, String> {
    let credit = price(value)?;
    match credit.units() > MAX_QUOTA {
        true => Err("must be at most $1000000".to_owned()),
        false => Ok(credit),
    }
}

fn concurrency(value: &Value) -> Result<u32, String> {
    let most = whole(value, u64::from(MAX_CONCURRENCY))?;
    u32::try_from(most).map_err(|_| "is too large".to_owned())
}

fn whole(value: &Value, most: u64) -> Result<u64, String> {
    if value.is_string() {
        return Err("must be a number, without quotes".to_owned());
    }
    value
        .as_u64()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number, from 1 to {most}"))
}
