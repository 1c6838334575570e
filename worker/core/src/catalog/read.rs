//! The seller's text, read into plans. Every fault is found in one pass, so that a seller corrects a catalog once and not fault
//! by fault; each names its plan and its member.

use core::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::plan::Plan;
use crate::types::{IdError, PlanId, PriceError, ResourceId, SERVICE_PLAN, UsdcAmount};

const MAX_PLANS: usize = 64;
const MAX_RESOURCES: usize = 64;
/// Facilitators refuse longer ones, and the payment offer must fit into a header.
const MAX_DESCRIPTION_CHARS: usize = 500;
const MAX_EXPIRES_IN_SECONDS: u64 = 10 * 366 * 24 * 3600;
const MAX_EXTRA_MEMBERS: usize = 16;
const MAX_EXTRA_BYTES: usize = 2048;
/// A seller corrects these first; the rest would scroll them away.
const MAX_FAULTS_TOLD: usize = 20;

const MEMBERS: [&str; 6] = [
    "planId",
    "unitAmount",
    "description",
    "expiresIn",
    "resourceIds",
    "extra",
];
/// What sellers write instead, in lower case and without separators.
const NEAR: [(&str, &str); 22] = [
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
];

/// What is wrong with a catalog, fault by fault. Reads as the end of a sentence whose subject is the setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CatalogError(Vec<String>);

impl CatalogError {
    fn one(fault: impl Into<String>) -> Self {
        Self(vec![fault.into()])
    }
}

impl fmt::Display for CatalogError {
    /// A single fault about the whole stands in the sentence; faults of plans stand below it, one a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] if !only.starts_with("plan ") => f.write_str(only),
            [only] => write!(f, "has a fault:\n{only}"),
            all => {
                write!(f, "has {} faults:", all.len())?;
                for fault in all.iter().take(MAX_FAULTS_TOLD) {
                    write!(f, "\n{fault}")?;
                }
                match all.len().checked_sub(MAX_FAULTS_TOLD) {
                    None | Some(0) => Ok(()),
                    Some(more) => write!(f, "\nand {more} more"),
                }
            }
        }
    }
}

impl std::error::Error for CatalogError {}

/// Reads a JSON array of plans.
pub(super) fn list(text: &str) -> Result<Vec<Plan>, CatalogError> {
    let value = json(text)?;
    let Value::Array(_) = value else {
        return Err(CatalogError::one(
            "must be a JSON array of plans, like [{\"planId\": \"hour\", \"unitAmount\": \"$0.50\"}]",
        ));
    };
    plans(&value, || serde_json::from_str(text))
}

/// Reads a file: a JSON object whose member `plans` is the array.
pub(super) fn file(text: &str) -> Result<Vec<Plan>, CatalogError> {
    let value = json(text)?;
    let Some(members) = value.as_object() else {
        return Err(CatalogError::one(
            "must be a JSON object like {\"plans\": […]}",
        ));
    };
    if let Some(strange) = members
        .keys()
        .find(|name| !["$schema", "plans"].contains(&name.as_str()))
    {
        return Err(CatalogError::one(format!(
            "has a member \"{strange}\", which is unknown: \"plans\" and \"$schema\" may be there"
        )));
    }
    match members.get("plans") {
        Some(list @ Value::Array(_)) => plans(list, || {
            serde_json::from_str(text).map(|file: FileText| file.plans)
        }),
        _ => Err(CatalogError::one(
            "must have a member \"plans\" that is an array",
        )),
    }
}

fn json(text: &str) -> Result<Value, CatalogError> {
    serde_json::from_str(text).map_err(|error| CatalogError::one(format!("is not JSON: {error}")))
}

/// Reads the plans of an array. `again` reads the same text with members that are there twice, which a `Value` loses.
fn plans(
    list: &Value,
    again: impl FnOnce() -> serde_json::Result<Vec<PlanText>>,
) -> Result<Vec<Plan>, CatalogError> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() || items.len() > MAX_PLANS {
        return Err(CatalogError::one(format!(
            "must list 1 to {MAX_PLANS} plans"
        )));
    }
    let no_object = |(at, item): (usize, &Value)| {
        (!item.is_object()).then(|| format!("plan {}: is not a JSON object", at + 1))
    };
    let faults: Vec<String> = items.iter().enumerate().filter_map(no_object).collect();
    if !faults.is_empty() {
        return Err(CatalogError(faults));
    }
    let texts = again().map_err(|error| CatalogError::one(format!("cannot be read: {error}")))?;

    let mut faults = Vec::new();
    let mut plans: Vec<Plan> = Vec::new();
    let mut ids: Vec<PlanId> = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let (plan, id, wrong) = text.read();
        let name = match &id {
            Some(id) => format!("plan \"{id}\""),
            None => format!("plan {}", at + 1),
        };
        faults.extend(wrong.into_iter().map(|fault| format!("{name}: {fault}")));
        if let Some(id) = id {
            if ids.contains(&id) {
                faults.push(format!("{name}: is listed twice"));
            }
            ids.push(id);
        }
        plans.extend(plan);
    }
    match faults.is_empty() {
        true => Ok(plans),
        false => Err(CatalogError(faults)),
    }
}

#[derive(serde::Deserialize)]
struct FileText {
    #[serde(rename = "$schema")]
    _schema: Option<IgnoredAny>,
    plans: Vec<PlanText>,
}

/// A plan as it was written: its members in their order. A map would lose one that is there twice.
struct PlanText(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for PlanText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = PlanText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plan")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PlanText, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(PlanText(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl PlanText {
    /// The plan, unless something is wrong with it; its id, if that is good; and everything that is wrong.
    fn read(&self) -> (Option<Plan>, Option<PlanId>, Vec<String>) {
        let mut faults = Vec::new();
        for (at, (name, _)) in self.0.iter().enumerate() {
            if self.0.iter().take(at).any(|(earlier, _)| earlier == name) {
                faults.push(format!("\"{name}\" is there twice"));
            } else if !MEMBERS.contains(&name.as_str()) {
                faults.push(unknown(name));
            }
        }
        if self.value("planId").is_none() {
            faults.push("\"planId\" is missing".to_owned());
        }
        if self.value("unitAmount").is_none() {
            faults.push("\"unitAmount\" is missing".to_owned());
        }
        let id = self.member("planId", &mut faults, id);
        let price = self.member("unitAmount", &mut faults, price);
        let description = self.member("description", &mut faults, description);
        let expires_in = self.member("expiresIn", &mut faults, expires_in);
        let resources = self.member("resourceIds", &mut faults, resources);
        let extra = self.member("extra", &mut faults, extra);
        let plan = match (&id, price) {
            (Some(id), Some(price)) if faults.is_empty() => Some(Plan {
                id: id.clone(),
                price,
                description: description.unwrap_or_default(),
                expires_in,
                resources: resources.unwrap_or_default(),
                extra: extra.unwrap_or_default(),
            }),
            _ => None,
        };
        (plan, id, faults)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let (_, value) = self.0.iter().find(|(member, _)| member == name)?;
        Some(value)
    }

    /// Reads a member; `None` when it is absent, or wrong and noted.
    fn member<T>(
        &self,
        name: &str,
        faults: &mut Vec<String>,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        match read(self.value(name)?) {
            Ok(value) => Some(value),
            Err(reason) => {
                faults.push(format!("\"{name}\" {reason}"));
                None
            }
        }
    }
}

fn unknown(name: &str) -> String {
    let bare: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let spelt = MEMBERS
        .iter()
        .find(|member| member.eq_ignore_ascii_case(&bare));
    let near = NEAR.iter().find(|(near, _)| *near == bare);
    match spelt.or(near.map(|(_, meant)| meant)) {
        Some(meant) => format!("\"{name}\" is unknown; did you mean \"{meant}\"?"),
        None => format!("\"{name}\" is unknown; a plan has {}", MEMBERS.join(", ")),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| "must be a text in quotes".to_owned())
}

fn id(value: &Value) -> Result<PlanId, String> {
    let id: PlanId = text(value)?
        .parse()
        .map_err(|error: IdError| error.to_string())?;
    match id.as_str() == SERVICE_PLAN {
        true => Err("is reserved for the worker's own calls".to_owned()),
        false => Ok(id),
    }
}

fn price(value: &Value) -> Result<UsdcAmount, String> {
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

fn description(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    match text.chars().count() > MAX_DESCRIPTION_CHARS {
        true => Err(format!("has more than {MAX_DESCRIPTION_CHARS} characters")),
        false => Ok(text.to_owned()),
    }
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
    let items = value.as_array().ok_or("must be a list of texts")?;
    if items.len() > MAX_RESOURCES {
        return Err(format!("lists more than {MAX_RESOURCES} resources"));
    }
    let resource = |(at, item): (usize, &Value)| {
        let read = text(item).and_then(|text| match text.contains('*') {
            true => Err("has a wildcard; name each resource".to_owned()),
            false => text.parse().map_err(|error: IdError| error.to_string()),
        });
        read.map_err(|reason| format!("{reason} (number {} of the list)", at + 1))
    };
    items.iter().enumerate().map(resource).collect()
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

#[cfg(test)]
mod tests;
