//! A seller's API, protected by key0-validator: what a backend developer adds is the config and one layer.

mod meter;

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use key0_validator::{
    AccessToken, CallMeter, Config, KeySource, MeterLayer, Refresh, TokenLayer, Validator,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const KEYS_WITHIN: Duration = Duration::from_secs(10);

const HELP: &str = "\
A small API that only buyers of access may call. It reads its settings from the environment:

  KEY0_ACCESS_TOKEN_SECRET       the gateway's secret, 32 bytes or more (required without KEY0_JWKS_URL)
  KEY0_ACCESS_TOKEN_SECRETS_OLD  older secrets that are still good, separated by commas
  KEY0_JWKS_URL                  the gateway's /.well-known/jwks.json, when it signs with RS256; no secret is needed then
  KEY0_NETWORK                   the gateway's: testnet accepts tokens bought with test money on Base Sepolia too (mainnet)
  KEY0_METER_URL                 the gateway, when it counts the calls of plans with limits; KEY0_METER_SECRET is its secret
                                 of that name, KEY0_METER_OPEN_SECONDS for how long calls go on while it is away (0)
  HOST                           address to listen on (127.0.0.1)
  PORT                           port to listen on, 0 for any free one (8080)

Routes: GET /health for everybody, GET /api/{resource} for whoever bought that resource, GET /weather/{city} for
whoever calls it (the gateway sells each call, so only the gateway should reach it), and POST
/internal/payment-received for the gateway, which tells there of purchases.
";

fn main() -> ExitCode {
    let outcome = match env::args().nth(1).as_deref() {
        None => run(),
        Some("-h" | "--help") => write!(io::stdout(), "{HELP}").map_err(|e| e.to_string()),
        Some(other) => Err(format!("unknown argument {other}; see --help")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("backend: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let config = token_config()?;
    let meter = meter::from_env()?;
    let config = match env::var("KEY0_NETWORK").as_deref() {
        Err(_) | Ok("mainnet") => config,
        Ok("testnet") => config.accept_testnet(),
        Ok(_) => return Err("KEY0_NETWORK is neither mainnet nor testnet".to_owned()),
    };
    let app = app(config, meter.clone());
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(serve(app, meter)))
        .map_err(|error| error.to_string())
}

/// All there is to configure. A weak or mistaken secret, or keys that cannot be fetched, stop the service
/// here, not at the first buyer.
fn token_config() -> Result<Config, String> {
    if let Ok(url) = env::var("KEY0_JWKS_URL") {
        let failed = |why: &dyn Display| format!("KEY0_JWKS_URL: {why}");
        let log = Refresh::new().observe(|outcome| eprintln!("backend: {outcome}"));
        let keys = KeySource::from_url(url, log).map_err(|e| failed(&e))?;
        keys.wait(KEYS_WITHIN).map_err(|e| failed(&e))?;
        return Ok(Config::key_source(keys));
    }
    let current = env::var("KEY0_ACCESS_TOKEN_SECRET")
        .map_err(|_| "KEY0_ACCESS_TOKEN_SECRET is not set; give it the gateway's secret")?;
    let old = env::var("KEY0_ACCESS_TOKEN_SECRETS_OLD").unwrap_or_default();
    let old = old
        .split(',')
        .map(str::trim)
        .filter(|secret| !secret.is_empty());
    let config = Config::hs256(current).map_err(|e| format!("KEY0_ACCESS_TOKEN_SECRET: {e}"))?;
    old.into_iter()
        .try_fold(config, Config::fallback_secret)
        .map_err(|e| format!("KEY0_ACCESS_TOKEN_SECRETS_OLD: {e}"))
}

/// What is above the layers needs a token, what is below them does not. The layer that counts finds the token that the layer
/// around it has checked.
fn app(config: Config, meter: Option<CallMeter>) -> Router {
    Router::new()
        .route("/api/{resource}", get(resource))
        .layer(MeterLayer::new(meter))
        .layer(TokenLayer::new(Validator::new(config)))
        .route("/weather/{city}", get(weather))
        .route("/internal/payment-received", post(payment_received))
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
}

/// Runs only with a good token. Whether that token opens this door is for the handler to say.
async fn resource(
    Path(resource): Path<String>,
    Extension(token): Extension<AccessToken>,
) -> Response {
    if let Err(error) = token.require_resource(&resource) {
        return error.response();
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let minutes = token.exp().saturating_sub(now) / 60;
    let buyer = token.payer().unwrap_or("whoever you are");
    Json(json!({
        "message": format!(
            "Welcome, {buyer}: your {} plan opens {resource} for {minutes} more minutes.",
            token.plan_id(),
        ),
        "token": token,
        "data": { "place": "Base", "forecast": "clear, with a light breeze of USDC", "celsius": 21 },
    }))
    .into_response()
}

/// Knows nothing of payments: the gateway is paid for each call, and passes it on.
async fn weather(Path(city): Path<String>) -> Json<Value> {
    Json(json!({ "city": city, "forecast": "clear, with a light breeze of USDC", "celsius": 21 }))
}

/// The gateway tells of a purchase. It does so until it gets a 2xx, so the same notice may come twice: a real service would
/// act once on each `Idempotency-Key`. And it would not believe just anybody: it would check the signature with a Standard
/// Webhooks library (`WEBHOOK_SIGNING_SECRET`), or who calls (`BACKEND_AUTH_STRATEGY`). This one only prints a line.
async fn payment_received(headers: HeaderMap, Json(notice): Json<Value>) -> StatusCode {
    let text = |name: &str| notice.get(name).and_then(Value::as_str);
    let (Some(kind), Some(purchase)) = (text("type"), text("requestId")) else {
        return StatusCode::BAD_REQUEST;
    };
    if !headers.contains_key("idempotency-key") {
        return StatusCode::BAD_REQUEST;
    }
    // Nobody is there to be told if this fails.
    let _ = writeln!(io::stdout(), "{kind:?} of {purchase:?}");
    StatusCode::NO_CONTENT
}

async fn serve(app: Router, meter: Option<CallMeter>) -> io::Result<()> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let address = format!("{host}:{port}");
    let listener = TcpListener::bind(&address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    writeln!(
        io::stdout(),
        "backend listening on http://{}",
        listener.local_addr()?
    )?;
    let reporting = meter
        .clone()
        .map(|meter| tokio::spawn(meter::keep_reporting(meter)));
    let served = axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await;
    if let (Some(meter), Some(reporting)) = (meter, reporting) {
        reporting.abort();
        meter.close().await;
    }
    served
}
