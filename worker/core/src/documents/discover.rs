//! `GET /discover`: the price list, for agents that have never been here.

use std::borrow::Cow;

use serde::Serialize;

use super::a2a::A2A_PATH;
use super::mcp::MCP_PATH;
use crate::catalog::{Catalog, Route, Settle};
use crate::config::Config;
use crate::meter::Limits;
use crate::types::{HttpUrl, PlanId, ResourceId, RouteId, UsdcAmount};

/// The price list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Discover<'a> {
    agent: &'a str,
    description: &'a str,
    network: &'static str,
    chain_id: u64,
    wallet_address: String,
    asset: &'static str,
    asset_address: String,
    plans: Vec<PlanEntry<'a>>,
    routes: Vec<RouteEntry<'a>>,
    next_step: NextStep,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanEntry<'a> {
    plan_id: &'a PlanId,
    unit_amount: UsdcAmount,
    description: Cow<'a, str>,
    expires_in: u64,
    #[serde(skip_serializing_if = "Limits::is_none")]
    limits: Limits,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    resource_ids: &'a [ResourceId],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteEntry<'a> {
    route_id: &'a RouteId,
    method: &'a str,
    /// The path, with `:name` in the place of each parameter.
    path: &'a ResourceId,
    #[serde(flatten)]
    price: RoutePrice,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    /// The plans whose tokens open the route.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    plans: &'a [PlanId],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", untagged)]
enum RoutePrice {
    #[serde(rename_all = "camelCase")]
    Paid {
        unit_amount: UsdcAmount,
        settle: Settle,
    },
    Free {
        free: bool,
    },
}

/// What an agent should do now, in words and as facts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextStep {
    /// The instruction for a model or a person.
    pub description: String,
    /// The request to make.
    pub method: String,
    /// The URL of the request.
    pub url: String,
    /// The JSON body of the request, if it is the same for all requests but for the values in angle brackets, which the
    /// caller fills in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
}

/// The catalog of this deployment, as seen at `origin`.
pub fn discover<'a>(config: &'a Config, origin: &HttpUrl) -> Discover<'a> {
    Discover {
        agent: &config.seller.agent_name,
        description: &config.seller.agent_description,
        network: config.network.name(),
        chain_id: config.network.chain_id(),
        wallet_address: config.wallets.pay_to.to_checksum(None),
        asset: "USDC",
        asset_address: config.network.usdc().to_checksum(None),
        plans: config
            .catalog
            .plans()
            .iter()
            .map(|plan| PlanEntry {
                plan_id: &plan.id,
                unit_amount: plan.price,
                description: plan.described(),
                expires_in: plan.lifetime(config.token.ttl_seconds),
                limits: plan.limits,
                resource_ids: &plan.resources,
            })
            .collect(),
        routes: config.catalog.routes().iter().map(route_entry).collect(),
        next_step: next_step(config, origin),
    }
}

fn route_entry(route: &Route) -> RouteEntry<'_> {
    RouteEntry {
        route_id: &route.id,
        method: route.method.as_str(),
        path: &route.resource,
        price: match route.price {
            Some(unit_amount) => RoutePrice::Paid {
                unit_amount,
                settle: route.settle,
            },
            None => RoutePrice::Free { free: true },
        },
        description: &route.description,
        plans: &route.plans,
    }
}

/// The next step: to buy a plan, if there are plans; otherwise to call a route.
fn next_step(config: &Config, origin: &HttpUrl) -> NextStep {
    if let ([], Some(route)) = (config.catalog.plans(), example(&config.catalog)) {
        return NextStep {
            description: format!(
                "Choose a route, fill in what its path has after colons, and call it{CALLED} Repeating a request with the same payment is \
                 safe."
            ),
            method: route.method.to_string(),
            url: origin.join(route.resource.as_str()),
            body: None,
        };
    }
    let calls = match config.catalog.routes() {
        [] => String::new(),
        _ => format!(" Or call one of the routes{CALLED}"),
    };
    NextStep {
        description: format!(
            "Choose a plan and POST it with an x402 (version 2) client. Without a payment the answer is \
             402 with the exact price; with one it is the access token. Choose a requestId (a UUID) and \
             keep it: repeating the same request is then always safe. The 402 also says how to pay by an \
             ordinary USDC transfer, for agents without an x402 client.{calls}{}{}",
            conversation(config, origin),
            tools(config, origin)
        ),
        method: "POST".to_owned(),
        url: origin.join("/x402/access"),
        body: Some(
            crate::json!({"planId": "<planId>", "requestId": "<UUID, optional>", "resourceId": "<optional>"}),
        ),
    }
}

/// How a route is called; the end of a sentence.
const CALLED: &str = " with an x402 (version 2) client. Without a payment the answer is 402 with the exact price of that call, unless \
     it is free; with one it is the API's own answer.";

/// The first route that costs something, or else the first of all.
fn example(catalog: &Catalog) -> Option<&Route> {
    let routes = catalog.routes();
    let paid = routes.iter().find(|route| route.price.is_some());
    paid.or(routes.first())
}

/// A sentence on how to buy through A2A, if A2A is on.
fn conversation(config: &Config, origin: &HttpUrl) -> String {
    match config.a2a.enabled {
        true => format!(
            " Agents that speak A2A buy in a conversation instead: send an AccessRequest with a planId{} to {}, and pay on the task.",
            match config.catalog.routes() {
                [] => "",
                _ => " (or a routeId and the call in resource)",
            },
            origin.join(A2A_PATH)
        ),
        false => String::new(),
    }
}

/// A sentence on how to buy through MCP, if MCP is on.
fn tools(config: &Config, origin: &HttpUrl) -> String {
    match config.mcp.enabled {
        true => format!(
            " Agents with MCP tools add the server {} (Streamable HTTP) and call request_access.",
            origin.join(MCP_PATH)
        ),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::json;
    use serde_json::Value;

    use super::*;
    use crate::config::{test_config, test_var};

    #[test]
    fn the_conversation_is_named_where_it_is_open() {
        let mut config = test_config();
        let origin = "https://shop.example".parse().unwrap();
        for enabled in [true, false] {
            config.a2a.enabled = enabled;
            config.mcp.enabled = enabled;
            let said = discover(&config, &origin).next_step.description;
            assert_eq!(
                said.contains("https://shop.example/a2a,"),
                enabled,
                "{said}"
            );
            assert_eq!(said.contains("https://shop.example/mcp "), enabled);
        }
    }

    const ROUTES: &str = r#"[
        {"routeId":"ping","method":"GET","path":"/ping","free":true},
        {"routeId":"sms","method":"POST","path":"/api/sms/:to","unitAmount":"$0.02","description":"Sends it.","plans":["basic"]}
    ]"#;

    fn shown(plans: &str) -> Value {
        let lookup = |name: &str| match name {
            "PLANS" => Some(plans.to_owned()),
            "ROUTES" => Some(ROUTES.replace(
                r#","plans":["basic"]"#,
                match plans {
                    "[]" => "",
                    _ => r#","plans":["basic"]"#,
                },
            )),
            "PROXY_TO_BASE_URL" => Some("https://api.example".to_owned()),
            _ => test_var(name).map(str::to_owned),
        };
        let config = Config::from_vars(lookup).unwrap();
        json!(discover(&config, &"https://shop.example".parse().unwrap()))
    }

    #[test]
    fn routes_are_listed_with_what_a_call_costs_and_when_it_is_paid() {
        let shown = shown(r#"[{"planId":"basic","unitAmount":"1"}]"#);
        assert_eq!(
            shown["routes"],
            json!([
                {"routeId": "ping", "method": "GET", "path": "/ping", "free": true},
                {"routeId": "sms", "method": "POST", "path": "/api/sms/:to", "unitAmount": "$0.02", "settle": "before", "description": "Sends it.", "plans": ["basic"]},
            ])
        );
        assert_eq!(shown["nextStep"]["url"], "https://shop.example/x402/access");
        let said = shown["nextStep"]["description"].as_str().unwrap();
        assert!(said.contains("Or call one of the routes"), "{said}");
    }

    #[test]
    fn where_there_are_no_plans_the_next_step_is_a_call() {
        let shown = shown("[]");
        assert_eq!(shown["plans"], json!([]));
        let step = &shown["nextStep"];
        assert_eq!(step["method"], "POST");
        assert_eq!(step["url"], "https://shop.example/api/sms/:to");
        assert_eq!(step.get("body"), None);
        assert!(!step["description"].as_str().unwrap().contains("plan"));
    }
}
