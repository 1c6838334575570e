//! How the seller appears in the discovery documents.

use super::vars::{Vars, parsed};
use crate::types::HttpUrl;

/// How the seller appears in the discovery documents.
#[derive(Debug)]
pub struct Seller {
    /// The agent's name.
    pub agent_name: String,
    /// What it sells.
    pub agent_description: String,
    /// The organisation behind it.
    pub provider: Option<Provider>,
}

/// The organisation behind the agent.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Its home page.
    pub url: HttpUrl,
}

pub(super) fn read(vars: &mut Vars<'_>) -> Option<Seller> {
    let agent_name = vars.text("AGENT_NAME", "key0", 100);
    let agent_description = vars.text(
        "AGENT_DESCRIPTION",
        "Sells access to an API for USDC. Agents pay with x402 and receive an access token.",
        1000,
    );
    let url = vars.optional("PROVIDER_URL", parsed::<HttpUrl>);
    let name = vars.text("PROVIDER_NAME", "", 100);
    let provider = match (name, url.into_option()) {
        (Some(name), Some(url)) if !name.is_empty() => Some(Provider { name, url }),
        (Some(name), None) if name.is_empty() => None,
        _ => {
            vars.problem(
                "PROVIDER_NAME",
                "and PROVIDER_URL go together: set both or neither",
            );
            None
        }
    };
    Some(Seller {
        agent_name: agent_name?,
        agent_description: agent_description?,
        provider,
    })
}
