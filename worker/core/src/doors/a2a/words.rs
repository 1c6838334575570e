//! What a client is told about an outcome: the error that every door gives, the codes of the x402 extension, and
//! receipts.

use serde_json::Value;

use crate::json;
use crate::json::Put as _;

use super::task::Said;
use crate::checkout::{Checkout, Outcome, Retry, Stop, Unpaid};
use crate::error::{Code, Error};
use crate::goods::Receipt;
use crate::types::{Address, Network};
use crate::x402::{Dialect, Refusal, SettleResponse};

/// What the client is told about an outcome. `None` for goods.
pub(super) fn said<D>(outcome: &Outcome<'_>, checkout: &Checkout<'_, D>) -> Option<Said> {
    let mut error = outcome.error(&checkout.origin, checkout.config.network)?;
    // There is no header that could tell the time to wait.
    if let Some(seconds) = outcome.retry_after(checkout.now) {
        let details = error.details.get_or_insert_with(|| json!({}));
        if let Some(details) = details.as_object_mut() {
            details.put("retryAfterSeconds", json!(seconds));
        }
    }
    Some(Said {
        error: error.body(),
        payment: Some(word(outcome).to_owned()),
    })
}

/// The extension's code for an outcome in which a payment did not deliver.
/// <https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2/spec.md>
fn word(outcome: &Outcome<'_>) -> &'static str {
    match outcome {
        Outcome::PayAgain {
            why, mismatches, ..
        } => match why {
            Unpaid::Expired | Unpaid::Withdrawn => "EXPIRED_PAYMENT",
            Unpaid::Cancelled => "SETTLEMENT_FAILED",
            Unpaid::Refused(_) if names(mismatches, &["network", "asset"]) => "NETWORK_MISMATCH",
            Unpaid::Refused(_) if names(mismatches, &["amount", "payTo"]) => "INVALID_AMOUNT",
            Unpaid::Refused(refusal) => word_of(*refusal),
        },
        Outcome::Stopped { why } => match why {
            Stop::Taken | Stop::TransferTaken | Stop::SignAgain { .. } => "DUPLICATE_NONCE",
            Stop::Unsigned | Stop::NotThePayers => "INVALID_SIGNATURE",
            Stop::OtherChain { .. } => "NETWORK_MISMATCH",
            Stop::AccessEnded { .. } => "EXPIRED_PAYMENT",
            Stop::Spent(refusal) => word_of(*refusal),
            _ => "SETTLEMENT_FAILED",
        },
        Outcome::Granted { .. } | Outcome::Pending { .. } => "SETTLEMENT_FAILED",
    }
}

fn names(mismatches: &[&str], members: &[&str]) -> bool {
    mismatches.iter().any(|name| members.contains(name))
}

/// The extension's code for why a payment is refused.
pub(super) const fn word_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::InvalidExactEvmPayloadSignature => "INVALID_SIGNATURE",
        Refusal::InvalidExactEvmPayloadRecipientMismatch
        | Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch => "INVALID_AMOUNT",
        Refusal::InvalidExactEvmPayloadAuthorizationValidBefore => "EXPIRED_PAYMENT",
        Refusal::InvalidExactEvmNonceAlreadyUsed => "DUPLICATE_NONCE",
        Refusal::InsufficientFunds => "INSUFFICIENT_FUNDS",
        _ => "SETTLEMENT_FAILED",
    }
}

/// Tells the client that its request cannot be met. The request has paid nothing.
pub(super) fn refused(error: &Error) -> Said {
    Said {
        error: error.body(),
        payment: None,
    }
}

pub(super) fn unanswered() -> Said {
    refused(&Error::new(
        Code::SettlementPending,
        "No answer has come for the payment. Send the same payment again to learn what became of it; it is not charged twice.",
    ))
}

/// Tells the client what is wrong with its proof, beside a payment that is under way.
pub(super) fn beside_a_payment(said: Said) -> Said {
    also(
        said,
        "Beside this proof, a payment is under way on this task.",
    )
}

/// The same, with one more sentence.
pub(super) fn also(mut said: Said, more: &str) -> Said {
    if let Some(Value::String(text)) = said.error.get_mut("message") {
        text.push(' ');
        text.push_str(more);
    }
    said
}

const UNJUDGED: &str = "A transfer was shown for this offer, which may still count: send the same PaymentProof again, corrected if it was \
                        refused, and do not pay anew before it is judged.";

/// Tells the client that its transfer may still pay.
pub(super) fn unjudged() -> Said {
    Said {
        payment: Some("SETTLEMENT_FAILED".to_owned()),
        ..refused(&Error::new(Code::TxUnconfirmed, UNJUDGED))
    }
}

/// Tells the client what became of its payment, and that its transfer may still pay.
pub(super) fn and_unjudged(said: Said) -> Said {
    also(said, UNJUDGED)
}

/// The outcome of the payment as a receipt of x402. `None` when the outcome says nothing about a payment.
pub(super) fn receipt(
    outcome: &Outcome<'_>,
    payer: Option<Address>,
    network: Network,
) -> Option<Value> {
    let arrived = match outcome {
        Outcome::Granted { receipt, .. } | Outcome::Pending { receipt, .. } => receipt.as_ref(),
        _ => None,
    };
    if let Some(Receipt {
        transaction, payer, ..
    }) = arrived
    {
        let success = SettleResponse::success(Dialect::X402V2, *transaction, network, *payer);
        return Some(json!(success));
    }
    let transaction = match outcome {
        Outcome::PayAgain { transaction, .. } => *transaction,
        Outcome::Stopped { why } if why.retry() != Retry::Same => None,
        _ => return None,
    };
    Some(failure(
        outcome.reason(),
        transaction,
        Some(payer?),
        network,
    ))
}

/// A receipt for a payment that did not count.
pub(super) fn failure(
    reason: &'static str,
    transaction: Option<alloy_primitives::B256>,
    payer: Option<Address>,
    network: Network,
) -> Value {
    let Some(payer) = payer else {
        // The payment is unreadable, so its signer is unknown.
        let network = network.caip2();
        return json!({"success": false, "errorReason": reason, "transaction": "", "network": network});
    };
    let failure = SettleResponse::failure(Dialect::X402V2, reason, transaction, network, payer);
    json!(failure)
}
