//! Whether agents may buy through MCP, and from which web pages.

use super::vars::Vars;
use crate::types::HttpUrl;

const MAX_ORIGINS: usize = 16;

/// Whether agents may buy through MCP, and from which web pages.
#[derive(Debug)]
pub struct McpSettings {
    /// Whether there is an MCP door.
    pub enabled: bool,
    /// The origins of web pages that may use the MCP door, in addition to the deployment's own.
    pub allowed_origins: Vec<HttpUrl>,
}

/// Reads the settings. `None` only together with a recorded problem.
pub(super) fn read(vars: &mut Vars<'_>) -> Option<McpSettings> {
    let enabled = vars.flag("MCP_ENABLED", true);
    let allowed_origins = vars.list("MCP_ALLOWED_ORIGINS", MAX_ORIGINS, origin);
    Some(McpSettings {
        enabled: enabled?,
        allowed_origins,
    })
}

fn origin(text: &str) -> Result<HttpUrl, String> {
    let url: Option<HttpUrl> = text.parse().ok();
    url.filter(|url| HttpUrl::origin_of(url.as_str()).as_ref() == Some(url))
        .ok_or_else(|| "must list origins: http or https, host and port, without a path".to_owned())
}
