//! The Cloudflare Worker around `key0-core`: which path goes where. Everything that is a rule lives in the core.

#![forbid(unsafe_code)]
mod backend;
mod cdp;
mod health;
mod inbound;
mod limit;
mod objects;
mod outbound;
mod platform;
mod rsa;
mod settings;
mod storage;
mod sweeping;
mod tables;
mod webcrypto;

use http::Method;
use key0_core::config::{Config, Problem};
use key0_core::documents::{AgentCardVersion, agent_card, discover, json_web_key_set, token_info};
use key0_core::doors::{admin, http as x402};
use key0_core::error::{Code, Error};
use key0_core::response::{self, Response};
use key0_core::types::HttpUrl;
use worker::{Context, Env, ScheduleContext, ScheduledEvent, event};

use inbound::Inbound;

const READ: &str = "GET, HEAD, OPTIONS";
const WRITE: &str = "POST, OPTIONS";
const CATALOG_MAX_AGE_SECONDS: u32 = 300;

#[event(fetch)]
async fn fetch(
    request: worker::Request,
    env: Env,
    _context: Context,
) -> worker::Result<worker::Response> {
    let inbound = Inbound::new(request)?;
    let method = inbound.method.clone();
    let response = if admin::serves(&inbound.path) {
        operator(inbound, &env).await
    } else {
        response::allow_browsers(route(inbound, &env).await)
    };
    inbound::send(response::finish(response, &method))
}

/// The hourly sweep (`[triggers]` in wrangler.toml).
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    sweeping::run(&env).await;
}

async fn route(inbound: Inbound, env: &Env) -> Response {
    let path = inbound.path.clone();
    match path.trim_end_matches('/') {
        "/health" => answer(READ, inbound, env, Page::Health).await,
        "/discover" => answer(READ, inbound, env, Page::Discover).await,
        "/.well-known/agent-card.json" | "/.well-known/agent.json" => {
            answer(READ, inbound, env, Page::AgentCard).await
        }
        "/.well-known/token-info" => answer(READ, inbound, env, Page::TokenInfo).await,
        "/.well-known/jwks.json" => answer(READ, inbound, env, Page::Keys).await,
        "/x402/access" => answer(WRITE, inbound, env, Page::X402Access).await,
        _ => response::not_found(),
    }
}

#[derive(Clone, Copy)]
enum Page {
    Health,
    Discover,
    AgentCard,
    TokenInfo,
    Keys,
    X402Access,
}

/// Answers what needs no configuration, checks the configuration, then serves the page.
async fn answer(allowed: &'static str, inbound: Inbound, env: &Env, page: Page) -> Response {
    if inbound.method == Method::OPTIONS {
        return response::options(allowed);
    }
    if !allowed
        .split(", ")
        .any(|method| method == inbound.method.as_str())
    {
        return response::method_not_allowed(allowed);
    }
    let settings = settings::settings(env);
    if let Page::Health = page {
        return health::health(settings.as_deref(), &inbound.headers).await;
    }
    let config = match &settings {
        Ok(config) => config,
        Err(problems) => return misconfigured(problems),
    };
    let Some(origin) = config.origin(&inbound.url) else {
        return response::error(&Error::internal());
    };
    serve(page, inbound, env, config, origin).await
}

async fn serve(
    page: Page,
    inbound: Inbound,
    env: &Env,
    config: &Config,
    origin: HttpUrl,
) -> Response {
    let headers = &inbound.headers;
    match page {
        Page::Discover => {
            response::document(&discover(config, &origin), headers, CATALOG_MAX_AGE_SECONDS)
        }
        Page::TokenInfo => response::document(
            &token_info(config, &origin),
            headers,
            CATALOG_MAX_AGE_SECONDS,
        ),
        Page::Keys => response::document(
            &json_web_key_set(&config.token),
            headers,
            CATALOG_MAX_AGE_SECONDS,
        ),
        Page::AgentCard => {
            let version = headers
                .get("a2a-version")
                .and_then(|value| value.to_str().ok());
            let card = agent_card(config, &origin, AgentCardVersion::negotiate(version));
            let mut response = response::document(&card, headers, CATALOG_MAX_AGE_SECONDS);
            response::set(&mut response, http::header::VARY, "A2A-Version");
            response
        }
        Page::X402Access => x402_access(inbound, env, config, origin).await,
        Page::Health => response::not_found(),
    }
}

/// The operator's door: no browser may read its answers.
async fn operator(inbound: Inbound, env: &Env) -> Response {
    match settings::settings(env) {
        Ok(config) => {
            let arrival = admin::Arrival {
                method: &inbound.method,
                path: &inbound.path,
                query: inbound.query(),
                headers: &inbound.headers,
            };
            admin::answer(&config, &objects::Objects::new(env), &arrival).await
        }
        Err(problems) => misconfigured(&problems),
    }
}

fn misconfigured(problems: &[Problem]) -> Response {
    response::error(
        &Error::new(
            Code::ConfigInvalid,
            "This deployment is not configured correctly; details name what its operator must set.",
        )
        .with_details(serde_json::json!({"problems": problems})),
    )
}

async fn x402_access(inbound: Inbound, env: &Env, config: &Config, origin: HttpUrl) -> Response {
    let caller = limit::Caller::of(&inbound.headers);
    if let Some(refusal) = limit::refusal(caller.as_ref()) {
        return refusal;
    }
    let response = sell(inbound, env, config, origin).await;
    limit::count(env, caller, &response).await;
    response
}

async fn sell(inbound: Inbound, env: &Env, config: &Config, origin: HttpUrl) -> Response {
    let (headers, body) = match inbound.read().await {
        Ok(read) => read,
        Err(error) => return response::error(&error),
    };
    let Ok(random) = platform::random() else {
        return response::error(&Error::internal());
    };
    let arrival = x402::Arrival {
        headers: &headers,
        body: &body,
        origin,
        now: platform::now().to_seconds(),
        random,
        rsa: &rsa::WebCrypto,
    };
    let chain = outbound::chain(config);
    x402::access(config, &objects::Objects::new(env), &chain, &arrival).await
}
