//! Routes for tests.

use http::Method;

use super::list::Catalog;
use super::route::{Charged, Route, Settle, Shapes};
use crate::types::UsdcAmount;

/// A catalog of routes, each given like `GET /api/weather/:city`. Their ids are `r0`, `r1` and so on.
pub(crate) fn routes(lines: &[&str]) -> Catalog {
    let routes = lines.iter().enumerate().map(|(at, line)| {
        let (method, path) = line.split_once(' ').unwrap();
        route(&format!("r{at}"), method, path)
    });
    Catalog::new(Vec::new(), routes.collect())
}

/// A route that costs a cent, with the usual settings.
pub(crate) fn route(id: &str, method: &str, path: &str) -> Route {
    Route {
        id: id.parse().unwrap(),
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: path.parse().unwrap(),
        resource: path.parse().unwrap(),
        price: Some(UsdcAmount::from_units(10_000)),
        settle: Settle::After,
        description: String::new(),
        charged: Charged::default(),
        idempotent: false,
        max_body: 65_536,
        vary: Vec::new(),
        stream: false,
        case_sensitive: false,
        forward_authorization: false,
        notify: false,
        plans: Vec::new(),
        max_cost: None,
        shapes: Shapes::default(),
    }
}
