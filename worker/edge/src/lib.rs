//! The Cloudflare Worker around `key0-core`: it leads each path to its door or document. Every rule is in the core.

#![forbid(unsafe_code)]
mod backend;
mod calls;
mod cdp;
mod counted;
mod health;
mod inbound;
mod json;
mod limit;
mod objects;
mod origin;
mod outbound;
mod platform;
mod revoked;
mod rsa;
mod settings;
mod storage;
mod stream;
mod sweeping;
mod tables;
mod webcrypto;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use key0_core::checkout::Checkout;
use key0_core::config::{Config, Problem};
use key0_core::documents::{
    AI_CATALOG_TYPE, AgentCardVersion, CARD_KEYS_PATH, ICON_PATH, LLMS_PATH, MCP_CARD_PATH,
    MCP_CARD_TYPE, MCP_PATH, OPENAPI_PATH, REVOKED_PATH, SKILLS_PATH, agent_card, ai_catalog,
    card_keys, discover, front, icon, json_web_key_set, llms, mcp_card, mcp_pointer, openapi,
    skills, token_info,
};
use key0_core::doors::{a2a, admin, grants, http as x402, mcp};
use key0_core::error::{Code, Error};
use key0_core::response::{self, Response};
use key0_core::types::HttpUrl;
use serde::Serialize;
use worker::{Context, Env, ScheduleContext, ScheduledEvent, event};

use inbound::{Inbound, Outbound};
use settings::Settings;

const READ: &str = "GET, HEAD, OPTIONS";
const WRITE: &str = "POST, OPTIONS";
const CATALOG_MAX_AGE_SECONDS: u32 = 300;
const MCP_CARD_MAX_AGE_SECONDS: u32 = 3600;

/// The paths that are served, each with its methods. A new door needs a line here, a [`Page`], and an arm in [`serve`].
/// (The operator's door and the wallet's have their own paths.)
const ROUTES: [(&str, &str, Page); 22] = [
    // Paths are looked up without the slashes at their end.
    ("", READ, Page::Front),
    (ICON_PATH, READ, Page::Icon),
    (OPENAPI_PATH, READ, Page::OpenApi),
    (LLMS_PATH, READ, Page::Llms),
    (SKILLS_PATH, READ, Page::Skills),
    ("/health", READ, Page::Health),
    ("/discover", READ, Page::Discover),
    ("/.well-known/agent-card.json", READ, Page::AgentCard),
    ("/.well-known/agent.json", READ, Page::AgentCard),
    (CARD_KEYS_PATH, READ, Page::CardKeys),
    ("/.well-known/token-info", READ, Page::TokenInfo),
    ("/.well-known/jwks.json", READ, Page::Keys),
    (REVOKED_PATH, READ, Page::Revoked),
    ("/x402/access", WRITE, Page::X402Access),
    ("/a2a", WRITE, Page::A2a),
    ("/agent", WRITE, Page::A2a),
    (MCP_PATH, WRITE, Page::Mcp),
    (MCP_CARD_PATH, READ, Page::McpCard),
    ("/.well-known/mcp.json", READ, Page::McpPointer),
    ("/.well-known/ai-catalog.json", READ, Page::AiCatalog),
    ("/grants/consume", WRITE, Page::Consume),
    ("/introspect", WRITE, Page::Introspect),
];

#[derive(Clone, Copy)]
enum Page {
    Front,
    Icon,
    OpenApi,
    Llms,
    Skills,
    Health,
    Discover,
    AgentCard,
    CardKeys,
    TokenInfo,
    Keys,
    Revoked,
    X402Access,
    A2a,
    Mcp,
    McpCard,
    McpPointer,
    AiCatalog,
    Consume,
    Introspect,
}

#[event(fetch)]
async fn fetch(
    request: worker::Request,
    env: Env,
    context: Context,
) -> worker::Result<worker::Response> {
    let inbound = Inbound::new(request)?;
    let method = inbound.method.clone();
    let outbound = if admin::serves(&inbound.path) {
        operator(inbound, &env).await.into()
    } else {
        let Outbound { response, body } = route(inbound, &env, &context).await;
        Outbound {
            response: response::allow_browsers(response),
            body,
        }
    };
    outbound.send(&method)
}

/// The hourly sweep (`[triggers]` in wrangler.toml).
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    sweeping::run(&env).await;
}

/// Answers a request: one of the [`ROUTES`] with its [`Page`], every other path as a possible route of the seller's
/// API. `OPTIONS` and wrong methods of the former are answered without reading the settings.
async fn route(inbound: Inbound, env: &Env, context: &Context) -> Outbound {
    if grants::serves(&inbound.path) {
        let answer = own_grants(inbound, env).await;
        return answer
            .unwrap_or_else(|error| response::error(&error))
            .into();
    }
    let path = inbound.path.trim_end_matches('/');
    let Some((_, allowed, page)) = ROUTES.into_iter().find(|(served, ..)| *served == path) else {
        let settings = settings::settings(env);
        let answer = match shop(&settings, &inbound.url) {
            Ok((config, origin)) => calls::answer(inbound, (env, context), config, origin).await,
            // The settings are invalid, so it is unknown whether this path is a route of the seller. The answer is
            // therefore their error, not 404. (A URL without an origin is an error, too.)
            Err(error) => Err(error),
        };
        return answer.unwrap_or_else(|error| response::error(&error).into());
    };
    if inbound.method == Method::OPTIONS {
        return response::options(allowed).into();
    }
    if !allowed
        .split(", ")
        .any(|method| method == inbound.method.as_str())
    {
        return response::method_not_allowed(allowed).into();
    }
    let answer = serve(page, inbound, env).await;
    answer
        .unwrap_or_else(|error| response::error(&error))
        .into()
}

async fn serve(page: Page, inbound: Inbound, env: &Env) -> Result<Response, Error> {
    let settings = settings::settings(env);
    let shop = shop(&settings, &inbound.url);
    let headers = &inbound.headers;
    Ok(match page {
        Page::Front => {
            let (config, origin) = shop?;
            front(config, &origin, headers, CATALOG_MAX_AGE_SECONDS)
        }
        Page::Icon => icon(headers, CATALOG_MAX_AGE_SECONDS),
        Page::OpenApi => {
            let (config, origin) = shop?;
            document(&openapi(config, &origin), headers)
        }
        Page::Llms => match shop? {
            (config, _) if !config.documents.llms => response::not_found(),
            (config, origin) => text(llms(config, &origin), "text/plain", headers),
        },
        Page::Skills => match shop? {
            (config, _) if !config.documents.skills => response::not_found(),
            (config, origin) => text(skills(config, &origin), "text/markdown", headers),
        },
        Page::Health => health::health(settings.as_deref(), headers).await,
        Page::Discover => {
            let (config, origin) = shop?;
            document(&discover(config, &origin), headers)
        }
        Page::AgentCard => {
            let (config, origin) = shop?;
            let version = headers
                .get("a2a-version")
                .and_then(|value| value.to_str().ok());
            let card = agent_card(config, &origin, AgentCardVersion::negotiate(version));
            let mut response = document(&card, headers);
            response::set(&mut response, http::header::VARY, "A2A-Version");
            response
        }
        Page::CardKeys => match card_keys(&shop?.0.a2a) {
            Some(keys) => document(&keys, headers),
            None => response::not_found(),
        },
        Page::TokenInfo => {
            let (config, origin) = shop?;
            document(&token_info(config, &origin), headers)
        }
        Page::Keys => document(&json_web_key_set(&shop?.0.token), headers),
        Page::Revoked => {
            let (config, origin) = shop?;
            revoked::answer(env, config, &origin, headers).await
        }
        Page::X402Access => {
            let (config, origin) = shop?;
            limited(inbound, env, config, origin, Door::X402).await
        }
        Page::A2a => match shop? {
            (config, _) if !config.a2a.enabled => response::not_found(),
            (config, origin) => limited(inbound, env, config, origin, Door::A2a).await,
        },
        Page::Consume | Page::Introspect => {
            let (config, _) = shop?;
            let caller = limit::Caller::of(headers);
            match limit::refusal(caller.as_ref()) {
                Some(refusal) => refusal,
                None => {
                    let response = backend(inbound, env, config, page).await?;
                    limit::count(env, caller, &response).await;
                    response
                }
            }
        }
        Page::Mcp | Page::McpCard | Page::McpPointer | Page::AiCatalog => {
            let (config, origin) = shop?;
            match page {
                _ if !config.mcp.enabled => response::not_found(),
                Page::McpCard => {
                    let card = mcp_card(config, &origin);
                    let response = response::document(&card, headers, MCP_CARD_MAX_AGE_SECONDS);
                    of_type(response, MCP_CARD_TYPE)
                }
                Page::McpPointer => document(&mcp_pointer(config, &origin), headers),
                Page::AiCatalog => {
                    of_type(document(&ai_catalog(&origin), headers), AI_CATALOG_TYPE)
                }
                _ => limited(inbound, env, config, origin, Door::Mcp).await,
            }
        }
    })
}

/// Answers a backend that has its calls counted, or asks how a token stands.
async fn backend(
    inbound: Inbound,
    env: &Env,
    config: &Config,
    page: Page,
) -> Result<Response, Error> {
    let is_count = matches!(page, Page::Consume);
    let most = match is_count {
        true => grants::MAX_CONSUME_BYTES,
        false => grants::MAX_INTROSPECT_BYTES,
    };
    let (headers, body) = inbound.read(most).await?;
    let (headers, body) = (&headers, body.as_slice());
    let arrival = grants::BackendArrival { headers, body };
    let meters = &objects::Objects::new(env);
    Ok(match is_count {
        true => grants::consume(config, meters, &arrival).await,
        false => {
            let asked = (meters, &rsa::WebCrypto as _);
            grants::introspect(config, asked, platform::now().to_seconds(), &arrival).await
        }
    })
}

/// The settings and the public URL of the shop, or the error that says why nothing is sold.
fn shop<'a>(settings: &'a Settings, url: &str) -> Result<(&'a Config, HttpUrl), Error> {
    let config = settings
        .as_deref()
        .map_err(|problems| misconfigured(problems))?;
    let origin = config.origin(url).ok_or_else(Error::internal)?;
    Ok((config, origin))
}

fn document(body: &impl Serialize, headers: &HeaderMap) -> Response {
    response::document(body, headers, CATALOG_MAX_AGE_SECONDS)
}

fn text(text: String, media_type: &str, headers: &HeaderMap) -> Response {
    let media_type = format!("{media_type}; charset=utf-8");
    response::text_document(text, &media_type, headers, CATALOG_MAX_AGE_SECONDS)
}

/// Gives a document this media type.
fn of_type(mut document: Response, media_type: &str) -> Response {
    if document.status() != StatusCode::NOT_MODIFIED {
        response::set(&mut document, CONTENT_TYPE, media_type);
    }
    document
}

/// Answers a request to the operator's door, `/admin`. The answers get no CORS headers, so pages of other sites cannot
/// read them.
async fn operator(inbound: Inbound, env: &Env) -> Response {
    match settings::settings(env) {
        Ok(config) => {
            let arrival = admin::Arrival {
                method: &inbound.method,
                path: &inbound.path,
                query: inbound.query(),
                headers: &inbound.headers,
                now: platform::now(),
            };
            admin::answer(&config, &objects::Objects::new(env), &arrival).await
        }
        Err(problems) => response::error(&misconfigured(&problems)),
    }
}

fn misconfigured(problems: &[Problem]) -> Error {
    Error::new(
        Code::ConfigInvalid,
        "This deployment is not configured correctly; details name what its operator must set.",
    )
    .with_details(key0_core::json!({"problems": problems}))
}

/// Answers a request to the wallet's door, `/grants`. Each caller, known by its address, is limited.
async fn own_grants(inbound: Inbound, env: &Env) -> Result<Response, Error> {
    let settings = settings::settings(env);
    let (config, origin) = shop(&settings, &inbound.url)?;
    let caller = limit::Caller::of(&inbound.headers);
    if let Some(refusal) = limit::refusal(caller.as_ref()) {
        return Ok(refusal);
    }
    let chain = outbound::chain(config);
    let objects = objects::Objects::new(env);
    let checkout = Checkout {
        config,
        deployment: (&objects, &chain),
        rsa: &rsa::WebCrypto,
        origin,
        now: platform::now().to_seconds(),
        random: platform::random().map_err(|_| Error::internal())?,
    };
    let arrival = grants::Arrival {
        method: &inbound.method,
        path: &inbound.path,
        headers: &inbound.headers,
    };
    let response = grants::answer(&checkout, &objects, &rsa::WebCrypto, &arrival).await;
    limit::count(env, caller, &response).await;
    Ok(response)
}

/// The buyers' doors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Door {
    X402,
    A2a,
    Mcp,
}

/// Answers a request to one of the buyers' doors. Each caller, known by its address, is limited.
async fn limited(
    inbound: Inbound,
    env: &Env,
    config: &Config,
    origin: HttpUrl,
    door: Door,
) -> Response {
    let caller = limit::Caller::of(&inbound.headers);
    if let Some(refusal) = limit::refusal(caller.as_ref()) {
        return refusal;
    }
    let response = sell(inbound, env, config, origin, door).await;
    limit::count(env, caller, &response).await;
    response
}

async fn sell(
    inbound: Inbound,
    env: &Env,
    config: &Config,
    origin: HttpUrl,
    door: Door,
) -> Response {
    let query = inbound.query().to_owned();
    let most = match door {
        Door::Mcp => mcp::MAX_BODY_BYTES,
        Door::X402 | Door::A2a => response::MAX_BODY_BYTES,
    };
    let (headers, body) = match inbound.read(most).await {
        Ok(read) => read,
        Err(error) => return response::error(&error),
    };
    let (Ok(random), Ok(task), Ok(context)) =
        (platform::random(), platform::random(), platform::random())
    else {
        return response::error(&Error::internal());
    };
    let chain = outbound::chain(config);
    let objects = objects::Objects::new(env);
    let now = platform::now();
    let checkout = Checkout {
        config,
        deployment: (&objects, &chain),
        rsa: &rsa::WebCrypto,
        origin,
        now: now.to_seconds(),
        random,
    };
    if door == Door::Mcp {
        let arrival = mcp::Arrival {
            headers: &headers,
            body: &body,
        };
        return mcp::answer(&checkout, &arrival).await;
    }
    // Older agent cards name the x402 door's address for A2A.
    let is_conversation = door == Door::A2a || (config.a2a.enabled && a2a::is_call(&body));
    if is_conversation {
        let desk = a2a::Desk {
            checkout: &checkout,
            conversations: &objects,
            random: [task, context],
            now,
        };
        let arrival = a2a::Arrival {
            headers: &headers,
            query: &query,
            body: &body,
        };
        return a2a::answer(&desk, &arrival).await;
    }
    let arrival = x402::Arrival {
        headers: &headers,
        body: &body,
    };
    x402::access(&checkout, &arrival).await
}
