//! What an outcome makes of a task.
//!
//! The rule: a task leaves [`Stage::Paying`] only by what its own purchase has said. What is said of a payment alone, or by
//! nobody, leaves it there: an identical payment may be under way in another request.

use super::task::{Known, Presented, Said, Stage, Task};
use super::words::{counts_elsewhere, receipt, said, unanswered, unjudged};

use crate::checkout::{Checkout, Claim, Outcome, Phase, Retry, Stop, Unpaid};
use crate::types::{Address, UnixMillis, UnixSeconds};

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
    /// Of a transfer: whether it was open before.
    pub(super) was_shown: bool,
}

/// The same, and what else the task waits for.
struct Trial<'t> {
    tried: &'t Tried<'t>,
    /// Whether a transfer was shown that is not judged for good. Then nobody is invited to pay once more.
    is_open: bool,
    /// Whether the transfer that was shown now does not pay, for good.
    is_judged: bool,
    /// Whether its purchase may still begin.
    may_begin: bool,
}

impl Trial<'_> {
    const fn is_of_a_transfer(&self) -> bool {
        matches!(self.tried.payment, Some(Presented::Shown(_)))
    }

    /// Whether the payer was proven, and the purchase asked, after that was kept.
    const fn is_noted(&self) -> bool {
        self.tried.claim.is_some() || self.is_of_a_transfer()
    }

    /// Whether something else may be under way, or has begun.
    fn is_beside(&self) -> bool {
        let has_begun = matches!((self.tried.before, self.tried.payment),
            (Stage::Paying { by: Some(by), .. }, Some(payment)) if *by == payment);
        if has_begun && self.is_judged && !self.is_open {
            // What has begun is this very transfer, which pays nothing after all.
            return false;
        }
        matches!(self.tried.before, Stage::Paying { claim, known, .. }
            if self.is_open || claim.is_some() || *known >= Known::Begun)
    }

    /// Whether what its purchase says is said of all that the task follows.
    fn is_of_all(&self) -> bool {
        match self.tried.before {
            Stage::Paying { by: Some(by), .. } => self.tried.payment == Some(*by),
            Stage::Paying { claim, .. } => claim.is_none() || *claim == self.tried.claim,
            _ => true,
        }
    }

    /// Whether this payment, or this claim, has led the task to another purchase.
    fn has_led(&self) -> bool {
        match (self.tried.before, &self.tried.payment) {
            (Stage::Paying { by, .. }, Some(payment)) => *by == Some(*payment),
            (_, Some(_)) => false,
            (_, None) => self
                .tried
                .claim
                .as_ref()
                .is_some_and(Claim::is_by_attempted),
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
        let challenge_id = self.tried.challenge_id.to_owned();
        Stage::Paying {
            challenge_id,
            claim,
            by,
            said,
            known,
        }
    }

    fn offered(&self, challenge_id: &str, said: Said, again: bool, claim: Option<&Claim>) -> Stage {
        Stage::Offered {
            challenge_id: challenge_id.to_owned(),
            said: Some(said),
            again,
            claim: claim.or(self.tried.before.claim()).cloned(),
        }
    }

    /// The end of everything but a transfer: while one is open, its proof is to be sent again.
    fn unless_open(&self, stage: Stage, claim: Option<Claim>) -> Stage {
        match self.is_open {
            true => Stage::Paying {
                challenge_id: self.tried.challenge_id.to_owned(),
                claim,
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
                let is_others = self.is_open && !self.is_of_a_transfer();
                let said = if is_others { unjudged() } else { said };
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
    if let Some(receipt) = receipt(outcome, tried.payer, checkout.config.network) {
        task.note(receipt);
    }
    if let Some(payment) = tried.payment {
        if has_begun(outcome) || is_over(outcome) {
            task.present(payment);
        }
        if is_unchecked(outcome) && matches!(payment, Presented::Shown(_)) {
            task.present(payment);
        }
        if is_judged(outcome) || (is_of_its_signature(outcome) && !tried.was_shown) {
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
                is_judged: is_judged(outcome),
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
    let has_offer = tried.before.challenge_id().is_some();
    let followed = tried.before.claim();
    let is_followed = followed.is_some() && followed != tried.claim.as_ref();
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
        Outcome::Stopped { why: Stop::Taken } if trial.has_led() => {
            trial.unless_open(failed(counts_elsewhere(), true), None)
        }
        // The money has arrived and is not back yet.
        Outcome::Stopped {
            why: Stop::RefundFailed { claim },
        } => trial.paying(claim.clone(), Some(said), Known::Arrived),
        Outcome::Stopped {
            why: Stop::Refunded { .. } | Stop::AccessEnded { .. },
        } => failed(said, true),
        // Its purchase is over, or can never begin.
        Outcome::PayAgain { quote, .. } if is_over(outcome) && trial.is_of_all() => {
            let over = match quote {
                Some(quote) => Stage::Offered {
                    challenge_id: quote.first.offer.id.to_string(),
                    said: Some(said),
                    again: false,
                    claim: None,
                },
                None => failed(said, false),
            };
            // When the transfer is judged, it says once more that it is over.
            trial.unless_open(over, tried.claim.clone())
        }
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
            _ if trial.is_open && has_offer => trial.paying(None, Some(said), Known::Again),
            // Of an earlier payment, of which the task has another claim, it says nothing.
            _ if (is_proof(why) && has_offer) || is_followed => {
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
    let is_presented = trial.tried.payment.is_some();
    match (before, outcome) {
        // Of what has begun, another purchase says nothing.
        (Stage::Paying { known, .. }, _) if *known >= Known::Begun && !is_silent => before.clone(),
        (_, Outcome::Pending { claim, .. })
            if is_presented && !trial.is_noted() && !trial.is_beside() =>
        {
            // It does not fit the offer of today, so its purchase was asked without beginning.
            trial.offered(trial.tried.challenge_id, said, true, claim.as_ref())
        }
        _ if is_presented => match is_silent {
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
    matches!(outcome, Outcome::Stopped { why } if why.is_no_payment())
}

/// Whether it says only that another wallet has signed.
const fn is_of_its_signature(outcome: &Outcome<'_>) -> bool {
    matches!(outcome, Outcome::Stopped { why } if why.is_of_another_wallet())
}

/// Whether a transfer could not be looked at, or not yet.
const fn is_unchecked(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Stopped {
            why: Stop::ProofUnchecked | Stop::Unavailable
        } | Outcome::Pending {
            phase: Phase::Unheard | Phase::Unconfirmed | Phase::AuthorizationOpen { .. },
            ..
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

/// The end of this offer, if it is ours.
pub(super) fn offer_end<D>(checkout: &Checkout<'_, D>, challenge_id: &str) -> Option<UnixSeconds> {
    let offer = checkout.config.offers.keys.open(challenge_id);
    offer.map(|offer| offer.terms.expires_at)
}
