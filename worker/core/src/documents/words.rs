//! Phrases that several documents use.

use crate::catalog::{Plan, Route, Settle};
use crate::config::Config;
use crate::types::{HttpUrl, Network};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The path of the x402 door.
pub(super) const ACCESS_PATH: &str = "/x402/access";

/// A lifetime, in the largest unit of which it is a multiple.
pub(super) fn duration(seconds: u64) -> String {
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    let (unit, name) = units
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))
        .unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

/// The price of a plan, how long its access lasts, and its limits.
pub(super) fn terms(plan: &Plan, config: &Config) -> String {
    let lifetime = duration(plan.lifetime(config.token.ttl_seconds));
    match plan.limits.is_none() {
        true => format!("{} for {lifetime}", plan.price),
        false => format!("{} for {lifetime} ({})", plan.price, plan.limits),
    }
}

/// The price of a call.
pub(super) fn price(route: &Route) -> String {
    match route.price {
        Some(price) => format!("{price} per call"),
        None => "free".to_owned(),
    }
}

/// When a call is charged; `None` if the route is free.
pub(super) fn charged(route: &Route, config: &Config) -> Option<&'static str> {
    route.price?;
    Some(match (route.settle, &config.refund.wallet) {
        (Settle::After, _) => "Charged only when the API has answered with success.",
        (Settle::Before, Some(_)) => {
            "Charged before the API is called; if it fails, the money goes back."
        }
        (Settle::Before, None) => "Charged before the API is called.",
    })
}

/// The plans whose tokens open a route; `None` when there are none.
pub(super) fn opened_by(route: &Route) -> Option<String> {
    let plans: Vec<&str> = route.plans.iter().map(|plan| plan.as_str()).collect();
    match plans.as_slice() {
        [] => None,
        [plan] => Some(format!("A token of the plan {plan} opens it too.")),
        plans => Some(format!(
            "A token of one of these plans opens it too: {}.",
            plans.join(", ")
        )),
    }
}

/// Whether a plan with limits opens a route, so that its calls are counted.
pub(super) fn is_metered(route: &Route, config: &Config) -> bool {
    let mut plans = route.plans.iter();
    plans.any(|id| {
        let plan = config.catalog.plan(id);
        plan.is_some_and(|plan| !plan.limits.is_none())
    })
}

/// The name of the chain, for people.
pub(super) const fn chain(network: Network) -> &'static str {
    match network {
        Network::Base => "Base",
        Network::BaseSepolia => "Base Sepolia",
    }
}

/// The clients that can pay here, after "a ".
pub(super) const fn client(config: &Config) -> &'static str {
    match config.mpp.enabled {
        true => "client of x402 or of the Machine Payments Protocol (MPP)",
        false => "client of x402",
    }
}

/// How an agent buys, in a few sentences.
pub(super) fn guidance(config: &Config, origin: &HttpUrl) -> String {
    let network = config.network;
    let client = client(config);
    let mut said = vec![format!(
        "Prices are in USDC on {} ({}). Send a request without a payment: the answer is 402 with the exact price. A {client} \
         signs the offer and sends the same request again with the payment; no gas is needed.",
        chain(network),
        network.caip2(),
    )];
    if !config.catalog.plans().is_empty() {
        said.push(format!(
            "To buy a plan, POST {{\"planId\": \"…\"}} to {}: the answer has an access token, which is then sent as Authorization: \
             Bearer.",
            origin.join(ACCESS_PATH)
        ));
    }
    if has_paid_routes(config) {
        said.push(
            "What is paid per call is called at its own path, with the payment in a header."
                .to_owned(),
        );
    }
    said.push(
        "Name each purchase with the header Idempotency-Key (a UUID that you keep): the same request sent again is then charged \
         once. After no answer or a 5xx, repeat it unchanged, under the same name."
            .to_owned(),
    );
    said.join(" ")
}

/// Whether any call costs something.
pub(super) fn has_paid_routes(config: &Config) -> bool {
    let mut routes = config.catalog.routes().iter();
    routes.any(|route| route.price.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_said_in_its_largest_unit() {
        for (seconds, said) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (60, "1 minute"),
            (3_600, "1 hour"),
            (5_400, "90 minutes"),
            (86_400, "1 day"),
            (2_592_000, "30 days"),
            (0, "0 seconds"),
        ] {
            assert_eq!(duration(seconds), said);
        }
    }
}
