//! `GET /llms.txt`: the seller and what it sells, for models (<https://llmstxt.org>).

use super::super::a2a::A2A_PATH;
use super::super::markdown::text;
use super::super::mcp::MCP_PATH;
use super::super::paths::{OPENAPI_PATH, SKILLS_PATH};
use super::super::words;
use crate::catalog::{Plan, Route};
use crate::config::Config;
use crate::types::HttpUrl;

/// The text of this deployment, as seen at `origin`.
pub fn llms(config: &Config, origin: &HttpUrl) -> String {
    let seller = &config.seller;
    let mut said = vec![
        format!("# {}", text(&seller.agent_name)),
        format!("> {}", text(&seller.agent_description)),
        words::guidance(config, origin),
    ];
    let plans: Vec<String> = config
        .catalog
        .plans()
        .iter()
        .map(|plan| plan_line(plan, config))
        .collect();
    if !plans.is_empty() {
        said.push(format!("## Plans\n\n{}", plans.join("\n")));
    }
    let routes: Vec<String> = config
        .catalog
        .routes()
        .iter()
        .map(|route| route_line(route, config, origin))
        .collect();
    if !routes.is_empty() {
        said.push(format!("## Calls\n\n{}", routes.join("\n")));
    }
    said.push(format!("## Links\n\n{}", links(config, origin).join("\n")));
    format!("{}\n", said.join("\n\n"))
}

fn plan_line(plan: &Plan, config: &Config) -> String {
    let terms = words::terms(plan, config);
    match plan.description.as_str() {
        "" => format!("- `{}`: {terms}.", plan.id),
        description => format!("- `{}`: {terms}. {}", plan.id, text(description)),
    }
}

fn route_line(route: &Route, config: &Config, origin: &HttpUrl) -> String {
    let url = origin.join(&route.path.to_string());
    let description = Some(text(&route.description)).filter(|text| !text.is_empty());
    let charged = words::charged(route, config).map(str::to_owned);
    let facts = [description, charged, words::opened_by(route)];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let line = format!(
        "- `{} {url}`: {}. {}",
        route.method,
        words::price(route),
        facts.join(" ")
    );
    line.trim_end().to_owned()
}

fn links(config: &Config, origin: &HttpUrl) -> Vec<String> {
    let mut links = vec![
        ("Prices", "/discover", "all plans and calls as JSON"),
        (
            "OpenAPI",
            OPENAPI_PATH,
            "every operation, with its schemas and price",
        ),
    ];
    if config.documents.skills {
        links.push(("Buyer's guide", SKILLS_PATH, "commands that buy"));
    }
    if config.a2a.enabled {
        links.push((
            "A2A",
            A2A_PATH,
            "buy in a conversation; the card is at /.well-known/agent-card.json",
        ));
    }
    if config.mcp.enabled {
        links.push(("MCP", MCP_PATH, "buy with tools (Streamable HTTP)"));
    }
    let line = |(name, path, what): (&str, &str, &str)| {
        format!("- [{name}]({}): {what}", origin.join(path))
    };
    links.into_iter().map(line).collect()
}
