//! Documents about the MCP server, and values that they share with the MCP door.

use serde_json::Value;

use crate::json;
use crate::json::Put as _;

use crate::config::Config;
use crate::types::HttpUrl;

/// The path of the MCP door.
pub const MCP_PATH: &str = "/mcp";
/// The path of the server card, below the door's path
/// (<https://github.com/modelcontextprotocol/experimental-ext-server-card>).
pub const MCP_CARD_PATH: &str = "/mcp/server-card";
/// The media type of the server card.
pub const MCP_CARD_TYPE: &str = "application/mcp-server-card+json";
/// The media type of the list of server cards.
pub const AI_CATALOG_TYPE: &str = "application/ai-catalog+json";
/// The protocol version in which each request names its version itself.
pub const MCP_MODERN: &str = "2026-07-28";
/// The protocol versions that begin with a handshake, the newest first.
pub const MCP_HANDSHAKE: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

const CARD_SCHEMA: &str =
    "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";
const MAX_CARD_DESCRIPTION_CHARS: usize = 100;

/// `GET /.well-known/mcp.json`: where the MCP server is.
pub fn mcp_pointer(config: &Config, origin: &HttpUrl) -> Value {
    json!({
        "name": config.seller.agent_name,
        "description": config.seller.agent_description,
        "version": env!("CARGO_PKG_VERSION"),
        "transport": {"type": "streamable-http", "url": origin.join(MCP_PATH)},
    })
}

/// The server card. Such cards do not list tools: clients ask the server for them.
pub fn mcp_card(config: &Config, origin: &HttpUrl) -> Value {
    let seller = &config.seller;
    let versions: Vec<&str> = core::iter::once(MCP_MODERN).chain(MCP_HANDSHAKE).collect();
    let mut card = json!({
        "$schema": CARD_SCHEMA,
        "name": format!("{}/key0", reversed(origin.host())),
        "version": env!("CARGO_PKG_VERSION"),
        "title": seller.agent_name,
        "description": shortened(&seller.agent_description),
        "remotes": [{
            "type": "streamable-http",
            "url": origin.join(MCP_PATH),
            "supportedProtocolVersions": versions,
        }],
    });
    if let (Some(provider), Some(members)) = (&seller.provider, card.as_object_mut()) {
        members.put("websiteUrl", provider.url.as_str().into());
    }
    card
}

/// `GET /.well-known/ai-catalog.json`: the list of server cards, which has one entry.
pub fn ai_catalog(origin: &HttpUrl) -> Value {
    json!({
        "specVersion": "1.0",
        "entries": [{
            "identifier": format!("urn:air:{}:mcp:key0", origin.host()),
            "type": MCP_CARD_TYPE,
            "url": origin.join(MCP_CARD_PATH),
        }],
    })
}

/// A host's labels from the last to the first. Characters that a server's name may not have, as in IP addresses, are
/// replaced.
fn reversed(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').rev().collect();
    let legal = |c: char| match c.is_ascii_alphanumeric() || c == '-' || c == '.' {
        true => c,
        false => '-',
    };
    labels.join(".").chars().map(legal).collect()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_CARD_DESCRIPTION_CHARS {
        return text.to_owned();
    }
    let kept = text.chars().take(MAX_CARD_DESCRIPTION_CHARS - 1);
    kept.chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_config;

    #[test]
    fn the_card_has_a_name_of_its_host_and_a_short_description() {
        let mut config = test_config();
        config.seller.agent_description = "\u{e9}".repeat(101);
        let name = |origin: &str| {
            let card = mcp_card(&config, &origin.parse().unwrap());
            let description = card["description"].as_str().unwrap();
            assert_eq!(description.chars().count(), 100);
            card["name"].as_str().unwrap().to_owned()
        };
        assert_eq!(name("https://api.shop.example"), "example.shop.api/key0");
        assert_eq!(name("http://[::1]:8787"), "---1-/key0");
        assert_eq!(name("http://localhost:8787"), "localhost/key0");
    }

    #[test]
    fn the_documents_lead_to_the_door() {
        let (config, origin) = (test_config(), "https://shop.example".parse().unwrap());
        let door = "https://shop.example/mcp";
        assert_eq!(mcp_pointer(&config, &origin)["transport"]["url"], door);
        let card = mcp_card(&config, &origin);
        assert_eq!(card["remotes"][0]["url"], door);
        assert_eq!(
            card["remotes"][0]["supportedProtocolVersions"][0],
            MCP_MODERN
        );
        let entry = &ai_catalog(&origin)["entries"][0];
        assert_eq!(entry["identifier"], "urn:air:shop.example:mcp:key0");
        assert_eq!(entry["url"], "https://shop.example/mcp/server-card");
    }
}
