//! The operator's view of the wallets that send transactions, and commands for their queues.

use crate::json;
use futures_util::{FutureExt, future};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::error::{Code, Error};
use crate::response::{self, Response};
use crate::settlement::wallet::{WalletOperation, WalletView, Wallets};
use crate::types::Address;
use crate::types::WalletKey;

/// A request about the wallets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    /// Show all wallets.
    All,
    /// Give up a nonce of this wallet.
    GiveUp(&'a str, &'a str),
    /// Read the nonces of this wallet anew.
    Repair(&'a str),
}

#[derive(Serialize)]
struct Listed {
    wallets: Vec<Value>,
}

/// The answer to a request about the wallets.
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

/// Shows all wallets. A wallet that cannot be asked does not hide the others.
async fn list<O: Wallets>(config: &Config, objects: &O) -> Response {
    let views = addresses(config).map(|wallet| async move {
        let show = WalletOperation::Show;
        match objects.ask_wallet(config.network, wallet, show).await {
            Ok(view) => json!(view),
            Err(_) => json!({"address": wallet, "error": "it did not answer; see the log"}),
        }
    });
    // Boxed like others, so that all of them are joined by the same code.
    let views = views.map(FutureExt::boxed_local);
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
