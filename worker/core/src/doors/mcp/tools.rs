//! The descriptions of the tools and of the server: the same for every client, in the same order every time.

use crate::json;
use crate::json::Put as _;
use http::Method;
use serde_json::{Map, Value};

use crate::config::Config;

/// The name of the free tool.
pub(super) const DISCOVER: &str = "discover_plans";
/// The name of the paid tool.
pub(super) const ACCESS: &str = "request_access";

/// How many prices the description of the paid tool lists.
const MAX_PRICES: usize = 8;

/// How the server is used, for models.
fn instructions(config: &Config) -> String {
    let (what, how) = match (config.catalog.plans(), config.catalog.routes()) {
        (_, []) => ("plans", "a planId"),
        ([], _) => ("routes", "a routeId and the call in resource"),
        _ => (
            "plans and routes",
            "a planId, or with a routeId and the call in resource",
        ),
    };
    format!(
        "Call discover_plans for the {what} and their prices, then request_access with {how}. The first answer to \
         request_access is the offer (x402, USDC); nothing is charged for it. An MCP client that pays repeats the same call with the \
         signed payment. To retry, repeat the same call, with the requestId that the answer names, if it names one."
    )
}

/// The beginning of the answer to `initialize` and `server/discover`.
pub(super) fn about(config: &Config) -> Map<String, Value> {
    Map::from_iter([
        ("capabilities".to_owned(), json!({"tools": {}})),
        ("instructions".to_owned(), instructions(config).into()),
    ])
}

pub(super) fn server_info(config: &Config) -> Value {
    json!({"name": config.seller.agent_name, "version": env!("CARGO_PKG_VERSION")})
}

/// The result of `tools/list`.
pub(super) fn list(config: &Config) -> Value {
    json!({"tools": [discover_plans(), request_access(config)]})
}

fn discover_plans() -> Value {
    let text = json!({"type": "string"});
    json!({
        "name": DISCOVER,
        "title": "Discover plans",
        "description": "Lists what is sold here: each plan with its planId, and each route of the API with its routeId, its method and its \
                        path; each with its price in USDC and what it gives. Free.",
        "inputSchema": {"type": "object", "additionalProperties": false},
        "outputSchema": {
            "type": "object",
            "properties": {
                "agent": text,
                "description": text,
                "network": {"type": "string", "enum": ["testnet", "mainnet"]},
                "chainId": {"type": "integer"},
                "walletAddress": text,
                "asset": text,
                "plans": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"planId": text, "unitAmount": text, "description": text, "limits": {"type": "object"}},
                        "required": ["planId", "unitAmount"],
                    },
                },
                "routes": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "routeId": text,
                            "method": text,
                            "path": text,
                            "unitAmount": text,
                            "description": text,
                        },
                        "required": ["routeId", "method", "path"],
                    },
                },
            },
            "required": ["agent", "description", "network", "chainId", "walletAddress", "asset", "plans", "routes"],
        },
        "annotations": {"readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false},
    })
}

/// The description of the paid tool. It declares no `outputSchema`: published clients would check an offer against the
/// schema, fail, and never pay.
fn request_access(config: &Config) -> Value {
    let (plans, routes) = (config.catalog.plans(), config.catalog.routes());
    let of_plans = plans.iter().map(|plan| match plan.limits.is_none() {
        true => format!("{} {}", plan.id, plan.price),
        false => format!("{} {} ({})", plan.id, plan.price, plan.limits),
    });
    let of_routes = routes.iter().map(|route| match route.price {
        Some(price) => format!("{} {price} a call", route.id),
        None => format!("{} free", route.id),
    });
    let mut prices: Vec<String> = of_plans.chain(of_routes).take(MAX_PRICES).collect();
    match plans.len() + routes.len() {
        0 => prices.push("none, there are no plans".to_owned()),
        1..=MAX_PRICES => {}
        _ => prices.push("more in discover_plans".to_owned()),
    }
    let mut meta = json!({"agents-x402/paymentRequired": true});
    // Some clients show this value beside the tool as the price of a call.
    if let ([plan], [], Some(members)) = (plans, routes, meta.as_object_mut())
        && let Ok(dollars) =
            serde_json::from_slice(plan.price.to_string().trim_start_matches('$').as_bytes())
    {
        members.put("agents-x402/priceUSD", dollars);
    }
    let (does, annotations) = match routes {
        [] => (
            "Buys a plan with USDC (x402) and returns a bearer token for the API.",
            json!({"readOnlyHint": false, "destructiveHint": false, "idempotentHint": false, "openWorldHint": true}),
        ),
        _ => (
            "Buys with USDC (x402): with planId a plan, and returns a bearer token for the API; with routeId and resource one call of the \
             API, and returns its answer (ResourceResponse).",
            {
                // What a call does, only the seller's API knows.
                let only_reads = routes.iter().all(|route| route.method == Method::GET);
                json!({"readOnlyHint": false, "destructiveHint": !only_reads, "idempotentHint": false, "openWorldHint": true})
            },
        ),
    };
    json!({
        "name": ACCESS,
        "title": "Request access",
        "description": format!(
            "{does} Prices: {}. Without a payment the answer is the offer. To retry, repeat the same call, with the requestId that the \
             answer names, if it names one: then it is charged once.",
            prices.join(", ")
        ),
        "inputSchema": input(config),
        "annotations": annotations,
        "_meta": meta,
    })
}

/// The arguments of the paid tool. Several providers of models refuse a schema with alternatives at its root, so the
/// descriptions say which arguments go together.
fn input(config: &Config) -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": {
            "planId": {"type": "string", "description": "The plan, as discover_plans names it."},
            "resourceId": {"type": "string", "default": "default", "description": "What the token should open, where a plan opens several."},
            "requestId": {
                "type": "string",
                "description": "Leave it out. Only where an answer asks for it, or to buy the same plan a second time within two minutes (a UUID).",
            },
        },
    });
    let Some(members) = schema.as_object_mut() else {
        return schema;
    };
    if config
        .catalog
        .plans()
        .iter()
        .any(|plan| config.tops_up(plan))
        && let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut)
    {
        properties.put("grant",
            json!({"type": "string", "description": "To top up an access that you have, with the plan that it was bought with: its access token."}),
        );
    }
    if config.catalog.routes().is_empty() {
        members.put("required", json!(["planId"]));
    } else if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.put("routeId",
            json!({"type": "string", "description": "Instead of planId: the route to call, as discover_plans names it."}),
        );
        properties.put("resource", json!({
            "type": "object",
            "description": "With routeId: the call.",
            "properties": {
                "method": {"type": "string", "description": "The route's method; may be left out."},
                "path": {"type": "string", "description": "The route's path with its parameters filled in, and with the query: /weather/london?days=3"},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Headers of the call; rarely needed."},
                "body": {"description": "The body: any JSON, or a text that is sent as it is."},
            },
            "required": ["path"],
        }));
    }
    schema
}
