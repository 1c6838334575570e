//! Transfers that count for no purchase, and that the seller returns by hand. Each is booked as returned first, so that
//! it cannot be presented for a grant afterwards.

use core::future::Future;

use crate::json;
use crate::json::Put as _;
use http::StatusCode;
use serde_json::Value;

use crate::book::{PayerCommand, PayerReply};
use crate::chain::base::Receipt;
use crate::chain::transfer::{Transfer, booking_key, received};
use crate::config::Config;
use crate::error::{Code, Error};
use crate::response::{self, Response};
use crate::types::{Address, B256, CallFault, Network};

/// The chain's receipts and the payers' books, as the operator reaches them.
pub trait Transfers {
    /// A transaction's receipt, once it is included.
    fn receipt(
        &self,
        config: &Config,
        transaction: B256,
    ) -> impl Future<Output = Result<Option<Receipt>, CallFault>>;

    /// Asks the book of one payer.
    fn book(
        &self,
        network: Network,
        payer: Address,
        command: &PayerCommand,
    ) -> impl Future<Output = Result<PayerReply, CallFault>>;
}

/// Books a transfer as returned. `place` is needed if the transaction holds several transfers: it is the index of the
/// transfer among the transaction's events, from 0.
pub(super) async fn mark<T: Transfers>(
    config: &Config,
    transfers: &T,
    transaction: &str,
    place: Option<&str>,
) -> Result<Response, Error> {
    let unknown = || {
        Error::new(
            Code::NotFound,
            "There is no ordinary USDC transfer to your wallet in this transaction.",
        )
    };
    let transaction = hash(transaction).ok_or_else(unknown)?;
    let receipt = transfers.receipt(config, transaction).await;
    let receipt = receipt.map_err(|_| {
        Error::new(
            Code::AdapterError,
            "The chain could not be asked. Nothing was changed; repeat the request.",
        )
    })?;
    let wallets: Vec<Address> = config.wallets.all().collect();
    let found = receipt
        .map(|receipt| received(&receipt, config.network.usdc(), &wallets))
        .unwrap_or_default();
    let transfer = match (found.as_slice(), place) {
        ([], _) => return Err(unknown()),
        ([only], None) => only,
        (several, None) => {
            let list: Vec<Value> = several.iter().map(shown).collect();
            return Err(Error::invalid_request(
                "This transaction holds several transfers to you. Name one by its event: POST \
                 /admin/transfers/{txHash}/{event}/returned.",
            )
            .with_details(json!({"transfers": list})));
        }
        (several, Some(place)) => several
            .iter()
            .find(|transfer| transfer.log.to_string() == place)
            .ok_or_else(unknown)?,
    };
    let command = PayerCommand::Return {
        transfer: booking_key(transaction, transfer.log),
    };
    let reply = transfers
        .book(config.network, transfer.from, &command)
        .await;
    match reply.map_err(|_| Error::internal())? {
        PayerReply::Claimed(_) => {
            let mut body = shown(transfer);
            if let Some(members) = body.as_object_mut() {
                members.put("transaction", json!(transaction));
                members.put("status", json!("RETURNED"));
            }
            Ok(response::json(StatusCode::OK, &body))
        }
        PayerReply::Superseded { by } => Err(Error::new(
            Code::RequestConflict,
            "This transfer pays a purchase, which returns it by itself if it cannot be delivered. Nothing was changed.",
        )
        .with_details(json!({"requestId": by}))),
        _ => Err(Error::internal()),
    }
}

/// A transaction's hash from a path.
pub(super) fn hash(text: &str) -> Option<B256> {
    (text.len() == 66 && text.starts_with("0x"))
        .then(|| text.parse().ok())
        .flatten()
}

fn shown(transfer: &Transfer) -> Value {
    json!({
        "from": transfer.from.to_checksum(None),
        "amount": transfer.amount,
        "event": transfer.log,
    })
}
