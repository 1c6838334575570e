//! A route, read from its members.

use http::Method;

use super::super::path::PathTemplate;
use super::super::route::{Route, Settle, Shapes};
use super::members::{Kind, Members, Reader};
use super::route_values::{
    charged, example, flag, listed_plans, max_body, max_cost, method, only_true, path, schema,
    settle, vary,
};
use super::values::{description, parsed, price};
use crate::types::{PlanId, RouteId};

const USUAL_BODY_BYTES: usize = 64 * 1024;

pub(super) const ROUTE: Kind = Kind {
    name: "route",
    members: &[
        "routeId",
        "method",
        "path",
        "unitAmount",
        "free",
        "settle",
        "description",
        "params",
        "body",
        "output",
        "example",
        "charged",
        "idempotent",
        "maxBody",
        "vary",
        "stream",
        "caseSensitive",
        "forwardAuthorization",
        "notify",
        "plans",
        "maxCost",
    ],
    near: &[
        ("id", "routeId"),
        ("name", "routeId"),
        ("operationid", "routeId"),
        ("route", "routeId"),
        ("httpmethod", "method"),
        ("methods", "method"),
        ("verb", "method"),
        ("endpoint", "path"),
        ("pattern", "path"),
        ("resource", "path"),
        ("uri", "path"),
        ("url", "path"),
        ("amount", "unitAmount"),
        ("cost", "unitAmount"),
        ("price", "unitAmount"),
        ("priceusd", "unitAmount"),
        ("unitprice", "unitAmount"),
        ("usd", "unitAmount"),
        ("isfree", "free"),
        ("settlement", "settle"),
        ("desc", "description"),
        ("summary", "description"),
        ("text", "description"),
        ("parameters", "params"),
        ("query", "params"),
        ("queryparams", "params"),
        ("input", "body"),
        ("requestbody", "body"),
        ("response", "output"),
        ("schema", "output"),
        ("examples", "example"),
        ("sample", "example"),
        ("charge", "charged"),
        ("statuses", "charged"),
        ("isidempotent", "idempotent"),
        ("bodylimit", "maxBody"),
        ("maxbodybytes", "maxBody"),
        ("headers", "vary"),
        ("streaming", "stream"),
        ("authorization", "forwardAuthorization"),
        ("forwardauth", "forwardAuthorization"),
        ("notifications", "notify"),
        ("planid", "plans"),
        ("planids", "plans"),
        ("maximumcost", "maxCost"),
        ("maxunits", "maxCost"),
    ],
};

/// The result of reading a route.
pub(super) struct RouteRead {
    /// The route, unless something is wrong with it.
    pub(super) route: Option<Route>,
    /// The route's id, if the id is good.
    pub(super) id: Option<RouteId>,
    /// The method and path of the route, if they are good.
    pub(super) place: Option<Place>,
    /// All faults.
    pub(super) faults: Vec<String>,
}

/// The requests that call a route.
pub(super) struct Place {
    pub(super) method: Method,
    pub(super) path: PathTemplate,
    pub(super) is_case_sensitive: bool,
}

/// Reads a route. `plans` are the plans that there are, when that is known.
pub(super) fn route(members: &Members, plans: Option<&[PlanId]>) -> RouteRead {
    let mut reader = Reader::new(members, &ROUTE);
    reader.require(&["routeId", "method", "path"]);
    let id = reader.member("routeId", parsed::<RouteId>);
    let method = reader.member("method", method);
    let path = reader.member("path", path);
    let price = reader.member("unitAmount", price);
    let is_free = reader.member("free", only_true) == Some(true);
    check_price(&mut reader);
    let settle = reader.member("settle", settle);
    let description = reader.member("description", description);
    let shapes = Shapes {
        params: reader.member("params", schema),
        body: reader.member("body", schema),
        output: reader.member("output", schema),
        example: reader.member("example", example),
    };
    let charged = reader.member("charged", charged);
    let idempotent = reader.member("idempotent", flag);
    let max_body = reader.member("maxBody", max_body);
    let vary = reader.member("vary", vary);
    let stream = reader.member("stream", flag);
    let case_sensitive = reader.member("caseSensitive", flag).unwrap_or_default();
    let forward_authorization = reader.member("forwardAuthorization", flag);
    let notify = reader.member("notify", flag);
    let plans = reader.member("plans", |value| listed_plans(value, plans));
    let max_cost = reader.member("maxCost", max_cost);
    if let Some(method) = method.as_ref().filter(|method| !has_body(method)) {
        for name in ["body", "maxBody"] {
            if reader.value(name).is_some() {
                let fault = format!("\"{name}\" has no meaning: a {method} has no body");
                reader.faults.push(fault);
            }
        }
    }

    let place = match (&method, path) {
        (Some(method), Some((path, resource))) => Some((
            Place {
                method: method.clone(),
                path,
                is_case_sensitive: case_sensitive,
            },
            resource,
        )),
        _ => None,
    };
    let settle = settle.or_else(|| {
        let is_after = method.as_ref()? == Method::GET && stream != Some(true);
        Some(if is_after {
            Settle::After
        } else {
            Settle::Before
        })
    });
    if stream == Some(true) && settle == Some(Settle::After) && !is_free {
        let fault = "\"stream\" goes with \"settle\": \"before\": an answer that is paid for after it has arrived is kept whole first";
        reader.faults.push(fault.to_owned());
    }
    let route = match (&id, &place) {
        (Some(id), Some((place, resource))) if reader.faults.is_empty() => {
            let method = place.method.clone();
            Some(Route {
                id: id.clone(),
                path: place.path.clone(),
                resource: resource.clone(),
                price: price.filter(|_| !is_free),
                settle: settle.unwrap_or(Settle::Before),
                description: description.unwrap_or_default(),
                charged: charged.unwrap_or_default(),
                idempotent: idempotent
                    .unwrap_or(matches!(method, Method::GET | Method::PUT | Method::DELETE)),
                max_body: max_body.unwrap_or(USUAL_BODY_BYTES),
                vary: vary.unwrap_or_default(),
                stream: stream.unwrap_or_default(),
                case_sensitive,
                forward_authorization: forward_authorization.unwrap_or_default(),
                notify: notify.unwrap_or_default(),
                plans: plans.unwrap_or_default(),
                max_cost,
                shapes,
                method,
            })
        }
        _ => None,
    };
    RouteRead {
        route,
        id,
        place: place.map(|(place, _)| place),
        faults: reader.faults,
    }
}

/// Notes a fault unless the route either has a price or is free.
fn check_price(reader: &mut Reader<'_>) {
    match (reader.value("unitAmount"), reader.value("free")) {
        (None, None) => reader.faults.push(
            "\"unitAmount\" is missing; a route that everybody may call has \"free\": true instead"
                .to_owned(),
        ),
        (Some(_), Some(_)) => {
            let fault = "\"free\" and \"unitAmount\" exclude each other";
            reader.faults.push(fault.to_owned());
        }
        (None, Some(_)) => {
            for name in ["settle", "charged", "notify", "plans", "maxCost"] {
                if reader.value(name).is_some() {
                    let fault = format!(
                        "\"{name}\" has no meaning on a free route: everybody may call it without paying"
                    );
                    reader.faults.push(fault);
                }
            }
        }
        (Some(_), None) => {}
    }
}

const fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::DELETE)
}
