//! What a purchase reports to the ledger.

use super::state::{Purchase, Stage, State};
use crate::goods::DeliveryFault;
use crate::ledger::LedgerEntry;
use crate::types::B256;

/// The entry that a purchase reports to the ledger.
pub fn ledger_entry(record: &Purchase, version: u64) -> LedgerEntry {
    let target = &record.terms.target;
    let state = &record.state;
    LedgerEntry {
        request_id: record.terms.request_id.clone(),
        challenge_id: record.challenge_id.to_string(),
        status: state.status(),
        target: format!("{}:{}", target.kind(), target.id()),
        resource: record.terms.resource.clone(),
        amount: state
            .payment()
            .map_or(record.terms.amount, |payment| payment.amount),
        payer: record.payer,
        network: record.terms.network,
        transaction: state.transaction(),
        refund: refund(state),
        reason: reason(state),
        created_at: record.begun_at,
        changed_at: record.changed_at,
        version,
    }
}

fn refund(state: &State) -> Option<B256> {
    match state {
        State::RefundPending { refund, .. } | State::RefundFailed { refund, .. } => {
            refund.transaction()
        }
        State::Refunded { transaction, .. } => Some(*transaction),
        _ => None,
    }
}

fn reason(state: &State) -> Option<String> {
    match state {
        State::Pending { attempt } => match &attempt.stage {
            Stage::Failed { reason, .. } => Some(reason.code().to_owned()),
            _ => None,
        },
        State::Paid { failure, .. } => failure.map(|failure| {
            match failure.fault {
                DeliveryFault::Failed => "backend_failed",
                DeliveryFault::Timeout => "backend_timeout",
                DeliveryFault::Unauthenticated => "backend_auth_failed",
                DeliveryFault::PlanGone => "plan_gone",
                DeliveryFault::GrantClosed => "grant_closed",
                DeliveryFault::Answered(_) => "call_uncharged",
                DeliveryFault::Origin(_) => "call_failed",
                DeliveryFault::Unfinished => "call_unfinished",
                DeliveryFault::Late => "paid_late",
            }
            .to_owned()
        }),
        State::RefundPending { .. } | State::RefundFailed { .. } | State::RefundBlocked { .. } => {
            state.refund_fault().map(|fault| fault.code().to_owned())
        }
        State::Cancelled {
            superseded_by: Some(by),
            ..
        } => Some(format!("superseded_by {by}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::json;

    use super::*;
    use crate::purchase::lifecycle::Event;
    use crate::purchase::test_support::{NOW, attempted, payment, record_after};

    #[test]
    fn an_entry_has_the_documented_members() {
        let record = record_after([
            attempted(1),
            Event::Reserved,
            Event::Settled { payment: payment() },
            Event::IssueFailed {
                fault: DeliveryFault::Timeout,
            },
        ]);
        let entry = ledger_entry(&record, 4);
        let shown = serde_json::to_value(&entry).unwrap();
        assert_eq!(
            shown,
            json!({
                "requestId": "07070707-0707-4707-8707-070707070707",
                "challengeId": record.challenge_id.as_str(),
                "status": "PAID",
                "target": "plan:basic",
                "resource": "default",
                "amount": "$0.015",
                "payer": record.payer,
                "network": "eip155:84532",
                "transaction": payment().transaction,
                "refund": null,
                "reason": "backend_timeout",
                "createdAt": NOW.0,
                "changedAt": NOW.0,
                "version": 4,
            })
        );
        assert_eq!(serde_json::from_value::<LedgerEntry>(shown).unwrap(), entry);
    }
}
