//! The operator's commands to one purchase: show yourself, retry the refund, end, report again.

use core::future::Future;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::env::{PurchaseStore, StoreFault, Versioned};
use super::lifecycle::{Event, apply};
use super::question::Ask;
use super::schedule::wake_at;
use super::state::{Purchase, Rest};
use super::store::with_answer;
use crate::config::Policy;
use crate::pauses::Patience;
use crate::types::{CallFault, RequestId, Status, UnixMillis};

/// How often a command is tried again when the record has changed at the same moment.
const MAX_RACES: usize = 8;
/// The members of a record that are never shown: signatures, the backend's credential, and the headers of a paid
/// answer.
const HIDDEN: [&str; 3] = ["signature", "sealed", "headers"];

/// A call to a purchase.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// A door passes on a buyer's question.
    Buyer {
        /// The question.
        ask: Ask,
        /// How long the request waits for the outcome.
        patience: Patience,
    },
    /// The operator sends a command.
    Operator(OperatorCommand),
    /// The sweep has the purchase check its alarm.
    Nudge,
    /// The grant's meter asks what was sold.
    Granted,
}

/// A command of the operator.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OperatorCommand {
    /// Show the record and its history.
    Inspect,
    /// Try a refund again that has failed for good or was blocked.
    RetryRefund,
    /// Call the purchase off. Possible if no money can move yet, if its attempt has failed, or if it is paid but could
    /// not be delivered and refunds are off.
    Cancel,
    /// Record that the money was returned by hand, where no refund could be signed.
    Returned {
        /// The transaction that returned the money.
        transaction: B256,
    },
    /// Have the purchase report to the ledger again.
    Report,
}

/// The reply of a purchase to its operator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OperatorReply {
    /// The purchase as it is stored, without signatures and credentials.
    Found {
        /// The number of changes so far.
        version: u64,
        /// The state's name.
        status: Status,
        /// The record.
        record: Value,
        /// The purchase's history, oldest first.
        audit: Vec<AuditLine>,
        /// Whether the history was removed, because the purchase has been over for long.
        history_removed: bool,
    },
    /// No purchase was ever begun under this request id.
    NotFound,
    /// The command was carried out.
    Done {
        /// The state after the command.
        status: Status,
    },
    /// The purchase is in a state that does not allow the command. Nothing was changed.
    NotPossible {
        /// The state.
        status: Status,
    },
}

/// One line of a purchase's history, as it was stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// When the event happened.
    pub at: UnixMillis,
    /// What happened.
    pub event: String,
    /// The state after the event.
    pub status: Status,
    /// The chain transaction that the event concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
}

/// A store from which a purchase's history can be read.
pub trait History {
    /// The history, oldest first.
    fn history(&self) -> Result<Vec<AuditLine>, StoreFault>;
}

/// The way to the purchases of this deployment, for the operator's commands.
pub trait Operators {
    /// Sends a command to one purchase.
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
    // The record may change between reading and writing; then the command is applied to the new record.
    for _ in 0..MAX_RACES {
        let Some(stored) = store.load()? else {
            return Ok(OperatorReply::NotFound);
        };
        let Ok(after) = apply(Some(&stored.record), event.clone(), now, policy) else {
            return Ok(OperatorReply::NotPossible {
                status: stored.record.state.status(),
            });
        };
        with_answer(store, Some(&stored), &after)?;
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
