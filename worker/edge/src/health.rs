//! `GET /health`: is this deployment able to sell?

use std::cell::{Cell, RefCell};

use http::{HeaderMap, StatusCode};
use key0_core::breaker::Observed;
use key0_core::chain::Chain as _;
use key0_core::chain::presented::key_is_refused;
use key0_core::chain::rpc::EndpointState;
use key0_core::config::{Config, Problem};
use key0_core::response::{self, Response};
use key0_core::settlement::Route;
use key0_core::settlement::facilitator::{Action, Facilitator, FacilitatorCall, supports};
use key0_core::types::WalletKey;
use key0_core::types::{U256, UnixMillis};
use serde_json::{Value, json};

use crate::outbound;
use crate::platform;

/// Below this many wei a wallet that pays gas counts as low: some hundreds of payments at Base's usual fees.
const LOW_WEI: u64 = 200_000_000_000_000;
/// Anybody may ask for the health, so others are asked for it this seldom.
const LOOK_MILLIS: u64 = 15_000;
/// Whoever comes while a look is under way waits for it, so often and so long: the platform lets no request wait for what
/// another one has asked for.
const WAIT_MILLIS: u64 = 50;
const MAX_WAITS: u32 = 200;
/// The member that only the operator sees.
const FAULT: &str = "fault";
const REFUSES_KEY: &str = "refuses our key";

thread_local! {
    static LAST: RefCell<Option<(UnixMillis, Look)>> = const { RefCell::new(None) };
    static IS_LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// The one look that is under way; over when dropped, also when its request is cancelled.
struct Looking;

impl Looking {
    fn begin() -> Option<Self> {
        (!IS_LOOKING.replace(true)).then(|| Self)
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        IS_LOOKING.set(false);
    }
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

/// The answer: 200 `ok`, 200 `degraded` (somebody should look), or 503 `misconfigured`. Who sends the operator's secret also
/// learns what facilitators say that do not answer.
pub(crate) async fn health(
    settings: Result<&Config, &std::rc::Rc<Vec<Problem>>>,
    headers: &HeaderMap,
) -> Response {
    let config = match settings {
        Ok(config) => config,
        Err(problems) => {
            let body =
                json!({"status": "misconfigured", "service": "key0", "problems": **problems});
            return no_store(response::json(StatusCode::SERVICE_UNAVAILABLE, &body));
        }
    };
    let mut look = look(config).await;
    let is_operator = config
        .admin_secret
        .as_ref()
        .is_some_and(|secret| secret.admits(headers));
    if !is_operator {
        for route in &mut look.routes {
            if let Some(members) = route.as_object_mut() {
                members.remove(FAULT);
            }
        }
    }
    // Not looked for: purchases find it out.
    let failing = outbound::shared().deliveries.is_open();
    let gas_wallet = look.routes.iter().find_map(|route| route.get("gasWallet"));
    let mut body = json!({
        "status": if look.is_good && failing.is_none() { "ok" } else { "degraded" },
        "service": "key0",
        "version": env!("CARGO_PKG_VERSION"),
        "storage": "durable-objects",
        "tokenMode": if config.backend.issuing.is_some() { "remote" } else { "native" },
        "refunds": match config.refund.wallet {
            Some(_) if look.is_refund_blocked => "blocked",
            Some(_) => "on",
            None => "off",
        },
        "proofBinding": config.offers.proof_binding.name(),
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
        if config.backend.issuing.is_some() {
            members.insert("deliveries".to_owned(), deliveries(failing));
        }
        if let Some(wallet) = look.refund_wallet {
            members.insert("refundWallet".to_owned(), wallet);
        }
    }
    no_store(response::json(StatusCode::OK, &body))
}

/// What became of the last purchases that were paid.
fn deliveries(failing: Option<Observed>) -> Value {
    match failing {
        None => json!({"status": "ok"}),
        Some(seen) => json!({
            "status": "failing",
            "failures": seen.failures,
            "detail": "Nothing is charged until a delivery succeeds; one purchase now and then is let through.",
        }),
    }
}

async fn look(config: &Config) -> Look {
    for _ in 0..MAX_WAITS {
        let last = LAST.with_borrow(Clone::clone);
        if let Some((at, look)) = last
            && platform::now().since(at) < LOOK_MILLIS
        {
            return look;
        }
        if let Some(_looking) = Looking::begin() {
            return look_now(config).await;
        }
        platform::sleep(WAIT_MILLIS).await;
    }
    look_now(config).await
}

async fn look_now(config: &Config) -> Look {
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
    let refund_wallet = match (&config.refund.wallet, config.settlement.gas_wallet()) {
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

/// Whether a facilitator says that it settles on our network, and did not fail when it was asked about a payment.
async fn offers(config: &Config, facilitator: &Facilitator) -> (Value, bool) {
    let call = FacilitatorCall {
        facilitator,
        action: Action::Supported,
        body: Vec::new(),
    };
    let answer = outbound::facilitator(call).await;
    let shared = outbound::shared();
    let url = facilitator.url();
    let (word, fault) = match (answer, shared.fault(url)) {
        (Err(fault), _) => ("unknown", Some(fault.0)),
        (Ok(answer), _) if answer.refuses_key() => (REFUSES_KEY, Some(answer.summary())),
        (Ok(answer), failed) => match (supports(&answer.body, config.network), failed) {
            (None, _) => ("unknown", Some(answer.summary())),
            (Some(false), _) => ("does not support this network", None),
            (Some(true), None) => ("ok", None),
            (Some(true), Some(fault)) => match fault.refuses_key {
                true => (REFUSES_KEY, Some(fault.said)),
                false => ("fails", Some(fault.said)),
            },
        },
    };
    let mut shown = json!({"facilitator": url.host(), "status": word});
    if let Some(members) = shown.as_object_mut() {
        if let Some(host) = shared.moved_to(url) {
            members.insert("movedTo".to_owned(), host.into());
        }
        if let Some(fault) = fault {
            members.insert(FAULT.to_owned(), fault.into());
        }
    }
    (shown, word == "ok")
}

/// Whether each RPC endpoint serves our chain, and up to which block.
async fn endpoints(config: &Config) -> Vec<(Value, bool)> {
    let states = outbound::chain(config).endpoints().await;
    let shown = config
        .chain
        .rpc_urls
        .iter()
        .zip(states)
        .map(|(url, state)| {
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
    match &config.refund.wallet {
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
