//! `GET /health`: is this deployment able to sell?

use std::cell::{Cell, RefCell};

use http::{HeaderMap, StatusCode};
use key0_core::breaker::Observed;
use key0_core::chain::Chain as _;
use key0_core::chain::presented::key_is_refused;
use key0_core::chain::rpc::EndpointState;
use key0_core::config::{Config, Problem};
use key0_core::json;
use key0_core::json::Put as _;
use key0_core::response::{self, Response};
use key0_core::settlement::Route;
use key0_core::settlement::facilitator::{Action, Facilitator, FacilitatorCall, supports};
use key0_core::types::{RouteId, U256, UnixMillis, WalletKey};
use serde_json::Value;

use crate::outbound;
use crate::platform;

/// The balance in wei below which a wallet that pays gas counts as low. At Base's usual fees it pays for some hundreds
/// of payments.
const LOW_WEI: u64 = 200_000_000_000_000;
/// Anyone may request the health, so one set of answers from outside is reused for this long.
const LOOK_MILLIS: u64 = 15_000;
/// A request that arrives while a look is in progress polls for its result at this interval, at most [`MAX_WAITS`]
/// times: the platform lets no request wait for what another has started.
const WAIT_MILLIS: u64 = 50;
const MAX_WAITS: u32 = 200;
/// The member that only the operator sees.
const FAULT: &str = "fault";
const REFUSES_KEY: &str = "refuses our key";

thread_local! {
    static LAST: RefCell<Option<(UnixMillis, Look)>> = const { RefCell::new(None) };
    static IS_LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// The one look that is in progress: a round of questions to settlement routes, wallets and endpoints. The look ends
/// when this value is dropped, even if its request is cancelled.
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

/// What the settlement routes, wallets and endpoints report about this deployment.
#[derive(Clone)]
struct Look {
    /// The state of each settlement route, in their order.
    routes: Vec<Value>,
    /// The wallet that pays for refunds, if there is no gas wallet among the settlement routes.
    refund_wallet: Option<Value>,
    /// The state of each RPC endpoint, in the order of the endpoints.
    endpoints: Vec<Value>,
    /// Whether the seller's wallet has code that does not let its key pay: then no refund can succeed.
    is_refund_blocked: bool,
    is_good: bool,
}

/// The answer: 200 `ok`, 200 `degraded` (the operator should look into it), or 503 `misconfigured`. A request with the
/// operator's secret also learns what failing facilitators say.
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
    // The health check does not test deliveries by itself: purchases notice when they fail.
    let failing = outbound::shared().deliveries.is_open();
    let failing_routes = outbound::shared().routes.failing();
    let is_good = look.is_good && failing.is_none() && failing_routes.is_empty();
    let gas_wallet = look.routes.iter().find_map(|route| route.get("gasWallet"));
    let mut body = json!({
        "status": if is_good { "ok" } else { "degraded" },
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
            members.put("warnings", json!(config.warnings));
        }
        if let Some(wallet) = gas_wallet {
            members.put("gasWallet", wallet.clone());
        }
        if config.backend.issuing.is_some() {
            members.put("deliveries", deliveries(failing));
        }
        if !failing_routes.is_empty() {
            members.put("failingRoutes", routes(&failing_routes));
        }
        if let Some(wallet) = look.refund_wallet {
            members.put("refundWallet", wallet);
        }
    }
    no_store(response::json(StatusCode::OK, &body))
}

/// The state of the last deliveries of paid purchases.
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

/// The routes whose calls keep failing at the seller's API.
fn routes(failing: &[(RouteId, u32)]) -> Value {
    let failing = failing.iter().map(|(id, failures)| {
        json!({
            "routeId": id,
            "failures": failures,
            "detail": "The route is not sold until a call of it is answered; one call now and then is let through.",
        })
    });
    failing.collect()
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

/// What is shown of a facilitator, and whether all is well: the facilitator says that it settles on our network, and our
/// last call to it about a payment did not fail.
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
            members.put("movedTo", host.into());
        }
        if let Some(fault) = fault {
            members.put(FAULT, fault.into());
        }
    }
    (shown, word == "ok")
}

/// The state of each RPC endpoint: whether it serves our chain, and its newest block.
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
                members.put("block", head.number.into());
                members.put("blockTime", head.timestamp.into());
            }
            (shown, word == "ok")
        });
    shown.collect()
}

/// The state of a wallet that pays gas, and whether its balance suffices.
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

/// Whether the seller's wallet has code that refuses its own key's signatures. For an account with code (a contract, or by
/// EIP-7702 a delegated account) USDC asks the code about a signature, not the key. Unknown counts as not blocked: another
/// part of the answer reports a node that does not respond.
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
