//! Reads the seller's text into plans and routes. All faults are found in one pass, so that the seller can correct them
//! together. Each fault names its plan or route, and its member.

mod fault;
mod limits;
mod members;
mod plan;
mod route;
mod route_values;
mod values;

use core::fmt::Display;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

pub use fault::CatalogError;
use members::{Kind, Members};
use plan::PLAN;
use route::{Place, ROUTE, RouteRead};

use super::plan::Plan;
use super::route::Route;
use crate::types::PlanId;

const MAX_PLANS: usize = 64;
const MAX_ROUTES: usize = 200;

/// The content of a catalog file; a list that the file does not have is `None`.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct File {
    /// Its plans.
    pub plans: Option<Vec<Plan>>,
    /// Its routes.
    pub routes: Option<Vec<Route>>,
}

/// Reads a JSON array of plans.
pub fn plans(text: &str) -> Result<Vec<Plan>, CatalogError> {
    let texts = array(
        text,
        "plans, like [{\"planId\": \"hour\", \"unitAmount\": \"$0.50\"}]",
        (&PLAN, MAX_PLANS),
    )?;
    let (plans, _, faults) = read_plans(&texts);
    all_or(faults, plans)
}

/// Reads a JSON array of routes. `known` are the plans that there are; `None` when that is not known.
pub fn routes(text: &str, known: Option<&[PlanId]>) -> Result<Vec<Route>, CatalogError> {
    let texts = array(
        text,
        "routes, like [{\"routeId\": \"weather\", \"method\": \"GET\", \"path\": \"/api/weather/:city\", \"unitAmount\": \"$0.01\"}]",
        (&ROUTE, MAX_ROUTES),
    )?;
    let (routes, faults) = read_routes(&texts, known);
    all_or(faults, routes)
}

/// Plans that are set elsewhere and sold instead of a file's own.
#[derive(Clone, Copy, Debug)]
pub enum OtherPlans<'a> {
    /// There are no such plans: the file's own are sold.
    Nowhere,
    /// These plans are sold.
    These(&'a [PlanId]),
    /// There are such plans, but they cannot be read.
    Unreadable,
}

/// Reads a file: a JSON object that may have the members `plans` and `routes`, each an array as [`plans`] and
/// [`routes`] read it.
pub fn file(text: &str, others: OtherPlans<'_>) -> Result<File, CatalogError> {
    let value = json(text)?;
    let Some(members) = value.as_object() else {
        return Err(CatalogError::whole(
            "must be a JSON object like {\"plans\": […], \"routes\": […]}",
        ));
    };
    let is_known = |name: &str| ["$schema", "plans", "routes"].contains(&name);
    if let Some(strange) = members.keys().find(|name| !is_known(name)) {
        return Err(CatalogError::whole(format!(
            "has a member \"{strange}\", which is unknown: \"plans\", \"routes\" and \"$schema\" may be there"
        )));
    }
    let mut count = 0;
    for (name, kind) in [
        ("plans", (&PLAN, MAX_PLANS)),
        ("routes", (&ROUTE, MAX_ROUTES)),
    ] {
        if let Some(list) = members.get(name) {
            count += check_list(list, name, kind)?;
        }
    }
    if count == 0 {
        return Err(CatalogError::whole(
            "must list a plan in \"plans\" or a route in \"routes\"",
        ));
    }
    let file: FileText = serde_json::from_str(text).map_err(unreadable)?;
    let plans = file.plans.as_deref().map(read_plans);
    let (plans, ids, mut faults) = match plans {
        Some((plans, ids, faults)) => (Some(plans), ids, faults),
        None => Default::default(),
    };
    let known = match others {
        OtherPlans::Nowhere => Some(ids.as_slice()),
        OtherPlans::These(ids) => Some(ids),
        OtherPlans::Unreadable => None,
    };
    let routes = file.routes.as_deref().map(|routes| {
        let (routes, wrong) = read_routes(routes, known);
        faults.extend(wrong);
        routes
    });
    all_or(faults, File { plans, routes })
}

#[derive(Deserialize)]
struct FileText {
    #[serde(rename = "$schema")]
    _schema: Option<IgnoredAny>,
    plans: Option<Vec<Members>>,
    routes: Option<Vec<Members>>,
}

fn all_or<T>(faults: Vec<String>, read: T) -> Result<T, CatalogError> {
    match faults.is_empty() {
        true => Ok(read),
        false => Err(CatalogError::Items(faults)),
    }
}

fn json(text: &str) -> Result<Value, CatalogError> {
    serde_json::from_str(text).map_err(|error| CatalogError::whole(format!("is not JSON: {error}")))
}

fn unreadable(error: impl Display) -> CatalogError {
    CatalogError::whole(format!("cannot be read: {error}"))
}

/// The objects of a JSON array, which may have at most as many items as `kind` says. Keeps members that occur twice,
/// which a `Value` would lose.
fn array(text: &str, example: &str, kind: (&Kind, usize)) -> Result<Vec<Members>, CatalogError> {
    let value = json(text)?;
    if !value.is_array() {
        return Err(CatalogError::whole(format!(
            "must be a JSON array of {example}"
        )));
    }
    check_list(&value, "", kind)?;
    serde_json::from_str(text).map_err(unreadable)
}

/// Checks that a list holds objects only, and not too many. `name` is the list's member in a file; empty for a text
/// that is itself the list.
fn check_list(
    list: &Value,
    name: &str,
    (kind, most): (&Kind, usize),
) -> Result<usize, CatalogError> {
    let Some(items) = list.as_array() else {
        let fault = format!("must have a member \"{name}\" that is an array");
        return Err(CatalogError::whole(fault));
    };
    if items.len() > most {
        let fault = format!("must list at most {most} {}s", kind.name);
        return Err(CatalogError::whole(fault));
    }
    let no_object = |(at, item): (usize, &Value)| {
        (!item.is_object()).then(|| format!("{} {}: is not a JSON object", kind.name, at + 1))
    };
    let faults: Vec<String> = items.iter().enumerate().filter_map(no_object).collect();
    all_or(faults, items.len())
}

/// The plans that are good, all ids that could be read, and the faults of the others.
fn read_plans(texts: &[Members]) -> (Vec<Plan>, Vec<PlanId>, Vec<String>) {
    let (mut plans, mut ids, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (at, text) in texts.iter().enumerate() {
        let (plan, id, wrong) = plan::plan(text);
        note(&mut faults, &PLAN, (at, id.as_ref()), wrong, &ids);
        ids.extend(id);
        plans.extend(plan);
    }
    (plans, ids, faults)
}

/// The routes that are good, and the faults of the others.
fn read_routes(texts: &[Members], known: Option<&[PlanId]>) -> (Vec<Route>, Vec<String>) {
    let (mut routes, mut ids, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    let mut places: Vec<(Place, String)> = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let read: RouteRead = route::route(text, known);
        let id = read.id;
        let mut wrong = read.faults;
        if let Some(place) = read.place {
            let earlier = places.iter().find(|(other, _)| is_ambiguous(&place, other));
            wrong.extend(earlier.map(|(_, other)| {
                format!(
                    "\"path\" matches requests that {other} matches too, and neither goes first"
                )
            }));
            places.push((place, name_of(&ROUTE, (at, id.as_ref()))));
        }
        note(&mut faults, &ROUTE, (at, id.as_ref()), wrong, &ids);
        ids.extend(id);
        routes.extend(read.route);
    }
    (routes, faults)
}

fn is_ambiguous(one: &Place, two: &Place) -> bool {
    let other = (&two.path, two.is_case_sensitive);
    one.method == two.method && one.path.is_ambiguous_with(one.is_case_sensitive, other)
}

/// How a fault names its plan or route: by its id, or else by its place in the list.
fn name_of<I: Display>(kind: &Kind, (at, id): (usize, Option<&I>)) -> String {
    match id {
        Some(id) => format!("{} \"{id}\"", kind.name),
        None => format!("{} {}", kind.name, at + 1),
    }
}

/// Adds the faults of one plan or route, and a fault if its id occurred `earlier`.
fn note<I: Display + PartialEq>(
    faults: &mut Vec<String>,
    kind: &Kind,
    item: (usize, Option<&I>),
    wrong: Vec<String>,
    earlier: &[I],
) {
    let name = name_of(kind, item);
    faults.extend(wrong.into_iter().map(|fault| format!("{name}: {fault}")));
    if item.1.is_some_and(|id| earlier.contains(id)) {
        faults.push(format!("{name}: is listed twice"));
    }
}

#[cfg(test)]
mod tests;
