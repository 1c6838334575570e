//! How an outcome changes a task.
//!
//! The rule: a task leaves [`Stage::Paying`] only by an answer of its own purchase. An answer about one payment alone,
//! or no answer, leaves the task in that stage: an identical payment may be under way in another request.

use super::task::{Known, Presented, Said, Stage, Task};
use super::words::{and_unjudged, beside_a_payment, receipt, said, unanswered, unjudged};

use crate::checkout::{Checkout, Claim, Outcome, Phase, Retry, Stop, Unpaid};
use crate::types::{Address, RequestId, UnixMillis, UnixSeconds};

/// How long after a payment was presented its purchase may begin: the call to the purchase may take this long.
pub(super) const BEGINS_SECONDS: u64 = 120;

/// The circumstances of an outcome: the offer, the payment, its payer, and the task's stage before.
pub(super) struct Tried<'t> {
    /// The task's offer.
    pub(super) challenge_id: &'t str,
    /// The payment that was presented now; `None` if the purchase was only asked.
    pub(super) payment: Option<Presented>,
    /// The wallet that is said to have signed.
    pub(super) payer: Option<Address>,
    /// The right to ask the purchase, if the payer was proven. For a transfer, no claim is kept before the purchase has
    /// begun.
    pub(super) claim: Option<Claim>,
    /// The stage of the task before the outcome.
    pub(super) before: &'t Stage,
}

/// The circumstances of an outcome, and what else the task waits for.
struct Trial<'t> {
    tried: &'t Tried<'t>,
    /// The purchase of the task's offer, if the offer can be opened.
    own: Option<RequestId>,
    /// Whether a transfer was shown that is not judged for good. If so, the client is not invited to pay once more.
    is_open: bool,
    /// Whether the task takes no other payment.
    is_full: bool,
    /// Whether the transfer that was shown now does not pay, for good.
    is_judged: bool,
    /// Whether the payment's purchase may still begin.
    may_begin: bool,
    /// Whether nothing but this payment is under way, and the outcome is its answer.
    is_last_word: bool,
}

impl Trial<'_> {
    const fn is_of_a_transfer(&self) -> bool {
        matches!(self.tried.payment, Some(Presented::Shown(_)))
    }

    /// Whether the payment was noted in the task before its purchase was asked, after the payer was proven.
    const fn is_noted(&self) -> bool {
        self.tried.claim.is_some() || self.is_of_a_transfer()
    }

    /// Whether something else may be under way, or has begun.
    fn is_beside(&self) -> bool {
        let has_begun = matches!((self.tried.before, self.tried.payment),
            (Stage::Paying { by: Some(by), .. }, Some(payment)) if *by == payment);
        if has_begun && self.is_judged && !self.is_open {
            // This very transfer is what has begun, and it pays nothing after all.
            return false;
        }
        matches!(self.tried.before, Stage::Paying { claim, known, .. }
            if self.is_open || *known >= Known::Begun || (claim.is_some() && !self.is_last_word))
    }

    /// Whether the purchase's answer is about everything that the task follows.
    fn is_of_all(&self) -> bool {
        match self.tried.before {
            Stage::Paying { by: Some(by), .. } => self.tried.payment == Some(*by),
            Stage::Paying { claim, .. } => claim.is_none() || *claim == self.tried.claim,
            _ => true,
        }
    }

    /// Whether this claim is for the purchase of the task's offer, as far as we know.
    fn is_own(&self, claim: &Claim) -> bool {
        let own = self.own.as_ref();
        own.is_none_or(|own| *own == claim.request_id)
    }

    /// Whether the outcome may be that of another purchase, to which a payment was led. Such an outcome says nothing
    /// about a transfer, which pays the task's offer and no other.
    fn is_led(&self) -> bool {
        match self.tried.before {
            Stage::Paying {
                by: Some(Presented::Signed(_)),
                ..
            } => true,
            Stage::Paying {
                claim: Some(claim),
                known,
                ..
            } if *known >= Known::Begun => !self.is_own(claim),
            _ => match (&self.tried.payment, &self.tried.claim) {
                (Some(payment), _) => matches!(payment, Presented::Signed(_)),
                (None, claim) => claim.as_ref().is_some_and(|claim| !self.is_own(claim)),
            },
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

    /// The stage of a task whose payment may be under way. What was known before is not forgotten.
    fn paying(&self, claim: Option<Claim>, said: Option<Said>, known: Known) -> Stage {
        let earlier = self.tried.before.claim().cloned();
        let (by, begun) = match self.tried.before {
            Stage::Paying { by, known, .. } if *known >= Known::Begun => (*by, *known),
            _ => (None, Known::Nothing),
        };
        let known = known.max(begun);
        let (claim, by) = match claim {
            // A claim that others may have, too, does not replace one that only the payer had.
            Some(claim) if begun < Known::Begun || !claim.is_by_attempted() => (Some(claim), None),
            _ if begun >= Known::Begun => (earlier, by),
            // A purchase has begun that only this payment can ask about.
            _ if known >= Known::Begun => (None, self.tried.payment),
            _ => (self.tried.claim.clone().or(earlier), None),
        };
        let known = match (known, &claim) {
            // Only the client can ask about the payment.
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

    /// This stage, or, while a transfer is open, the stage that waits for the transfer's proof.
    fn unless_open(&self, stage: Stage, claim: Option<Claim>) -> Stage {
        match self.is_open {
            true => self.waiting(unjudged(), claim),
            false => stage,
        }
    }

    /// The stage of a task that waits for a proof.
    fn waiting(&self, said: Said, claim: Option<Claim>) -> Stage {
        Stage::Paying {
            challenge_id: self.tried.challenge_id.to_owned(),
            // While the task follows another purchase, no proof is judged.
            claim: claim.filter(|claim| self.is_own(claim)),
            by: None,
            said: Some(said),
            known: Known::Again,
        }
    }

    /// The stage after something was sent beside a payment that may be under way. If nothing is known of that payment,
    /// the client may send the same again.
    fn beside(&self, said: Said) -> Stage {
        match self.tried.before {
            Stage::Paying { known, .. } if *known <= Known::Again && self.is_noted() => {
                let is_others = self.is_open && !self.is_of_a_transfer();
                let said = if is_others { unjudged() } else { said };
                self.paying(None, Some(said), Known::Again)
            }
            before if self.is_of_a_transfer() => before.saying(beside_a_payment(said)),
            before => before.clone(),
        }
    }
}

/// Changes a task according to an outcome.
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
        let is_shown = matches!(payment, Presented::Shown(_));
        let is_pending = matches!(outcome, Outcome::Pending { .. });
        if is_shown || is_pending || has_begun(outcome) || is_over(outcome) {
            task.present(payment);
        }
        if is_judged(outcome) {
            task.forget(payment);
        }
    }
    let stage = match (outcome, said(outcome, checkout)) {
        (
            Outcome::Granted {
                goods,
                receipt: None,
                ..
            },
            _,
        ) if goods.answer().is_some() => Stage::Uncharged {
            goods: goods.clone(),
        },
        (Outcome::Granted { goods, receipt, .. }, _) => Stage::Delivered {
            goods: goods.clone(),
            receipt: receipt.clone(),
            // The task keeps no body, so the purchase is asked for it again.
            claim: goods.answer().and(tried.claim.clone()),
        },
        (_, None) => return,
        (outcome, Some(said)) => {
            let may_begin = checkout.now < task.at.to_seconds().plus(BEGINS_SECONDS);
            let is_alone = tried.payment.is_some_and(|payment| task.has_only(payment));
            let own = checkout.config.offers.keys.open(tried.challenge_id);
            let trial = Trial {
                tried,
                own: own.map(|offer| offer.terms.request_id),
                is_last_word: is_alone && is_answer(outcome, tried, may_begin),
                is_open: task.waits_for_transfer(),
                is_full: task.is_full(),
                is_judged: is_judged(outcome),
                may_begin,
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

/// The stage that follows an outcome other than the goods.
fn next(outcome: &Outcome<'_>, said: Said, trial: &Trial<'_>) -> Stage {
    let failed = |said, was_paid| Stage::Failed { said, was_paid };
    let (tried, own) = (trial.tried, trial.tried.challenge_id);
    let has_offer = tried.before.challenge_id().is_some();
    let followed = tried.before.claim();
    let is_anothers = followed.is_some() && followed != tried.claim.as_ref();
    let is_followed = is_anothers && !trial.is_last_word;
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
                Phase::Calling => Known::Begun,
                Phase::Settling if receipt.is_none() => Known::Begun,
                Phase::Settling | Phase::Delivering { .. } | Phase::Refunding { .. } => {
                    Known::Arrived
                }
            };
            trial.paying(claim.clone(), Some(said), known)
        }
        // The payment that led to the purchase is public by now, and opens nothing any more.
        Outcome::Stopped { why: Stop::Taken } if trial.has_led() => {
            trial.unless_open(failed(said, true), None)
        }
        // The money has arrived and is not back yet.
        Outcome::Stopped {
            why: Stop::RefundFailed { claim, .. },
        } => trial.paying(claim.clone(), Some(said), Known::Arrived),
        Outcome::Stopped {
            why:
                Stop::Refunded { .. }
                | Stop::AccessEnded { .. }
                | Stop::AnswerGone { .. }
                | Stop::Origin {
                    refund: Some(_), ..
                },
        } => match trial.is_open && trial.is_led() {
            true => trial.waiting(and_unjudged(said), None),
            false => failed(said, true),
        },
        // The task's purchase is over, or can never begin.
        Outcome::PayAgain { quote, .. } if is_over(outcome) && trial.is_of_all() => {
            let over = match quote {
                Some(quote) if !trial.is_full => Stage::Offered {
                    challenge_id: quote.first.offer.id.to_string(),
                    said: Some(said),
                    again: false,
                    claim: None,
                },
                // A new offer could not be paid on this task.
                _ => failed(said, false),
            };
            // When the transfer is judged, the purchase is asked again and says once more that it is over.
            trial.unless_open(over, tried.claim.clone())
        }
        _ if trial.is_beside() => trial.beside(said),
        // Only this payment has failed: its purchase can still be paid.
        Outcome::PayAgain {
            quote: Some(quote), ..
        } => {
            let next = quote.first.offer.id.as_str();
            trial.offered(next, said, trial.is_open, tried.claim.as_ref())
        }
        Outcome::Stopped { why } => match why.retry() {
            Retry::Same | Retry::SignAgain | Retry::Rename if trial.is_noted() => {
                trial.paying(None, Some(said), Known::Again)
            }
            Retry::Same | Retry::SignAgain | Retry::Rename => trial.offered(own, said, true, None),
            // The stop says nothing about an earlier payment, for which the task has another claim.
            _ if ((is_proof(why) || trial.is_open) && has_offer) || is_followed => {
                trial.offered(own, said, true, None)
            }
            Retry::Never | Retry::NewId => failed(said, false),
        },
        Outcome::PayAgain { quote: None, .. } | Outcome::Granted { .. } => failed(said, false),
    }
}

/// The stage if a purchase has not begun, or has given no answer. A payment that was presented now is to be presented
/// again. A payment that was presented before may be on its way for a while; later only the payment itself tells, as it
/// may count for another purchase.
fn unbegun(outcome: &Outcome<'_>, said: Said, trial: &Trial<'_>) -> Stage {
    let (before, is_silent) = (trial.tried.before, is_silent(outcome));
    let is_presented = trial.tried.payment.is_some();
    match (before, outcome) {
        // Something has begun, and this answer is from another purchase, so it says nothing about that.
        (Stage::Paying { known, .. }, _) if *known >= Known::Begun && !is_silent => before.clone(),
        (_, Outcome::Pending { claim, .. })
            if is_presented && !trial.is_noted() && !trial.is_beside() =>
        {
            // The payment does not fit today's offer, so its purchase was asked in a way that cannot begin it.
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

/// Whether the purchase has ended without a charge, and takes no other payment.
pub(super) const fn is_over(outcome: &Outcome<'_>) -> bool {
    matches!(outcome, Outcome::PayAgain { why, booked, .. } if *booked || !matches!(why, Unpaid::Refused(_)))
}

/// Whether a payment was refused by its purchase. If the purchase was not asked, an identical payment may begin it for
/// a while.
fn is_answer(outcome: &Outcome<'_>, tried: &Tried<'_>, may_begin: bool) -> bool {
    match outcome {
        Outcome::PayAgain { .. } => tried.claim.is_some(),
        Outcome::Stopped { why } => match why.retry() {
            Retry::NewId => true,
            Retry::Never => !may_begin,
            Retry::Same | Retry::SignAgain | Retry::Rename => false,
        },
        Outcome::Granted { .. } | Outcome::Pending { .. } => false,
    }
}

/// Whether the purchase has begun: then the outcome is about money that may have moved.
pub(super) const fn has_begun(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Granted { .. }
            | Outcome::Pending {
                phase: Phase::Calling
                    | Phase::Settling
                    | Phase::Delivering { .. }
                    | Phase::Refunding { .. },
                ..
            }
            | Outcome::Stopped {
                why: Stop::Refunded { .. }
                    | Stop::RefundFailed { .. }
                    | Stop::AccessEnded { .. }
                    | Stop::AnswerGone { .. }
                    | Stop::Origin {
                        refund: Some(_),
                        ..
                    },
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

/// Whether the outcome says for good that a transfer does not pay the offer.
const fn is_judged(outcome: &Outcome<'_>) -> bool {
    matches!(outcome, Outcome::Stopped { why } if why.is_no_payment())
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
            | Stop::NotByTransfer
            | Stop::NotPaid { .. }
    )
}

/// The end of this offer, if we have made it.
pub(super) fn offer_end<D>(checkout: &Checkout<'_, D>, challenge_id: &str) -> Option<UnixSeconds> {
    let offer = checkout.config.offers.keys.open(challenge_id);
    offer.map(|offer| offer.terms.expires_at)
}
