//! Removing the purchase of a call.

use super::super::env::{PurchaseEnv, PurchaseStore, Stuck};
use super::super::lifecycle::Event;
use super::super::report::ledger_entry;
use super::super::state::{Purchase, Rest};
use crate::book::PayerCommand;

/// Removes a purchase: first from the ledger and the payer's book, then its own record. The intent is stored first. From
/// then on nothing changes the record, so the ledger counts the purchase once, however often this runs.
pub(super) async fn remove<E: PurchaseEnv>(env: &E, record: &Purchase) -> Result<Event, Stuck> {
    if record.rest != Rest::Leaving {
        return Ok(Event::Leaving);
    }
    env.unlist(ledger_entry(record, 0)).await?;
    if let Some(presented) = record.presented {
        let forget = PayerCommand::Forget {
            request_id: record.terms.request_id.clone(),
            nonce: presented.nonce,
            identifier: presented.identifier,
        };
        env.payer(record.payer, forget).await?;
    }
    let removed = env.store().remove_all();
    removed.map_err(|fault| Stuck::Fault(fault.0))?;
    Err(Stuck::Waiting)
}
