//! The tools, and what is said about the server. The same for every client, and in the same order every time.

use serde_json::{Map, Value, json};

use crate::config::Config;

/// The free tool.
pub(super) const DISCOVER: &str = "discover_plans";
/// The paid tool.
pub(super) const ACCESS: &str = "request_access";

/// The most plans whose prices stand in the description of the paid tool.
const MAX_PRICES: usize = 8;

const INSTRUCTIONS: &str = "Call discover_plans for the plans and their prices, then request_access with a planId. The first answer to \
     request_access is the offer (x402, USDC); nothing is charged for it. An MCP client that pays repeats the same call with the \
     signed payment. To retry, repeat the same call, with the requestId that the answer names, if it names one.";

/// What a client is told first: what is served, and how to begin.
pub(super) fn about() -> Map<String, Value> {
    Map::from_iter([
        ("capabilities".to_owned(), json!({"tools": {}})),
        ("instructions".to_owned(), INSTRUCTIONS.into()),
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
        "description": "Lists what is sold here: each plan with its planId, its price in USDC and what it gives. Free.",
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
                        "properties": {"planId": text, "unitAmount": text, "description": text},
                        "required": ["planId", "unitAmount"],
                    },
                },
                "routes": {"type": "array"},
            },
            "required": ["agent", "description", "network", "chainId", "walletAddress", "asset", "plans", "routes"],
        },
        "annotations": {"readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false},
    })
}

/// It declares no `outputSchema`: published clients hold an offer against it, too, and then never pay.
fn request_access(config: &Config) -> Value {
    let plans = config.catalog.plans();
    let prices = plans.iter().take(MAX_PRICES);
    let mut prices: Vec<String> = prices
        .map(|plan| format!("{} {}", plan.id, plan.price))
        .collect();
    if plans.len() > MAX_PRICES {
        prices.push("more in discover_plans".to_owned());
    }
    let mut meta = json!({"agents-x402/paymentRequired": true});
    // Shown beside the tool by some clients, as what a call costs.
    if let ([plan], Some(members)) = (plans, meta.as_object_mut())
        && let Ok(dollars) =
            serde_json::from_slice(plan.price.to_string().trim_start_matches('$').as_bytes())
    {
        members.insert("agents-x402/priceUSD".to_owned(), dollars);
    }
    json!({
        "name": ACCESS,
        "title": "Request access",
        "description": format!(
            "Buys a plan with USDC (x402) and returns a bearer token for the API. Prices: {}. Without a payment the answer is the \
             offer. To retry, repeat the same call, with the requestId that the answer names, if it names one: then it is charged \
             once.",
            prices.join(", ")
        ),
        "inputSchema": {
            "type": "object",
            "properties": {
                "planId": {"type": "string", "description": "The plan, as discover_plans names it."},
                "resourceId": {"type": "string", "default": "default", "description": "What the token should open, where a plan opens several."},
                "requestId": {
                    "type": "string",
                    "description": "Leave it out. Only where an answer asks for it, or to buy the same plan a second time within two minutes (a UUID).",
                },
            },
            "required": ["planId"],
        },
        "annotations": {"readOnlyHint": false, "destructiveHint": false, "idempotentHint": false, "openWorldHint": true},
        "_meta": meta,
    })
}
