//! What an outcome makes of a task, and the words of the x402 extension for it.
//!
//! The rule: a task leaves [`Stage::Paying`] only by what its own purchase has said. What is said of a payment alone, or by
//! nobody, leaves it there: an identical payment may be under way in another request.

use serde_json::{Value, json};

use super::task::{Known, Said, Stage, Task};
use crate::checkout::{Checkout, Claim, Outcome, Phase, Retry, Stop, Unpaid};
use crate::error::{Code, Error};
use crate::goods::Receipt;
use crate::types::{Address, Network, UnixMillis, UnixSeconds};
use crate::x402::{Dialect, Refusal, SettleResponse};

/// A purchase may begin this long after a payment was presented: the call to it may take as long.
const BEGINS_SECONDS: u64 = 120;

/// The payment that an outcome is of.
pub(super) struct Tried<'t> {
    /// The offer that it was for.
    pub(super) challenge_id: &'t str,
    /// Who is said to have signed it.
    pub(super) payer: Option<Address>,
    /// The right to ask again, where the payer was proven.
    pub(super) claim: Option<Claim>,
    /// The stage that the task was in before it was presented.
    pub(super) before: &'t Stage,
    /// Whether it was presented now; otherwise its purchase was asked only.
    pub(super) is_presented: bool,
    /// Whether it is what was last presented on the task before.
    pub(super) is_again: bool,
}

impl Tried<'_> {
    /// Whether an earlier payment may be under way.
    const fn is_beside(&self) -> bool {
        matches!(self.before, Stage::Paying { .. })
    }

    /// Whether what its purchase says is said of that payment, too.
    fn is_of_the_same(&self) -> bool {
        let earlier = self.before.claim();
        !self.is_beside() || (earlier.is_some() && earlier == self.claim.as_ref())
    }

    /// Whether a transfer was shown, which moved before we heard of it.
    const fn is_of_a_transfer(&self) -> bool {
        self.payer.is_none()
    }

    /// The stage of a payment that may be under way. What was known is not forgotten.
    fn paying(&self, claim: Option<Claim>, said: Option<Said>, known: Known) -> Stage {
        let (earlier, begun) = match self.before {
            Stage::Paying { claim, known, .. } if *known >= Known::Begun => (claim.clone(), *known),
            Stage::Paying { claim, .. } => (claim.clone(), Known::Nothing),
            _ => (None, Known::Nothing),
        };
        // What others may know too takes nothing from what only the payer had.
        let claim = claim.filter(|new| !new.is_by_attempted() || earlier.is_none());
        // A purchase that has begun knows more than one that a payment was made for and led away from.
        let claim = match known.max(begun) >= Known::Begun {
            // Without a claim of its own, what has begun is a purchase that only the payment itself can ask about.
            true => claim.or(earlier),
            false => claim.or_else(|| self.claim.clone()).or(earlier),
        };
        let known = match (known.max(begun), &claim) {
            // Nobody but the client can ask about it.
            (Known::Nothing, None) => Known::Again,
            (known, _) => known,
        };
        Stage::Paying {
            challenge_id: self.challenge_id.to_owned(),
            claim,
            said,
            known,
        }
    }

    fn offered(&self, challenge_id: String, said: Said, again: bool) -> Stage {
        Stage::Offered {
            challenge_id,
            said: Some(said),
            again,
            claim: self.claim.clone().or_else(|| self.before.claim().cloned()),
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
    if let Some(receipt) = receipt(outcome, tried, checkout.config.network) {
        task.note(receipt);
    }
    let stage = match (outcome, said(outcome, checkout)) {
        (Outcome::Granted { goods, receipt, .. }, _) => Stage::Delivered {
            goods: goods.clone(),
            receipt: receipt.clone(),
        },
        (_, None) => return,
        (outcome, Some(said)) => {
            let may_begin = checkout.now < task.at.to_seconds().plus(BEGINS_SECONDS);
            next(outcome, said, tried, may_begin)
        }
    };
    let offer = stage.challenge_id().unwrap_or(tried.challenge_id);
    let until = offer_end(checkout, offer);
    task.go_on(stage, until, now);
}

/// Where an outcome leads that is not the goods. `may_begin`: whether its purchase may still begin.
fn next(outcome: &Outcome<'_>, said: Said, tried: &Tried<'_>, may_begin: bool) -> Stage {
    let failed = |said, was_paid| Stage::Failed { said, was_paid };
    match outcome {
        Outcome::Pending {
            phase,
            claim,
            receipt,
            ..
        } => {
            let known = match phase {
                Phase::Unheard if tried.is_presented => {
                    return tried.paying(None, None, Known::Nothing);
                }
                Phase::Unheard => return tried.before.clone(),
                Phase::Unbegun => return unbegun(tried, said, may_begin),
                Phase::Unconfirmed | Phase::AuthorizationOpen { .. } => Known::Again,
                Phase::Settling if receipt.is_none() => Known::Begun,
                Phase::Settling | Phase::Delivering { .. } | Phase::Refunding { .. } => {
                    Known::Arrived
                }
            };
            tried.paying(claim.clone(), Some(said), known)
        }
        // What it was led to by is used, and opens nothing any more.
        Outcome::Stopped { why: Stop::Taken }
            if !tried.is_presented && tried.claim.as_ref().is_some_and(Claim::is_by_attempted) =>
        {
            failed(said, false)
        }
        // The same, of a purchase that only the payment itself could ask about.
        Outcome::Stopped { why: Stop::Taken }
            if tried.is_again && tried.is_beside() && tried.before.claim().is_none() =>
        {
            let text = "The payment counts for another purchase, which has begun. Do not sign anew for this one: ask for that one's \
                        outcome where the payment was sent first, or under its requestId.";
            let error = Error::new(Code::TxAlreadyRedeemed, text);
            let said = Said {
                error: error.body(),
                payment: said.payment,
            };
            failed(said, true)
        }
        // The money has arrived and is not back yet.
        Outcome::Stopped {
            why: Stop::RefundFailed { claim },
        } => tried.paying(claim.clone(), Some(said), Known::Arrived),
        Outcome::Stopped {
            why: Stop::Refunded { .. } | Stop::AccessEnded { .. },
        } => failed(said, true),
        // Its purchase is over, or can never begin.
        Outcome::PayAgain { quote, .. } if is_over(outcome) && tried.is_of_the_same() => {
            match quote {
                Some(quote) => Stage::Offered {
                    challenge_id: quote.first.offer.id.to_string(),
                    said: Some(said),
                    again: false,
                    claim: None,
                },
                None => failed(said, false),
            }
        }
        _ if tried.is_beside() => beside(tried, said),
        // Of this payment alone: its purchase can still be paid.
        Outcome::PayAgain {
            quote: Some(quote), ..
        } => tried.offered(quote.first.offer.id.to_string(), said, false),
        Outcome::Stopped { why } => match why.retry() {
            Retry::Same | Retry::SignAgain | Retry::Rename
                if tried.claim.is_some() || tried.is_of_a_transfer() =>
            {
                tried.paying(None, Some(said), Known::Again)
            }
            Retry::Same | Retry::SignAgain | Retry::Rename => {
                tried.offered(tried.challenge_id.to_owned(), said, true)
            }
            Retry::Never if is_proof(why) && tried.before.challenge_id().is_some() => {
                tried.offered(tried.challenge_id.to_owned(), said, true)
            }
            Retry::Never | Retry::NewId => failed(said, false),
        },
        Outcome::PayAgain { quote: None, .. } | Outcome::Granted { .. } => failed(said, false),
    }
}

/// Its purchase has not begun. A payment that was presented now is to be presented again. One that was presented before may be on
/// its way for a while; later only the payment itself tells, as it may count for another purchase.
fn unbegun(tried: &Tried<'_>, said: Said, may_begin: bool) -> Stage {
    let known = match tried.before {
        Stage::Paying { known, .. } => *known,
        _ if tried.is_presented => Known::Nothing,
        before => return before.clone(),
    };
    if known >= Known::Begun {
        // What has begun is another purchase, which the payment was led to; about that only the payment itself can ask.
        return match tried.is_presented {
            true => tried.before.clone(),
            false => Stage::Paying {
                challenge_id: tried.challenge_id.to_owned(),
                claim: None,
                said: Some(unanswered()),
                known,
            },
        };
    }
    if !tried.is_presented && known == Known::Again {
        return tried.before.clone();
    }
    let (said, known) = match (tried.is_presented, may_begin) {
        (true, _) => (Some(said), Known::Again),
        (false, true) => (None, Known::Nothing),
        (false, false) => (Some(unanswered()), Known::Again),
    };
    let earlier = || match tried.before {
        Stage::Paying { claim, .. } => claim.clone(),
        _ => None,
    };
    Stage::Paying {
        challenge_id: tried.challenge_id.to_owned(),
        claim: tried.claim.clone().or_else(earlier),
        said,
        known,
    }
}

pub(super) fn unanswered() -> Said {
    refused(&Error::new(
        Code::SettlementPending,
        "No answer has come for the payment. Send the same payment again to learn what became of it; it is not charged twice.",
    ))
}

/// Whether its purchase has ended without a charge, and takes no other payment.
pub(super) const fn is_over(outcome: &Outcome<'_>) -> bool {
    matches!(outcome, Outcome::PayAgain { why, booked, .. } if *booked || !matches!(why, Unpaid::Refused(_)))
}

/// Whether its purchase has begun: what is said of it is said of money that may have moved.
pub(super) const fn has_begun(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Granted { .. }
            | Outcome::Pending {
                phase: Phase::Settling | Phase::Delivering { .. } | Phase::Refunding { .. },
                ..
            }
            | Outcome::Stopped {
                why: Stop::Refunded { .. } | Stop::RefundFailed { .. } | Stop::AccessEnded { .. },
            }
    )
}

/// A refusal of what was sent beside a payment that may be under way. Where nothing is known of that, the same payment may be
/// sent again.
fn beside(tried: &Tried<'_>, said: Said) -> Stage {
    match tried.before {
        Stage::Paying { known, .. }
            if *known <= Known::Again && (tried.claim.is_some() || tried.is_of_a_transfer()) =>
        {
            tried.paying(None, Some(said), Known::Again)
        }
        before => before.clone(),
    }
}

const fn is_proof(why: &Stop) -> bool {
    matches!(
        why,
        Stop::ForeignProof
            | Stop::OtherChain { .. }
            | Stop::Contradicts(_)
            | Stop::Unsigned
            | Stop::NotThePayers
            | Stop::TransferTaken
            | Stop::NotPaid { .. }
    )
}

/// What came of the payment, as x402 tells it. `None` when nothing can be told of one.
fn receipt(outcome: &Outcome<'_>, tried: &Tried<'_>, network: Network) -> Option<Value> {
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
        Some(tried.payer?),
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
        // Who signed what cannot be read is not known.
        let network = network.caip2();
        return json!({"success": false, "errorReason": reason, "transaction": "", "network": network});
    };
    let failure = SettleResponse::failure(Dialect::X402V2, reason, transaction, network, payer);
    json!(failure)
}

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
