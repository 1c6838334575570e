//! How the seller appears in the discovery documents.

use super::vars::{Vars, parsed};
use crate::types::HttpUrl;

const MAX_EMAIL_CHARS: usize = 254;

/// How the seller appears in the discovery documents.
#[derive(Debug)]
pub struct Seller {
    /// The name under which the seller appears, for instance as the agent of the A2A agent card.
    pub agent_name: String,
    /// A description of what the seller sells.
    pub agent_description: String,
    /// The organisation that runs this deployment.
    pub provider: Option<Provider>,
    /// The email address for registries, and for buyers that need help.
    pub contact: Option<String>,
}

/// The organisation that runs this deployment.
#[derive(Debug)]
pub struct Provider {
    /// The organisation's name.
    pub name: String,
    /// The organisation's home page.
    pub url: HttpUrl,
}

pub(super) fn read(vars: &mut Vars<'_>) -> Option<Seller> {
    let agent_name = vars.text("AGENT_NAME", "key0", 100);
    let agent_description = vars.text(
        "AGENT_DESCRIPTION",
        "Sells access to an API for USDC, to agents that pay by themselves.",
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
    let contact = vars.optional("CONTACT_EMAIL", email).into_option();
    Some(Seller {
        agent_name: agent_name?,
        agent_description: agent_description?,
        provider,
        contact,
    })
}

/// Reads an email address. Only its form is checked.
fn email(text: &str) -> Result<String, String> {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    let is_email = text.len() <= MAX_EMAIL_CHARS
        && text.split_once('@').is_some_and(|(name, host)| {
            is_part(name) && is_part(host) && host.contains('.') && !host.contains('@')
        });
    is_email
        .then(|| text.to_owned())
        .ok_or_else(|| format!("must be an email address of at most {MAX_EMAIL_CHARS} characters"))
}
