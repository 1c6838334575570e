//! `GET /health`: is this deployment able to sell?

use std::cell::RefCell;

use http::StatusCode;
use key0_core::config::{Config, Problem};
use key0_core::payment::facilitator::{Action, Facilitator, FacilitatorCall, supports};
use key0_core::payment::presented::key_is_refused;
use key0_core::payment::rpc::EndpointState;
use key0_core::payment::{Chain as _, Route};
use key0_core::response::{self, Response};
use key0_core::types::{U256, UnixMillis};
use key0_core::wallet::WalletKey;
use serde_json::{Value, json};

use crate::outbound;
use crate::platform;

/// Below this many wei a wallet that pays gas counts as low: some hundreds of payments at Base's usual fees.
const LOW_WEI: u64 = 200_000_000_000_000;
/// Anybody may ask for the health, so others are asked for it this seldom.
const LOOK_MILLIS: u64 = 15_000;

thread_local! {
    static LAST: RefCell<Option<(UnixMillis, Look)>> = const { RefCell::new(None) };
}

/// What others say of this deployment.
#[derive(Clone)]
struct Look {
    /// How each route is, in their order.
    routes: Vec<Value>,
    /// The wallet that pays for refunds, where it is not one of the routes.
    refund_wallet: Option<Value>,
    /// How each RPC endpoint is, in their order.
    endpoints: Vec<Value>,
    /// Whether the seller's wallet has code that does not let its key pay: then no refund can succeed.
    is_refund_blocked: bool,
    is_good: bool,
}

/// The answer: 200 `ok`, 200 `degraded` (sells, but somebody should look), or 503 `misconfigured`.
pub(crate) async fn health(settings: Result<&Config, &std::rc::Rc<Vec<Problem>>>) -> Response {
    let config = match settings {
        Ok(config) => config,
        Err(problems) => {
            let body =
                json!({"status": "misconfigured", "service": "key0", "problems": **problems});
            return no_store(response::json(StatusCode::SERVICE_UNAVAILABLE, &body));
        }
    };
    let look = look(config).await;
    let gas_wallet = look.routes.iter().find_map(|route| route.get("gasWallet"));
    let mut body = json!({
        "status": if look.is_good { "ok" } else { "degraded" },
        "service": "key0",
        "version": env!("CARGO_PKG_VERSION"),
        "storage": "durable-objects",
        "tokenMode": if config.issuing_backend.is_some() { "remote" } else { "native" },
        "refunds": match config.refund_wallet {
            Some(_) if look.is_refund_blocked => "blocked",
            Some(_) => "on",
            None => "off",
        },
        "proofBinding": config.proof_binding.name(),
        "network": config.network.name(),
        "chainId": config.network.chain_id(),
        "settlement": look.routes,
        "rpc": look.endpoints,
    });
    if let Some(members) = body.as_object_mut() {
        if !config.warnings.is_empty() {
            members.insert("warnings".to_owned(), json!(config.warnings));
        }
        if let Some(wallet) = gas_wallet {
            members.insert("gasWallet".to_owned(), wallet.clone());
        }
        if let Some(wallet) = look.refund_wallet {
            members.insert("refundWallet".to_owned(), wallet);
        }
    }
    no_store(response::json(StatusCode::OK, &body))
}

async fn look(config: &Config) -> Look {
    let last = LAST.with_borrow(Clone::clone);
    if let Some((at, look)) = last
        && platform::now().since(at) < LOOK_MILLIS
    {
        return look;
    }
    let mut routes = Vec::new();
    for route in config.settlement.routes() {
        routes.push(match route {
            Route::Facilitator(facilitator) => offers(config, facilitator).await,
            Route::GasWallet(key) => {
                let (wallet, is_good) = balance(config, key).await;
                (json!({"gasWallet": wallet}), is_good)
            }
        });
    }
    let refund_wallet = match (&config.refund_wallet, config.settlement.gas_wallet()) {
        (Some(key), None) => Some(balance(config, key).await),
        _ => None,
    };
    let endpoints = endpoints(config).await;
    let is_refund_blocked = is_refund_blocked(config).await;
    let are_good = routes
        .iter()
        .chain(&refund_wallet)
        .chain(&endpoints)
        .all(|(_, good)| *good);
    let look = Look {
        routes: routes.into_iter().map(|(route, _)| route).collect(),
        endpoints: endpoints.into_iter().map(|(state, _)| state).collect(),
        refund_wallet: refund_wallet.map(|(wallet, _)| wallet),
        is_refund_blocked,
        is_good: are_good && !is_refund_blocked,
    };
    LAST.set(Some((platform::now(), look.clone())));
    look
}

/// Whether a facilitator says that it settles on our network.
async fn offers(config: &Config, facilitator: &Facilitator) -> (Value, bool) {
    let call = FacilitatorCall {
        facilitator,
        action: Action::Supported,
        body: Vec::new(),
    };
    let answer = outbound::facilitator(call).await.ok();
    let (word, is_good) = match answer.and_then(|body| supports(&body, config.network)) {
        Some(true) => ("ok", true),
        Some(false) => ("does not support this network", false),
        None => ("unknown", false),
    };
    let host = facilitator.url().host();
    (json!({"facilitator": host, "status": word}), is_good)
}

/// Whether each RPC endpoint serves our chain, and up to which block.
async fn endpoints(config: &Config) -> Vec<(Value, bool)> {
    let states = outbound::chain(config).endpoints().await;
    let shown = config.rpc_urls.iter().zip(states).map(|(url, state)| {
        let (word, head) = match state {
            EndpointState::Good(head) => ("ok", Some(head)),
            EndpointState::Behind(head) => ("behind", Some(head)),
            EndpointState::OtherChain => ("other chain", None),
            EndpointState::NoAnswer => ("no answer", None),
        };
        let mut shown = json!({"host": url.host(), "status": word});
        if let (Some(head), Some(members)) = (head, shown.as_object_mut()) {
            members.insert("block".to_owned(), head.number.into());
            members.insert("blockTime".to_owned(), head.timestamp.into());
        }
        (shown, word == "ok")
    });
    shown.collect()
}

/// A wallet that pays gas, and whether it has enough for it.
async fn balance(config: &Config, key: &WalletKey) -> (Value, bool) {
    let chain = outbound::chain(config);
    let balance = chain.ether_balance(key.address()).await.ok();
    let word = match balance {
        None => "unknown",
        Some(wei) if wei < U256::from(LOW_WEI) => "low",
        Some(_) => "ok",
    };
    let wallet = json!({
        "address": key.address().to_checksum(None),
        "balanceWei": balance.map(|wei| wei.to_string()),
        "balance": word,
    });
    (wallet, word == "ok")
}

/// USDC believes an account with code (a contract, or by EIP-7702 a delegated one) what the code says of a signature, not its
/// key. Unknown is not blocked: a node that does not answer is told of elsewhere.
async fn is_refund_blocked(config: &Config) -> bool {
    match &config.refund_wallet {
        Some(key) => key_is_refused(&outbound::chain(config), key)
            .await
            .is_ok_and(|is_refused| is_refused),
        None => false,
    }
}

fn no_store(mut answer: Response) -> Response {
    response::set(&mut answer, http::header::CACHE_CONTROL, "no-store");
    answer
}
