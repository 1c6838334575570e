//! What an outcome makes of a task, and the words of the x402 extension for it.
//!
//! The rule: a task leaves [`Stage::Paying`] only by what its own purchase has said. What is said of a payment alone, or by
//! nobody, leaves it there: an identical payment may be under way in another request.

use serde_json::{Value, json};

use super::task::{Known, Presented, Said, Stage, Task};
use crate::checkout::{Checkout, Claim, Outcome, Phase, Retry, Stop, Unpaid};
use crate::error::{Code, Error};
use crate::goods::Receipt;
use crate::types::{Address, Network, UnixMillis, UnixSeconds};
use crate::x402::{Dialect, Refusal, SettleResponse};

/// A purchase may begin this long after a payment was presented: the call to it may take as long.
const BEGINS_SECONDS: u64 = 120;

/// What an outcome is of.
pub(super) struct Tried<'t> {
    /// The task's offer.
    pub(super) challenge_id: &'t str,
    /// What was presented for it now; `None`: its purchase was asked only.
    pub(super) payment: Option<Presented>,
    /// Who is said to have signed.
    pub(super) payer: Option<Address>,
    /// The right to ask, where the payer was proven; of a transfer none is kept before its purchase has begun.
    pub(super) claim: Option<Claim>,
    /// The stage that the task was in before.
    pub(super) before: &'t Stage,
}

/// The same, and what else the task waits for.
struct Trial<'t> {
    tried: &'t Tried<'t>,
    /// Whether a transfer was shown that is not judged for good. Then nobody is invited to pay once more.
    is_open: bool,
    /// Whether its purchase may still begin.
    may_begin: bool,
}

impl Trial<'_> {
    const fn is_presented(&self) -> bool {
        self.tried.payment.is_some()
    }

    const fn is_of_a_transfer(&self) -> bool {
        matches!(self.tried.payment, Some(Presented::Shown(_)))
    }

    /// Whether the payer was proven, and the purchase asked, after that was kept.
    const fn is_noted(&self) -> bool {
        self.tried.claim.is_some() || self.is_of_a_transfer()
    }

    /// Whether something else may be under way, or has begun.
    fn is_beside(&self) -> bool {
        matches!(self.tried.before, Stage::Paying { claim, known, .. }
            if self.is_open || claim.is_some() || *known >= Known::Begun)
    }

    /// Whether what its purchase says is said of all that the task follows.
    fn is_of_all(&self) -> bool {
        match self.tried.before {
            Stage::Paying {
                claim: None, by, ..
            } => by.is_none() || *by == self.tried.payment,
            Stage::Paying { claim, .. } => *claim == self.tried.claim,
            _ => true,
        }
    }

    /// The stage of a payment that may be under way. What was known is not forgotten.
    fn paying(&self, claim: Option<Claim>, said: Option<Said>, known: Known) -> Stage {
        let earlier = self.tried.before.claim().cloned();
        let (by, begun) = match self.tried.before {
            Stage::Paying { by, known, .. } if *known >= Known::Begun => (*by, *known),
            _ => (None, Known::Nothing),
        };
        let known = known.max(begun);
        let (claim, by) = match claim {
            // What others may know too takes nothing from what only the payer had.
            Some(claim) if begun < Known::Begun || !claim.is_by_attempted() => (Some(claim), None),
            _ if begun >= Known::Begun => (earlier, by),
            // What has begun is a purchase that only this payment can ask about.
            _ if known >= Known::Begun => (None, self.tried.payment),
            _ => (self.tried.claim.clone().or(earlier), None),
        };
        let known = match (known, &claim) {
            // Nobody but the client can ask about it.
            (Known::Nothing, None) => Known::Again,
            (known, _) => known,
        };
        Stage::Paying {
            challenge_id: self.tried.challenge_id.to_owned(),
            claim,
            by,
            said,
            known,
        }
    }

    fn offered(&self, challenge_id: &str, said: Said, again: bool, claim: Option<&Claim>) -> Stage {
        let claim = claim.or(self.tried.before.claim());
        Stage::Offered {
            challenge_id: challenge_id.to_owned(),
            said: Some(said),
            again,
            claim: claim.cloned(),
        }
    }

    /// The end of everything but a transfer: while one is open, its proof is to be sent again.
    fn unless_open(&self, stage: Stage) -> Stage {
        match self.is_open {
            true => Stage::Paying {
                challenge_id: self.tried.challenge_id.to_owned(),
                claim: None,
                by: None,
                said: Some(unjudged()),
                known: Known::Again,
            },
            false => stage,
        }
    }

    /// Of what was sent beside a payment that may be under way. Where nothing is known of that, the same may be sent again.
    fn beside(&self, said: Said) -> Stage {
        match self.tried.before {
            Stage::Paying { known, .. } if *known <= Known::Again && self.is_noted() => {
                let said = match self.is_open && !self.is_of_a_transfer() {
                    true => unjudged(),
                    false => said,
                };
                self.paying(None, Some(said), Known::Again)
            }
            before => before.clone(),
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
    if let Some(payment) = tried.payment {
        if has_begun(outcome) {
            task.present(payment);
        }
        if is_judged(outcome) {
            task.forget(payment);
        }
    }
    let stage = match (outcome, said(outcome, checkout)) {
        (Outcome::Granted { goods, receipt, .. }, _) => Stage::Delivered {
            goods: goods.clone(),
            receipt: receipt.clone(),
        },
        (_, None) => return,
        (outcome, Some(said)) => {
            let trial = Trial {
                tried,
                is_open: task.waits_for_transfer(),
                may_begin: checkout.now < task.at.to_seconds().plus(BEGINS_SECONDS),
            };
            next(outcome, said, &trial)
        }
    };
    if is_over(outcome) && !matches!(stage, Stage::Paying { .. }) {
        task.give_up_payments();
    }
    let offer = stage.challenge_id().unwrap_or(tried.challenge_id);
    let until = offer_end(checkout, offer);
    task.go_on(stage, until, now);
}

/// Where an outcome leads that is not the goods.
fn next(outcome: &Outcome<'_>, said: Said, trial: &Trial<'_>) -> Stage {
    let failed = |said, was_paid| Stage::Failed { said, was_paid };
    let (tried, own) = (trial.tried, trial.tried.challenge_id);
    match outcome {
        Outcome::Pending {
            phase,
            claim,
            receipt,
            ..
        } => {
            let known = match phase {
                Phase::Unheard | Phase::Unbegun => return unbegun(outcome, said, trial),
                Phase::Unconfirmed | Phase::AuthorizationOpen { .. } => Known::Again,
                Phase::Settling if receipt.is_none() => Known::Begun,
                Phase::Settling | Phase::Delivering { .. } | Phase::Refunding { .. } => {
                    Known::Arrived
                }
            };
            trial.paying(claim.clone(), Some(said), known)
        }
        // What has led to its purchase is public by now, and opens nothing any more.
        Outcome::Stopped { why: Stop::Taken } if is_of_what_led(tried) => {
            trial.unless_open(failed(counts_elsewhere(said), true))
        }
        // The money has arrived and is not back yet.
        Outcome::Stopped {
            why: Stop::RefundFailed { claim },
        } => trial.paying(claim.clone(), Some(said), Known::Arrived),
        Outcome::Stopped {
            why: Stop::Refunded { .. } | Stop::AccessEnded { .. },
        } => failed(said, true),
        // Its purchase is over, or can never begin.
        Outcome::PayAgain { quote, .. } if is_over(outcome) && trial.is_of_all() => trial
            .unless_open(match quote {
                Some(quote) => Stage::Offered {
                    challenge_id: quote.first.offer.id.to_string(),
                    said: Some(said),
                    again: false,
                    claim: None,
                },
                None => failed(said, false),
            }),
        _ if trial.is_beside() => trial.beside(said),
        // Of this payment alone: its purchase can still be paid.
        Outcome::PayAgain {
            quote: Some(quote), ..
        } => {
            let next = quote.first.offer.id.as_str();
            trial.offered(next, said, false, tried.claim.as_ref())
        }
        Outcome::Stopped { why } => match why.retry() {
            Retry::Same | Retry::SignAgain | Retry::Rename if trial.is_noted() => {
                trial.paying(None, Some(said), Known::Again)
            }
            Retry::Same | Retry::SignAgain | Retry::Rename => trial.offered(own, said, true, None),
            Retry::Never if trial.is_open && tried.before.challenge_id().is_some() => {
                trial.paying(None, Some(said), Known::Again)
            }
            Retry::Never if is_proof(why) && tried.before.challenge_id().is_some() => {
                trial.offered(own, said, true, None)
            }
            // It says nothing of an earlier payment, of which the task has another claim.
            Retry::Never | Retry::NewId
                if tried.before.claim() != tried.claim.as_ref()
                    && tried.before.claim().is_some() =>
            {
                trial.offered(own, said, true, None)
            }
            Retry::Never | Retry::NewId => failed(said, false),
        },
        Outcome::PayAgain { quote: None, .. } | Outcome::Granted { .. } => failed(said, false),
    }
}

/// Its purchase has not begun, or has given no answer. A payment that was presented now is to be presented again. One that was
/// presented before may be on its way for a while; later only the payment itself tells, as it may count for another purchase.
fn unbegun(outcome: &Outcome<'_>, said: Said, trial: &Trial<'_>) -> Stage {
    let (before, is_silent) = (trial.tried.before, is_silent(outcome));
    match (before, outcome) {
        // Of what has begun, another purchase says nothing.
        (Stage::Paying { known, .. }, _) if *known >= Known::Begun && !is_silent => before.clone(),
        (_, Outcome::Pending { claim, .. })
            if trial.is_presented() && !trial.is_noted() && !trial.is_beside() =>
        {
            // It does not fit the offer of today, so its purchase was asked without beginning.
            trial.offered(trial.tried.challenge_id, said, true, claim.as_ref())
        }
        _ if trial.is_presented() => match is_silent {
            true if trial.is_of_a_transfer() => trial.paying(None, None, Known::Again),
            true => trial.paying(None, None, Known::Nothing),
            false => trial.paying(None, Some(said), Known::Again),
        },
        (Stage::Paying { known, .. }, _) if *known == Known::Nothing && !is_silent => {
            match trial.may_begin {
                true => trial.paying(None, None, Known::Nothing),
                false => trial.paying(None, Some(unanswered()), Known::Again),
            }
        }
        _ => before.clone(),
    }
}

/// Whether a payment is another purchase's that led the task to its own: by that alone the task knows of it.
fn is_of_what_led(tried: &Tried<'_>) -> bool {
    match tried.payment {
        Some(payment) => {
            matches!(tried.before, Stage::Paying { by: Some(by), .. } if *by == payment)
        }
        None => tried.claim.as_ref().is_some_and(Claim::is_by_attempted),
    }
}

/// What is said of a payment that counts for another purchase, after it has led there.
fn counts_elsewhere(said: Said) -> Said {
    let text = "The payment counts for another purchase, which has begun. Do not sign anew for this one: ask for that one's outcome \
                where the payment was sent first, or under its requestId.";
    Said {
        error: Error::new(Code::TxAlreadyRedeemed, text).body(),
        payment: said.payment,
    }
}

/// What is said while only a transfer can still pay.
fn unjudged() -> Said {
    let text = "No payment that was signed for this offer was charged. A transfer was shown for it, which may still count: send the same \
                PaymentProof again, and do not pay anew before it is judged.";
    Said {
        error: Error::new(Code::TxUnconfirmed, text).body(),
        payment: Some("SETTLEMENT_FAILED".to_owned()),
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

/// Whether no answer has come.
pub(super) const fn is_silent(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Pending {
            phase: Phase::Unheard,
            ..
        }
    )
}

/// Whether it says for good that a transfer does not pay the offer.
const fn is_judged(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Stopped {
            why: Stop::NotPaid { .. } | Stop::TransferTaken
        }
    )
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
