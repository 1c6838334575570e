//! `GET /discover`: the price list, for agents that have never been here.

use serde::Serialize;

use super::a2a::A2A_PATH;
use super::mcp::MCP_PATH;
use crate::config::Config;
use crate::types::{HttpUrl, PlanId, ResourceId, UsdcAmount};

/// The document.
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
    routes: [(); 0],
    next_step: NextStep,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanEntry<'a> {
    plan_id: &'a PlanId,
    unit_amount: UsdcAmount,
    description: &'a str,
    expires_in: u64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    resource_ids: &'a [ResourceId],
}

/// What an agent should do now, in words and as facts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextStep {
    /// The instruction for a model or a person.
    pub description: String,
    /// The request to make.
    pub method: &'static str,
    /// Its address.
    pub url: String,
    /// Its JSON body, with what the caller fills in between angle brackets.
    pub body: serde_json::Value,
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
                description: &plan.description,
                expires_in: plan.lifetime(config.token.ttl_seconds),
                resource_ids: &plan.resources,
            })
            .collect(),
        routes: [],
        next_step: NextStep {
            description: format!(
                "Choose a plan and POST it with an x402 (version 2) client. Without a payment the answer is \
                 402 with the exact price; with one it is the access token. Choose a requestId (a UUID) and \
                 keep it: repeating the same request is then always safe. The 402 also says how to pay by an \
                 ordinary USDC transfer, for agents without an x402 client.{}{}",
                conversation(config, origin),
                tools(config, origin)
            ),
            method: "POST",
            url: origin.join("/x402/access"),
            body: serde_json::json!({"planId": "<planId>", "requestId": "<UUID, optional>", "resourceId": "<optional>"}),
        },
    }
}

/// The other way to buy, where it is open.
fn conversation(config: &Config, origin: &HttpUrl) -> String {
    match config.a2a.enabled {
        true => format!(
            " Agents that speak A2A buy in a conversation instead: send an AccessRequest with a planId to {}, and pay on the task.",
            origin.join(A2A_PATH)
        ),
        false => String::new(),
    }
}

/// The third.
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
    use super::*;
    use crate::config::test_config;

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
}
