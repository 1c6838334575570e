//! The documents that describe the seller, its plans and its routes.

mod a2a;
mod agent_card;
mod card_keys;
mod card_signature;
mod commands;
mod discover;
mod key_set;
mod markdown;
mod mcp;
mod openapi;
mod page;
mod paths;
mod revoked;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod texts;
mod token_info;
mod words;

pub use a2a::{A2A_PATH, X402_EXTENSIONS};
pub use agent_card::{AgentCardVersion, agent_card};
pub use card_keys::{CARD_KEYS_PATH, CardKeys, card_keys};
pub use discover::{NextStep, discover};
pub use key_set::{JsonWebKeySet, json_web_key_set};
pub use mcp::{
    AI_CATALOG_TYPE, MCP_CARD_PATH, MCP_CARD_TYPE, MCP_HANDSHAKE, MCP_MODERN, MCP_PATH, ai_catalog,
    mcp_card, mcp_pointer,
};
pub use openapi::openapi;
pub use page::{front, icon};
pub use paths::{ICON_PATH, LLMS_PATH, OPENAPI_PATH, SKILLS_PATH};
pub use revoked::{REVOKED_PATH, REVOKED_TYPE, revoked};
pub use texts::{llms, skills};
pub use token_info::{TokenInfo, token_info};
