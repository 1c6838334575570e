//! What an outcome makes of a task, and the words of the x402 extension for it.

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::task::{Said, Stage, Task};
use crate::checkout::{Checkout, Claim, Outcome, Phase, Retry, Stop, Unpaid};
use crate::error::Error;
use crate::goods::Receipt;
use crate::types::{Address, UnixMillis, UnixSeconds};
use crate::x402::{Dialect, Refusal, SettleResponse};

/// The payment that an outcome is of.
pub(super) struct Tried<'t> {
    /// The offer that it was for.
    pub(super) challenge_id: &'t str,
    /// The authorization's nonce, or the transaction of a transfer.
    pub(super) by: B256,
    /// Who is said to have signed it.
    pub(super) payer: Option<Address>,
    /// The right to ask again, where the payer was proven.
    pub(super) claim: Option<Claim>,
    /// The stage that the task was in before.
    pub(super) before: &'t Stage,
}

impl Tried<'_> {
    /// Whether the same or another payment was presented before.
    const fn is_repeated(&self) -> bool {
        matches!(self.before, Stage::Paying { .. })
    }

    /// Whether another payment for the task may be under way, so that this one's failure ends nothing.
    fn is_beside_another(&self) -> bool {
        match self.before {
            Stage::Paying {
                claim: Some(claim), ..
            } => self.claim.as_ref() != Some(claim),
            Stage::Paying { by, .. } => *by != self.by,
            _ => false,
        }
    }
}

/// Takes an outcome into a task.
pub(super) fn take<D>(
    task: &mut Task,
    outcome: &Outcome<'_>,
    tried: &Tried<'_>,
    checkout: &Checkout<'_, D>,
    now: UnixMillis,
) {
    let said = outcome
        .error(&checkout.origin, checkout.config.network)
        .map(|error| Said {
            error: error.body(),
            payment: Some(word(outcome).to_owned()),
        });
    if let Some(receipt) = receipt(outcome, tried, checkout) {
        task.note(receipt);
    }
    let own = tried.challenge_id.to_owned();
    let until = offer_end(checkout, &own);
    let (stage, until) = match (outcome, said) {
        (Outcome::Granted { goods, receipt, .. }, _) => (
            Stage::Delivered {
                by: tried.by,
                goods: goods.clone(),
                receipt: receipt.clone(),
            },
            until,
        ),
        (_, None) => return,
        (outcome, Some(said)) => match still(outcome, tried) {
            Still::UnderWay { claim, receipt } => (
                Stage::Paying {
                    challenge_id: own,
                    by: tried.by,
                    claim,
                    said: Some(said),
                    arrived: receipt,
                },
                until,
            ),
            // It says nothing of the payment that is under way.
            Still::Other => (tried.before.clone(), until),
            Still::Payable { offer: None } => (
                Stage::Offered {
                    challenge_id: own,
                    said: Some(said),
                    again: true,
                },
                until,
            ),
            Still::Payable { offer: Some(id) } => {
                let until = offer_end(checkout, &id);
                (
                    Stage::Offered {
                        challenge_id: id,
                        said: Some(said),
                        again: false,
                    },
                    until,
                )
            }
            Still::Nothing => (
                Stage::Failed {
                    said,
                    by: Some(tried.by),
                },
                until,
            ),
        },
    };
    task.go_on(stage, until, now);
}

/// What there is left to wait for, of a task that is not delivered.
enum Still {
    /// This payment.
    UnderWay { claim: Option<Claim>, receipt: bool },
    /// An earlier payment.
    Other,
    /// Another payment, or the same again when there is no offer.
    Payable { offer: Option<String> },
    /// Nothing.
    Nothing,
}

fn still(outcome: &Outcome<'_>, tried: &Tried<'_>) -> Still {
    let claim = || match tried.before {
        Stage::Paying { claim, .. } => claim.clone(),
        _ => None,
    };
    match outcome {
        Outcome::Pending {
            claim: new,
            receipt,
            ..
        } => Still::UnderWay {
            claim: new.clone().or_else(|| tried.claim.clone()).or_else(claim),
            receipt: receipt.is_some(),
        },
        // The money has arrived and is not back yet.
        Outcome::Stopped {
            why: Stop::RefundFailed,
        } => Still::UnderWay {
            claim: tried.claim.clone().or_else(claim),
            receipt: true,
        },
        _ if tried.is_beside_another() => Still::Other,
        // That nothing could be begun now says nothing of what was begun before.
        Outcome::Stopped { why } if why.retry() == Retry::Same && tried.is_repeated() => {
            Still::Other
        }
        Outcome::PayAgain {
            quote: Some(quote), ..
        } => Still::Payable {
            offer: Some(quote.first.offer.id.to_string()),
        },
        Outcome::Stopped { why } => match why.retry() {
            Retry::Same | Retry::SignAgain | Retry::Rename => Still::Payable { offer: None },
            // A proof that proves nothing: another one may.
            Retry::Never if is_proof(why) => Still::Payable { offer: None },
            Retry::Never | Retry::NewId => Still::Nothing,
        },
        Outcome::PayAgain { quote: None, .. } | Outcome::Granted { .. } => Still::Nothing,
    }
}

const fn is_proof(why: &Stop) -> bool {
    matches!(
        why,
        Stop::OtherChain { .. }
            | Stop::Contradicts(_)
            | Stop::Unsigned
            | Stop::NotThePayers
            | Stop::TransferTaken
            | Stop::NotPaid { .. }
    )
}

/// What came of the payment, as x402 tells it. `None` when nothing can be told of one.
fn receipt<D>(
    outcome: &Outcome<'_>,
    tried: &Tried<'_>,
    checkout: &Checkout<'_, D>,
) -> Option<Value> {
    let network = checkout.config.network;
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
    let (reason, payer) = (outcome.reason(), tried.payer?);
    let failure = SettleResponse::failure(Dialect::X402V2, reason, transaction, network, payer);
    Some(json!(failure))
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
        Outcome::Granted { .. }
        | Outcome::Pending {
            phase:
                Phase::Settling
                | Phase::Delivering { .. }
                | Phase::Refunding { .. }
                | Phase::Unconfirmed
                | Phase::AuthorizationOpen { .. },
            ..
        } => "SETTLEMENT_FAILED",
    }
}

fn names(mismatches: &[&str], members: &[&str]) -> bool {
    mismatches.iter().any(|name| members.contains(name))
}

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

/// What is said of a request that cannot be met and paid nothing.
pub(super) fn refused(error: &Error) -> Said {
    Said {
        error: error.body(),
        payment: None,
    }
}

/// The end of this offer, if it is ours.
pub(super) fn offer_end<D>(checkout: &Checkout<'_, D>, challenge_id: &str) -> Option<UnixSeconds> {
    let offer = checkout.config.offers.keys.open(challenge_id);
    offer.map(|offer| offer.terms.expires_at)
}
