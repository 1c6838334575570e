//! What the operator asks of one purchase: to be shown, to go on, to end, to report itself again.

use core::future::Future;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::env::{PurchaseStore, StoreFault, Versioned};
use super::lifecycle::{Event, apply};
use super::question::Ask;
use super::schedule::wake_at;
use super::state::{Purchase, Rest};
use crate::config::Policy;
use crate::pauses::Patience;
use crate::types::{CallFault, RequestId, Status, UnixMillis};

/// How often a command is tried again because the purchase moved at the same moment.
const MAX_RACES: usize = 8;
/// What is never shown of a record: signatures, and the backend's own credential.
const HIDDEN: [&str; 2] = ["signature", "sealed"];

/// A call to a purchase.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// A door asks for a buyer.
    Buyer {
        /// What.
        ask: Ask,
        /// How long it waits for the outcome.
        patience: Patience,
    },
    /// The operator asks.
    Operator(OperatorCommand),
    /// The sweep looks whether everything is on its way.
    Nudge,
}

/// What the operator asks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OperatorCommand {
    /// Show the record and its history.
    Inspect,
    /// Try a refund again that has failed for good.
    RetryRefund,
    /// Call the purchase off: if no money can move yet, or its attempt has failed; or if it is paid, cannot be delivered, and
    /// refunds are off.
    Cancel,
    /// Take note that the money of a refund that could not be signed was returned by hand.
    Returned {
        /// In this transaction.
        transaction: B256,
    },
    /// Tell the ledger again.
    Report,
}

/// What a purchase answers its operator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OperatorReply {
    /// The purchase as it is stored, without signatures and credentials.
    Found {
        /// Counts its changes.
        version: u64,
        /// The state's name.
        status: Status,
        /// The record.
        record: Value,
        /// Its history, oldest first.
        audit: Vec<AuditLine>,
        /// Whether the history was removed, because the purchase has been over for long.
        history_removed: bool,
    },
    /// Nothing was ever begun under this request id.
    NotFound,
    /// It is done.
    Done {
        /// The state now.
        status: Status,
    },
    /// The purchase is in a state that does not allow it. Nothing was changed.
    NotPossible {
        /// That state.
        status: Status,
    },
}

/// One line of a purchase's history, as it was stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// When.
    pub at: UnixMillis,
    /// What happened.
    pub event: String,
    /// The state afterwards.
    pub status: Status,
    /// The transaction concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
}

/// Where a purchase's history can be read.
pub trait History {
    /// The history, oldest first.
    fn history(&self) -> Result<Vec<AuditLine>, StoreFault>;
}

/// The purchases of this deployment, as the operator reaches them.
pub trait Operators {
    /// Asks one purchase.
    fn ask(
        &self,
        request_id: &RequestId,
        command: OperatorCommand,
    ) -> impl Future<Output = Result<OperatorReply, CallFault>>;
}

/// Carries out a command.
pub fn operate<S: PurchaseStore + History>(
    store: &S,
    command: OperatorCommand,
    now: UnixMillis,
    policy: &Policy,
) -> Result<OperatorReply, StoreFault> {
    let event = match command {
        OperatorCommand::Inspect => return inspect(store),
        OperatorCommand::RetryRefund => Event::RefundRetried,
        OperatorCommand::Cancel => Event::Cancelled,
        OperatorCommand::Returned { transaction } => Event::ReturnedByHand { transaction },
        OperatorCommand::Report => Event::ReportAsked,
    };
    // The purchase may move between reading and writing; then it is asked anew.
    for _ in 0..MAX_RACES {
        let Some(stored) = store.load()? else {
            return Ok(OperatorReply::NotFound);
        };
        let Ok(after) = apply(Some(&stored.record), event.clone(), now, policy) else {
            return Ok(OperatorReply::NotPossible {
                status: stored.record.state.status(),
            });
        };
        let audit = event.audit(&after, now);
        let wake_at = wake_at(&after, now, policy);
        if store.commit(Some(stored.version), &after, audit.as_ref(), wake_at)? {
            return Ok(OperatorReply::Done {
                status: after.state.status(),
            });
        }
    }
    Err(StoreFault("the purchase keeps moving".to_owned()))
}

fn inspect<S: PurchaseStore + History>(store: &S) -> Result<OperatorReply, StoreFault> {
    let Some(Versioned { version, record }) = store.load()? else {
        return Ok(OperatorReply::NotFound);
    };
    Ok(OperatorReply::Found {
        version,
        status: record.state.status(),
        history_removed: record.rest == Rest::WithoutHistory,
        record: shown(&record)?,
        audit: store.history()?,
    })
}

/// The record as the operator may see it.
fn shown(record: &Purchase) -> Result<Value, StoreFault> {
    let mut value = serde_json::to_value(record).map_err(|error| StoreFault(error.to_string()))?;
    hide(&mut value);
    Ok(value)
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !HIDDEN.contains(&name.as_str()));
            members.values_mut().for_each(hide);
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
