//! What the operator sees of the wallets that send transactions, and does about their queues.

use futures_util::future;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Config;
use crate::error::{Code, Error};
use crate::response::{self, Response};
use crate::settlement::wallet::{WalletOperation, WalletView, Wallets};
use crate::types::Address;
use crate::types::WalletKey;

/// What is asked of the wallets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    /// All of them are shown.
    All,
    /// A nonce of this wallet is given up.
    GiveUp(&'a str, &'a str),
    /// The nonces of this wallet are read anew.
    Repair(&'a str),
}

#[derive(Serialize)]
struct Listed {
    wallets: Vec<Value>,
}

/// The answer.
pub(super) async fn answer<O: Wallets>(
    config: &Config,
    objects: &O,
    question: Question<'_>,
) -> Result<Response, Error> {
    let (address, operation) = match question {
        Question::All => return Ok(list(config, objects).await),
        Question::Repair(address) => (address, WalletOperation::Repair),
        Question::GiveUp(address, nonce) => {
            let nonce = nonce
                .parse()
                .map_err(|_| Error::invalid_request("The nonce must be a whole number."))?;
            (address, WalletOperation::GiveUp { nonce })
        }
    };
    let address = address.parse().ok();
    let wallet = addresses(config).find(|wallet| Some(*wallet) == address);
    let wallet = wallet.ok_or_else(|| {
        Error::new(
            Code::NotFound,
            "No wallet with this address sends transactions here.",
        )
    })?;
    let view: WalletView = objects
        .ask_wallet(config.network, wallet, operation)
        .await
        .map_err(|_| Error::internal())?;
    Ok(response::json(StatusCode::OK, &view))
}

/// One wallet that cannot be asked does not hide the others.
async fn list<O: Wallets>(config: &Config, objects: &O) -> Response {
    let views = addresses(config).map(|wallet| async move {
        let show = WalletOperation::Show;
        match objects.ask_wallet(config.network, wallet, show).await {
            Ok(view) => json!(view),
            Err(_) => json!({"address": wallet, "error": "it did not answer; see the log"}),
        }
    });
    let wallets = future::join_all(views).await;
    response::json(StatusCode::OK, &Listed { wallets })
}

/// The wallets that send transactions: the gas wallet, and the one that pays refunds.
fn addresses(config: &Config) -> impl Iterator<Item = Address> {
    let gas = config.settlement.gas_wallet().map(WalletKey::address);
    let refunds = config.refund.wallet.as_ref().map(WalletKey::address);
    let refunds = refunds.filter(|refunds| Some(*refunds) != gas);
    gas.into_iter().chain(refunds)
}
