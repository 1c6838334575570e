//! The A2A agent card (<https://a2a-protocol.org/latest/specification/>): the pure 1.0 card, or the hybrid that 0.3
//! clients read too.

use serde_json::{Value, json};

use crate::config::Config;
use crate::types::HttpUrl;

/// The extension that says "you can pay here with x402".
const X402_EXTENSION: &str =
    "https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2";
/// How `/x402/access` is spoken to. A custom binding's name is the address of its description.
const X402_HTTP_BINDING: &str =
    "https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/http.md";

/// Which form of the card a client reads, from its `A2A-Version` header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AgentCardVersion {
    /// `A2A-Version: 1.0`: the card of that version and nothing else.
    V1_0,
    /// No header, or any other version: the 1.0 card with the three members that 0.3 clients need.
    Hybrid,
}

impl AgentCardVersion {
    /// Reads the header's value; only major and minor count.
    pub fn negotiate(header: Option<&str>) -> Self {
        let mut parts = header.unwrap_or_default().trim().split('.');
        match (parts.next(), parts.next()) {
            (Some("1"), Some("0")) => Self::V1_0,
            _ => Self::Hybrid,
        }
    }
}

/// The card of this deployment, as seen at `origin`.
///
/// It declares only what is served: the x402 HTTP door, as an interface with a binding of its own.
pub fn agent_card(config: &Config, origin: &HttpUrl, version: AgentCardVersion) -> Value {
    let seller = &config.seller;
    let door = origin.join("/x402/access");
    let mut card = json!({
        "name": seller.agent_name,
        "description": seller.agent_description,
        "version": env!("CARGO_PKG_VERSION"),
        "supportedInterfaces": [
            {"url": door, "protocolBinding": X402_HTTP_BINDING, "protocolVersion": "1.0"},
        ],
        "documentationUrl": origin.join("/discover"),
        "capabilities": {
            "streaming": false,
            "pushNotifications": false,
            "extensions": [{
                "uri": X402_EXTENSION,
                "description": "Pay with USDC on Base through x402.",
                "params": {
                    "network": config.network.caip2(),
                    "asset": config.network.usdc().to_checksum(None),
                    "payTo": config.wallets.pay_to.to_checksum(None),
                    "plans": config.catalog.plans().iter().map(|plan| json!({
                        "planId": plan.id,
                        "unitAmount": plan.price,
                        "description": plan.description,
                    })).collect::<Vec<_>>(),
                },
            }],
        },
        "defaultInputModes": ["application/json"],
        "defaultOutputModes": ["application/json"],
        "skills": [
            {
                "id": "discover-plans",
                "name": "Discover plans",
                "description": "Lists plans and prices. Free: GET /discover.",
                "tags": ["catalog", "x402"],
            },
            {
                "id": "request-access",
                "name": "Request access",
                "description": "Buys a plan with USDC and returns a bearer token: POST /x402/access with an x402 client.",
                "tags": ["payment", "x402"],
                "examples": [json!({"planId": config.catalog.plans().first().map(|plan| &plan.id)}).to_string()],
            },
        ],
    });
    if let Some(members) = card.as_object_mut() {
        if let Some(provider) = &seller.provider {
            members.insert(
                "provider".to_owned(),
                json!({"organization": provider.name, "url": provider.url.as_str()}),
            );
        }
        if version == AgentCardVersion::Hybrid {
            members.insert("url".to_owned(), json!(door));
            members.insert("preferredTransport".to_owned(), json!(X402_HTTP_BINDING));
            members.insert("protocolVersion".to_owned(), json!("0.3.0"));
        }
    }
    card
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_config;

    fn card(version: AgentCardVersion) -> Value {
        let origin = "https://shop.example".parse().unwrap();
        agent_card(&test_config(), &origin, version)
    }

    #[test]
    fn the_version_header_chooses_the_form() {
        for (header, version) in [
            (None, AgentCardVersion::Hybrid),
            (Some(""), AgentCardVersion::Hybrid),
            (Some("0.3"), AgentCardVersion::Hybrid),
            (Some("1.0"), AgentCardVersion::V1_0),
            (Some(" 1.0.1 "), AgentCardVersion::V1_0),
        ] {
            assert_eq!(AgentCardVersion::negotiate(header), version, "{header:?}");
        }
    }

    #[test]
    fn both_forms_have_what_their_version_requires() {
        let common = [
            "name",
            "description",
            "version",
            "supportedInterfaces",
            "capabilities",
            "defaultInputModes",
            "defaultOutputModes",
            "skills",
        ];
        let only_0_3 = ["url", "preferredTransport", "protocolVersion"];
        let (new, hybrid) = (card(AgentCardVersion::V1_0), card(AgentCardVersion::Hybrid));
        for member in common {
            assert!(
                !new[member].is_null() && !hybrid[member].is_null(),
                "{member}"
            );
        }
        for member in only_0_3 {
            assert!(
                new[member].is_null() && !hybrid[member].is_null(),
                "{member}"
            );
        }
    }

    #[test]
    fn no_value_is_empty_so_that_signatures_stay_canonical() {
        fn walk(value: &Value) {
            match value {
                Value::Null => panic!("null in the card"),
                Value::String(text) => assert!(!text.is_empty()),
                Value::Array(items) => {
                    assert!(!items.is_empty());
                    items.iter().for_each(walk);
                }
                Value::Object(members) => {
                    assert!(!members.is_empty());
                    members.values().for_each(walk);
                }
                Value::Bool(_) | Value::Number(_) => {}
            }
        }
        walk(&card(AgentCardVersion::Hybrid));
    }
}
