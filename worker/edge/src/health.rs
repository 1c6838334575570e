//! `GET /health`: is this deployment able to sell?

use std::cell::Cell;

use http::StatusCode;
use key0_core::config::{Config, Problem};
use key0_core::payment::Chain as _;
use key0_core::payment::rpc::RpcChain;
use key0_core::response::{self, Response};
use key0_core::types::{U256, UnixMillis};
use serde_json::json;

use crate::outbound::FetchHttp;
use crate::platform;

/// Below this many wei the gas wallet counts as low: some hundreds of payments at Base's usual fees.
const LOW_WEI: u64 = 200_000_000_000_000;
/// Anybody may ask for the health, so the chain is asked for it this seldom.
const BALANCE_MILLIS: u64 = 15_000;

thread_local! {
    static BALANCE: Cell<Option<(UnixMillis, Option<U256>)>> = const { Cell::new(None) };
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
    let balance = gas_balance(config).await;
    let gas = match balance {
        None => "unknown",
        Some(wei) if wei < U256::from(LOW_WEI) => "low",
        Some(_) => "ok",
    };
    let body = json!({
        "status": if gas == "ok" { "ok" } else { "degraded" },
        "service": "key0",
        "version": env!("CARGO_PKG_VERSION"),
        "storage": "durable-objects",
        "tokenMode": if config.issuing_backend.is_some() { "remote" } else { "native" },
        "refunds": if config.refund_wallet.is_some() { "on" } else { "off" },
        "network": config.network.name(),
        "chainId": config.network.chain_id(),
        "gasWallet": {
            "address": config.gas_wallet.address().to_checksum(None),
            "balanceWei": balance.map(|wei| wei.to_string()),
            "balance": gas,
        },
    });
    no_store(response::json(StatusCode::OK, &body))
}

async fn gas_balance(config: &Config) -> Option<U256> {
    if let Some((at, balance)) = BALANCE.get()
        && platform::now().since(at) < BALANCE_MILLIS
    {
        return balance;
    }
    let chain = RpcChain::new(FetchHttp, &config.rpc_urls, config.network);
    let balance = chain.ether_balance(config.gas_wallet.address()).await.ok();
    BALANCE.set(Some((platform::now(), balance)));
    balance
}

fn no_store(mut answer: Response) -> Response {
    response::set(&mut answer, http::header::CACHE_CONTROL, "no-store");
    answer
}
