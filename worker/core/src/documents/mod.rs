//! What is published about the seller and its plans.

mod a2a;
mod agent_card;
mod card_keys;
mod card_signature;
mod discover;
mod key_set;
mod mcp;
mod token_info;

pub use a2a::{A2A_PATH, X402_EXTENSIONS};
pub use agent_card::{AgentCardVersion, agent_card};
pub use card_keys::{CARD_KEYS_PATH, CardKeys, card_keys};
pub use discover::{NextStep, discover};
pub use key_set::{JsonWebKeySet, json_web_key_set};
pub use mcp::{
    AI_CATALOG_TYPE, MCP_CARD_PATH, MCP_CARD_TYPE, MCP_HANDSHAKE, MCP_MODERN, MCP_PATH, ai_catalog,
    mcp_card, mcp_pointer,
};
pub use token_info::{TokenInfo, token_info};
