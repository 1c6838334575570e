//! `GET /`: the shop's page for people. It has no script and loads nothing from elsewhere.

use http::header::{self, HeaderMap};

use super::super::a2a::A2A_PATH;
use super::super::mcp::MCP_PATH;
use super::super::paths::{LLMS_PATH, OPENAPI_PATH, SKILLS_PATH};
use super::super::{commands, words};
use super::html::Html;
use crate::catalog::{Plan, Route};
use crate::config::Config;
use crate::response::{self, Response};
use crate::types::{HttpUrl, Network};

const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\"><rect width=\"32\" height=\"32\" rx=\"7\" fill=\"#0b57d0\"/>\
                    <g fill=\"none\" stroke=\"#fff\" stroke-width=\"3\"><circle cx=\"11.5\" cy=\"16\" r=\"5\"/><path d=\"M16.5 16H27m-4 0v5\"/></g></svg>";
const STYLE: &str = include_str!("page.css");
/// The content security policy: the page may use its own style and icon, and no script, frame or form.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The page of this deployment, as seen at `origin`.
pub fn front(
    config: &Config,
    origin: &HttpUrl,
    request_headers: &HeaderMap,
    max_age_seconds: u32,
) -> Response {
    let page = page(config, origin).into_string();
    let kind = "text/html; charset=utf-8";
    let mut response = response::text_document(page, kind, request_headers, max_age_seconds);
    response::set(&mut response, header::CONTENT_SECURITY_POLICY, POLICY);
    response::set(&mut response, header::REFERRER_POLICY, "no-referrer");
    response
}

/// The icon.
pub fn icon(request_headers: &HeaderMap, max_age_seconds: u32) -> Response {
    response::text_document(
        ICON.to_owned(),
        "image/svg+xml",
        request_headers,
        max_age_seconds,
    )
}

fn page(config: &Config, origin: &HttpUrl) -> Html {
    let seller = &config.seller;
    let name = Html::text(&seller.agent_name);
    Html::all([
        Html::markup(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"/favicon.ico\" type=\"image/svg+xml\">\n",
        ),
        Html::element("title", &name),
        description(&seller.agent_description),
        Html::element("style", &Html::markup(STYLE)),
        Html::markup("\n</head>\n<body>\n<main>\n"),
        Html::element("h1", &name),
        line("p class=\"lead\"", Html::text(&seller.agent_description)),
        badge(config.network),
        section("Plans", plans(config)),
        section("Calls", calls(config)),
        section("How an agent buys", buying(config, origin)),
        section("Who is paid", facts(config)),
        section("For programs", documents(config, origin)),
        footer(config),
        Html::markup("\n</main>\n</body>\n</html>\n"),
    ])
}

fn description(text: &str) -> Html {
    Html::all([
        Html::markup("\n<meta name=\"description\" content=\""),
        Html::text(text),
        Html::markup("\">\n"),
    ])
}

fn line(kind: &'static str, inside: Html) -> Html {
    Html::all([Html::markup("\n"), Html::element(kind, &inside)])
}

fn section(title: &str, inside: Html) -> Html {
    match inside.is_empty() {
        true => inside,
        false => Html::all([line("h2", Html::text(title)), inside]),
    }
}

fn badge(network: Network) -> Html {
    match network {
        Network::Base => line("span class=\"badge\"", Html::text("Paid in USDC on Base")),
        Network::BaseSepolia => line(
            "span class=\"badge test\"",
            Html::text("Test shop: paid in test USDC on Base Sepolia, worth nothing"),
        ),
    }
}

fn goods(items: impl Iterator<Item = Html>) -> Html {
    let items = Html::all(items);
    match items.is_empty() {
        true => items,
        false => line("ul class=\"goods\"", items),
    }
}

/// One item of the price list: its name, description and further facts on one side, its price on the other.
fn item(what: Html, description: &str, more: &str, price: &str, of: &str) -> Html {
    let said = |kind, text: &str| match text.trim() {
        "" => Html::default(),
        text => line(kind, Html::text(text)),
    };
    let what = [
        what,
        said("div", description),
        said("div class=\"soft\"", more),
    ];
    let price = Html::all([Html::text(price), Html::element("span", &Html::text(of))]);
    let item = [
        line("div", Html::all(what)),
        line("div class=\"price\"", price),
        Html::markup("\n"),
    ];
    line("li", Html::all(item))
}

fn plans(config: &Config) -> Html {
    goods(
        config
            .catalog
            .plans()
            .iter()
            .map(|plan| one_plan(plan, config)),
    )
}

fn one_plan(plan: &Plan, config: &Config) -> Html {
    let lifetime = words::duration(plan.lifetime(config.token.ttl_seconds));
    let resources: Vec<&str> = plan.resources.iter().map(|it| it.as_str()).collect();
    let opens = match resources.is_empty() {
        true => String::new(),
        false => format!("Opens {}.", resources.join(", ")),
    };
    let what = Html::element("code", &Html::text(plan.id.as_str()));
    let (price, lifetime) = (plan.price.to_string(), format!("for {lifetime}"));
    item(what, &plan.described(), &opens, &price, &lifetime)
}

fn calls(config: &Config) -> Html {
    goods(
        config
            .catalog
            .routes()
            .iter()
            .map(|route| one_call(route, config)),
    )
}

fn one_call(route: &Route, config: &Config) -> Html {
    let what = format!("{} {}", route.method, route.path);
    let what = Html::element("code", &Html::text(&what));
    let charged = words::charged(route, config).unwrap_or_default();
    let opened = words::opened_by(route).unwrap_or_default();
    let more = format!("{charged} {opened}");
    let description = &route.description;
    match route.price {
        Some(price) => item(what, description, &more, &price.to_string(), "per call"),
        None => item(what, description, &more, "free", ""),
    }
}

fn buying(config: &Config, origin: &HttpUrl) -> Html {
    let mut parts = vec![line(
        "p",
        Html::text(&format!(
            "An agent needs a wallet with USDC, and no account here. It asks for the price, signs it, and sends the same request \
             again. A {} does that by itself.",
            words::client(config)
        )),
    )];
    if config.documents.skills {
        let prompt = format!(
            "Read {} and buy what you need there.",
            origin.join(SKILLS_PATH)
        );
        parts.push(step("Tell your agent", &prompt));
    }
    if let Some(plan) = commands::example_plan(config) {
        let command = commands::ask_for_plan(plan, origin);
        parts.push(step("Ask what a plan costs", &command));
    }
    if let Some(route) = commands::example_route(config) {
        let command = commands::ask_for_call(route, origin);
        parts.push(step("Ask what a call costs", &command));
    }
    if config.mcp.enabled {
        parts.push(step(
            "Or add the tools to an MCP client",
            &origin.join(MCP_PATH),
        ));
    }
    Html::all(parts)
}

/// A command with a title. One click selects the command.
fn step(title: &str, command: &str) -> Html {
    let command = Html::element("code", &Html::text(command));
    Html::all([line("h3", Html::text(title)), line("pre", command)])
}

fn facts(config: &Config) -> Html {
    let network = config.network;
    let explorer = |address: &str| format!("{}/address/{address}", network.explorer());
    let wallet = config.wallets.pay_to.to_checksum(None);
    let token = network.usdc().to_checksum(None);
    let address =
        |text: &str| Html::link(&explorer(text), &Html::element("code", &Html::text(text)));
    let chain = format!("{} ({})", words::chain(network), network.caip2());
    let mut facts = Vec::new();
    if let Some(provider) = &config.seller.provider {
        facts.push((
            "Seller",
            Html::link(provider.url.as_str(), &Html::text(&provider.name)),
        ));
    }
    if let Some(contact) = &config.seller.contact {
        facts.push(("Contact", Html::text(contact)));
    }
    facts.extend([
        ("Wallet", address(&wallet)),
        ("Network", Html::text(&chain)),
        ("USDC", address(&token)),
    ]);
    let rows = facts.into_iter().map(|(name, value)| {
        Html::all([line("dt", Html::text(name)), Html::element("dd", &value)])
    });
    line("dl", Html::all(rows))
}

fn documents(config: &Config, origin: &HttpUrl) -> Html {
    let mut documents = vec![
        ("/discover", "all prices as JSON"),
        (OPENAPI_PATH, "every operation, with its schemas and price"),
    ];
    if config.documents.llms {
        documents.push((LLMS_PATH, "what is sold, for language models"));
    }
    if config.documents.skills {
        documents.push((SKILLS_PATH, "how to buy, step by step"));
    }
    if config.a2a.enabled {
        documents.push(("/.well-known/agent-card.json", "for A2A agents"));
    }
    if config.mcp.enabled {
        documents.push(("/.well-known/mcp.json", "for MCP clients"));
    }
    documents.push(("/health", "whether the shop can sell now"));
    let rows = documents.into_iter().map(|(path, what)| {
        let link = Html::link(
            &origin.join(path),
            &Html::element("code", &Html::text(path)),
        );
        Html::all([line("dt", link), Html::element("dd", &Html::text(what))])
    });
    let doors = match config.a2a.enabled {
        true => line(
            "p class=\"soft\"",
            Html::text(&format!(
                "A2A agents buy in a conversation at {}.",
                origin.join(A2A_PATH)
            )),
        ),
        false => Html::default(),
    };
    Html::all([line("dl", Html::all(rows)), doors])
}

fn footer(config: &Config) -> Html {
    let refunds = match config.refund.wallet {
        Some(_) => " What was paid and cannot be delivered is refunded.",
        None => "",
    };
    let text = format!(
        "Each payment buys one thing, once, however often a request is repeated.{refunds} Sold with key0."
    );
    line("footer class=\"soft\"", Html::text(&text))
}

#[cfg(test)]
mod tests;
