//! What a client is told of an outcome: the error of every door, the words of the x402 extension, and receipts.

use serde_json::{Value, json};

use super::task::Said;
use crate::checkout::{Checkout, Outcome, Retry, Stop, Unpaid};
use crate::error::{Code, Error};
use crate::goods::Receipt;
use crate::types::{Address, Network};
use crate::x402::{Dialect, Refusal, SettleResponse};

/// What we say of an outcome. `None` for goods.
pub(super) fn said<D>(outcome: &Outcome<'_>, checkout: &Checkout<'_, D>) -> Option<Said> {
    let mut error = outcome.error(&checkout.origin, checkout.config.network)?;
    // There is no header that could say it.
    if let Some(seconds) = outcome.retry_after(checkout.now) {
        let details = error.details.get_or_insert_with(|| json!({}));
        if let Some(details) = details.as_object_mut() {
            details.insert("retryAfterSeconds".to_owned(), json!(seconds));
        }
    }
    Some(Said {
        error: error.body(),
        payment: Some(word(outcome).to_owned()),
    })
}

/// The extension's word for why a payment is not the end of it.
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

/// The extension's word for why a payment is refused.
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

/// Tells the client that its payment counts for another purchase, after the payment has led to that purchase.
pub(super) fn counts_elsewhere() -> Said {
    let text = "The payment counts for another purchase, which has begun. Do not sign anew for this one: ask for that one's outcome \
                where the payment was sent first, or under its requestId.";
    Said {
        payment: Some("DUPLICATE_NONCE".to_owned()),
        ..refused(&Error::new(Code::TxAlreadyRedeemed, text))
    }
}

/// Tells the client that its transfer may still pay.
pub(super) fn unjudged() -> Said {
    let text = "A transfer was shown for this offer, which may still count: send the same PaymentProof again, and do not pay anew before \
                it is judged.";
    Said {
        payment: Some("SETTLEMENT_FAILED".to_owned()),
        ..refused(&Error::new(Code::TxUnconfirmed, text))
    }
}

/// What came of the payment, as x402 tells it. `None` when nothing can be told of one.
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
        // The signer of an unreadable payment is unknown.
        let network = network.caip2();
        return json!({"success": false, "errorReason": reason, "transaction": "", "network": network});
    };
    let failure = SettleResponse::failure(Dialect::X402V2, reason, transaction, network, payer);
    json!(failure)
}
