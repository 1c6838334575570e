//! A plan, read from its members.

use serde_json::{Map, Value};

use super::super::plan::Plan;
use super::limits::limits;
use super::members::{Kind, Members, Reader};
use super::values::{MAX_DESCRIPTION_CHARS, description, list, parsed, plan_id, price, text};
use crate::types::{PlanId, ResourceId};

const MAX_RESOURCES: usize = 64;
const MAX_EXPIRES_IN_SECONDS: u64 = 10 * 366 * 24 * 3600;
const MAX_EXTRA_MEMBERS: usize = 16;
const MAX_EXTRA_BYTES: usize = 2048;

pub(super) const PLAN: Kind = Kind {
    name: "plan",
    members: &[
        "planId",
        "unitAmount",
        "description",
        "expiresIn",
        "resourceIds",
        "quota",
        "rate",
        "concurrency",
        "extra",
    ],
    near: &[
        ("id", "planId"),
        ("name", "planId"),
        ("plan", "planId"),
        ("tier", "planId"),
        ("tierid", "planId"),
        ("amount", "unitAmount"),
        ("cost", "unitAmount"),
        ("price", "unitAmount"),
        ("priceusd", "unitAmount"),
        ("unitprice", "unitAmount"),
        ("usd", "unitAmount"),
        ("desc", "description"),
        ("text", "description"),
        ("duration", "expiresIn"),
        ("expires", "expiresIn"),
        ("expiresinseconds", "expiresIn"),
        ("expiry", "expiresIn"),
        ("lifetime", "expiresIn"),
        ("seconds", "expiresIn"),
        ("ttl", "expiresIn"),
        ("resourceid", "resourceIds"),
        ("resources", "resourceIds"),
        ("balance", "quota"),
        ("calls", "quota"),
        ("credit", "quota"),
        ("requests", "quota"),
        ("ratelimit", "rate"),
        ("throttle", "rate"),
        ("concurrent", "concurrency"),
        ("maxconcurrency", "concurrency"),
        ("parallel", "concurrency"),
    ],
};

/// The plan, unless something is wrong with it; its id, if the id is good; and all faults.
pub(super) fn plan(members: &Members) -> (Option<Plan>, Option<PlanId>, Vec<String>) {
    let mut reader = Reader::new(members, &PLAN);
    reader.require(&["planId", "unitAmount"]);
    let id = reader.member("planId", plan_id);
    let price = reader.member("unitAmount", price);
    let description = reader.member("description", description);
    let expires_in = reader.member("expiresIn", expires_in);
    let resources = reader.member("resourceIds", resources);
    let limits = limits(&mut reader);
    let extra = reader.member("extra", extra);
    let plan = match (&id, price) {
        (Some(id), Some(price)) if reader.faults.is_empty() => Some(Plan {
            id: id.clone(),
            price,
            description: description.unwrap_or_default(),
            expires_in,
            resources: resources.unwrap_or_default(),
            limits,
            extra: extra.unwrap_or_default(),
        }),
        _ => None,
    };
    let plan = plan.filter(|plan| {
        let fits = plan.described().chars().count() <= MAX_DESCRIPTION_CHARS;
        if !fits {
            reader.faults.push(format!(
                "\"description\" has more than {MAX_DESCRIPTION_CHARS} characters with \"{}\", which is told after it",
                plan.limits
            ));
        }
        fits
    });
    (plan, id, reader.faults)
}

fn expires_in(value: &Value) -> Result<u64, String> {
    if value.is_string() {
        return Err("must be a number of seconds, without quotes".to_owned());
    }
    value
        .as_u64()
        .filter(|seconds| (1..=MAX_EXPIRES_IN_SECONDS).contains(seconds))
        .ok_or_else(|| "must be a whole number of seconds, from 1 to ten years".to_owned())
}

fn resources(value: &Value) -> Result<Vec<ResourceId>, String> {
    list(value, (MAX_RESOURCES, "resources"), |item| {
        match text(item)?.contains('*') {
            true => Err("has a wildcard; name each resource".to_owned()),
            false => parsed(item),
        }
    })
}

fn extra(value: &Value) -> Result<Map<String, Value>, String> {
    let members = value.as_object().ok_or("must be a JSON object")?;
    if members.len() > MAX_EXTRA_MEMBERS {
        return Err(format!("has more than {MAX_EXTRA_MEMBERS} members"));
    }
    if value.to_string().len() > MAX_EXTRA_BYTES {
        return Err(format!("has more than {MAX_EXTRA_BYTES} bytes"));
    }
    Ok(members.clone())
}
