//! Shell commands that ask for a price, for the texts for agents and the page for people.

use http::Method;

use super::markdown::shell;
use super::words;
use crate::catalog::{Plan, Route};
use crate::config::Config;
use crate::types::HttpUrl;

/// The plan in the example of a purchase: the cheapest.
pub(super) fn example_plan(config: &Config) -> Option<&Plan> {
    let plans = config.catalog.plans().iter();
    plans.min_by_key(|plan| plan.price)
}

/// The route in the example of a call: the cheapest that only reads, if there is one.
pub(super) fn example_route(config: &Config) -> Option<&Route> {
    let routes = config.catalog.routes().iter();
    routes
        .filter(|route| route.price.is_some())
        .min_by_key(|route| (route.method != Method::GET, route.price))
}

/// The command that asks for the price of a plan.
pub(super) fn ask_for_plan(plan: &Plan, origin: &HttpUrl) -> String {
    let order = crate::json!({"planId": plan.id}).to_string();
    format!(
        "curl -i {} -H 'content-type: application/json' -d {}",
        shell(&origin.join(words::ACCESS_PATH)),
        shell(&order)
    )
}

/// The command that asks for the price of a call.
pub(super) fn ask_for_call(route: &Route, origin: &HttpUrl) -> String {
    let url = shell(&origin.join(&route.example_path()));
    let method = match route.method.as_str() {
        "GET" => String::new(),
        method => format!(" -X {method}"),
    };
    let body = route.example_body().map_or_else(String::new, |body| {
        let body = shell(&body.to_string());
        format!(" -H 'content-type: application/json' -d {body}")
    });
    format!("curl -i{method} {url}{body}")
}
