//! A payment on a task: what is kept before it, and what comes of it.

use super::desk::{Desk, MAX_ROUNDS, Stale};
use super::fault::Fault;
use super::hear::failed;
use super::ids::TaskId;
use super::message::Message;
use super::outcome::{Tried, failure, has_begun, is_over, offer_end, said, take, unanswered};
use super::task::{Known, Said, Stage, Task};
use super::tasks::Conversations;
use crate::checkout::{
    Claim, Deployment, Order, Outcome, Payment, Phase, Quote, Stop, TransferProof,
};
use crate::error::{Code, Error};
use crate::offer::Offer;
use crate::pauses::Patience;
use crate::types::CallFault;
use crate::x402::PaymentPayload;

impl<D: Deployment, C: Conversations> Desk<'_, D, C> {
    /// A payment. What is needed to ask for its outcome is kept before anybody is asked to settle it.
    pub(super) async fn pay(
        &self,
        mut task: Task,
        message: &Message,
        payload: &PaymentPayload,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Result<Task, Stale>, Fault> {
        let payer = payload.authorization.from;
        let of_task = task.stage.challenge_id().map(str::to_owned);
        let challenge_id = of_task.or_else(|| payload.challenge_id().map(str::to_owned));
        let sealed = challenge_id.and_then(|id| self.checkout.config.offers.keys.open(&id));
        // Of an id that follows from a payment, nobody who has seen that may ask.
        let Some(offer) = sealed.filter(|offer| !offer.terms.request_id.is_derived()) else {
            if task.is_paying() || task.stage.claim().is_some() {
                // The secret that sealed the task's offer may be gone; its payment is not.
                return Ok(self.looked(task, patience).await?.ok_or(Stale));
            }
            let network = self.checkout.config.network;
            task.note(failure("challenge_not_found", None, Some(payer), network));
            task.let_pass();
            task.hear(message.kept.clone());
            task.go_on(failed(not_offered()), None, self.now);
            *counts = true;
            return self.keep(task).await;
        };
        let is_again = task.payments.contains(&payload.authorization.nonce);
        if let Stage::Paying {
            claim: None, known, ..
        } = &task.stage
            && *known >= Known::Begun
            && !is_again
        {
            // What has begun can be asked about only by what was sent before. Another payment would buy once more.
            return Ok(Ok(task));
        }
        let own = self.own_offer(&task, &offer, payload);
        let is_of_another = |claim: &Claim| {
            let paid = &own.as_ref().unwrap_or(&offer).terms.request_id;
            claim.payer != payer || (!is_again && claim.request_id != *paid)
        };
        if task.stage.claim().is_some_and(is_of_another) {
            // One payment at a time: the claim of the first would be lost, and it may have bought what this one would buy.
            let before = task.stage.clone();
            let Some((current, is_heard)) = self.heard_of(task, patience).await? else {
                return Ok(Err(Stale));
            };
            if current.is_paying() || current.stage.is_end() {
                return Ok(Ok(current));
            }
            if current.stage != before {
                return Ok(Err(Stale));
            }
            task = current;
            if let (false, Stage::Offered { challenge_id, .. }) = (is_heard, &before) {
                let stage = Stage::Offered {
                    challenge_id: challenge_id.clone(),
                    said: Some(unanswered()),
                    again: true,
                    claim: before.claim().cloned(),
                };
                task.go_on(stage, Some(offer.terms.expires_at), self.now);
                return self.keep(task).await;
            }
        }
        if let Some(own) = own {
            // Nobody is invited to pay once more without that one's purchase being asked.
            let order = Order {
                request_id: Some(own.terms.request_id.clone()),
                chosen: own.terms.chosen,
                patience,
                ..Order::default()
            };
            match self.checkout.recall(&order, &payload.into()).await {
                None | Some(Outcome::PayAgain { .. }) => {}
                Some(outcome) => {
                    *counts |= brings_nothing(&outcome);
                    let task = self.recalled(task, message, payload, &own, &outcome);
                    return self.keep(task).await;
                }
            }
        }
        let before = task.stage.clone();
        let payment = Payment {
            challenge_id: Some(offer.id.as_str()),
            ..Payment::from(payload)
        };
        // What may be paid instead is for the same purchase, as long as that has not begun.
        let order = Order {
            resource: Some(offer.terms.resource.clone()),
            request_id: Some(offer.terms.request_id.clone()),
            chosen: offer.terms.chosen,
            patience,
            ..Order::default()
        };
        task.let_pass();
        task.hear(message.kept.clone());
        let until = Some(offer.terms.expires_at);
        let last = task.payments.last().copied();
        let mut claimed = None;
        let mut is_stale = false;
        let outcome = self
            .checkout
            .pay_noting(&order, &payment, async |claim: &Claim| {
                claimed = Some(claim.clone());
                let is_noted = match &before {
                    Stage::Paying { claim, known, .. } => {
                        *known >= Known::Begun || (*claim == claimed && *known == Known::Nothing)
                    }
                    _ => false,
                };
                if is_again && is_noted {
                    is_stale = !self.is_unchanged(&task).await?;
                    return match is_stale {
                        true => Err(CallFault("the task has changed".to_owned())),
                        false => Ok(()),
                    };
                }
                let (claim, known) = match &before {
                    // Its purchase may be an earlier one, which the payment was led to.
                    Stage::Paying { claim, known, .. } if *known >= Known::Begun => {
                        (claim.clone().or_else(|| claimed.clone()), *known)
                    }
                    _ => (claimed.clone(), Known::Nothing),
                };
                let stage = Stage::Paying {
                    challenge_id: offer.id.to_string(),
                    claim,
                    said: None,
                    known,
                };
                task.present(payload.authorization.nonce);
                task.go_on(stage, until, self.now);
                is_stale = !self.write(&mut task).await?;
                match is_stale {
                    true => Err(CallFault("the task has changed".to_owned())),
                    false => Ok(()),
                }
            })
            .await;
        if is_stale {
            return Ok(Err(Stale));
        }
        let tried = Tried {
            challenge_id: offer.id.as_str(),
            payer: Some(payer),
            claim: claimed,
            before: &before,
            is_presented: true,
            is_again: is_again && last == Some(payload.authorization.nonce),
        };
        if has_begun(&outcome) {
            task.present(payload.authorization.nonce);
        }
        let task = self.conclude(task, message, &outcome, &tried, counts);
        task.await.map(Ok)
    }

    /// The task of a payment that was made for another offer, after what that one's purchase has said. Where nothing has begun
    /// for it, the task's own offer stays.
    fn recalled(
        &self,
        mut task: Task,
        message: &Message,
        payload: &PaymentPayload,
        own: &Offer,
        outcome: &Outcome<'_>,
    ) -> Task {
        task.let_pass();
        task.hear(message.kept.clone());
        let before = task.stage.clone();
        if has_begun(outcome) {
            task.present(payload.authorization.nonce);
            let tried = Tried {
                challenge_id: own.id.as_str(),
                payer: Some(payload.authorization.from),
                claim: None,
                before: &before,
                is_presented: true,
                is_again: false,
            };
            take(&mut task, outcome, &tried, self.checkout, self.now);
        } else if let (Some(challenge_id), Some(said)) =
            (before.challenge_id(), said(outcome, self.checkout))
        {
            let stage = Stage::Offered {
                challenge_id: challenge_id.to_owned(),
                said: Some(said),
                again: true,
                claim: before.claim().cloned(),
            };
            task.go_on(stage, offer_end(self.checkout, challenge_id), self.now);
        }
        task
    }

    /// The offer that a payment itself names, if that is for another purchase than the task's.
    fn own_offer(&self, task: &Task, offer: &Offer, payload: &PaymentPayload) -> Option<Offer> {
        let own = self
            .checkout
            .config
            .offers
            .keys
            .open(payload.challenge_id()?)?;
        let is_another = own.terms.request_id != offer.terms.request_id;
        (is_another && !task.is_paying() && !own.terms.request_id.is_derived()).then_some(own)
    }

    /// A transfer that was made already. That it was shown is kept before the purchase is asked: after a crash nobody is then
    /// invited to pay once more.
    pub(super) async fn redeem(
        &self,
        mut task: Task,
        message: &Message,
        proof: &TransferProof,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Result<Task, Stale>, Fault> {
        let before = task.stage.clone();
        let order = Order {
            patience,
            ..Order::default()
        };
        task.let_pass();
        task.hear(message.kept.clone());
        let of_task = before.challenge_id();
        let tried = Tried {
            challenge_id: of_task.unwrap_or(&proof.challenge_id),
            payer: None,
            claim: None,
            before: &before,
            is_presented: true,
            is_again: task.payments.contains(&proof.transaction),
        };
        if of_task.is_some_and(|id| id != proof.challenge_id) {
            let why = Stop::Contradicts(vec!["challengeId"]);
            let outcome = Outcome::Stopped { why };
            let task = self.conclude(task, message, &outcome, &tried, counts);
            return task.await.map(Ok);
        }
        let mut is_stale = false;
        let outcome = self
            .checkout
            .redeem_noting(&order, proof, async || {
                let stage = match &before {
                    // What is known of a payment is more than that a transfer was shown.
                    paying @ Stage::Paying { .. } => paying.clone(),
                    _ => Stage::Paying {
                        challenge_id: proof.challenge_id.clone(),
                        claim: None,
                        said: None,
                        known: Known::Again,
                    },
                };
                task.present(proof.transaction);
                let until = offer_end(self.checkout, &proof.challenge_id);
                task.go_on(stage, until, self.now);
                is_stale = !self.write(&mut task).await?;
                match is_stale {
                    true => Err(CallFault("the task has changed".to_owned())),
                    false => Ok(()),
                }
            })
            .await;
        if is_stale {
            return Ok(Err(Stale));
        }
        let task = self.conclude(task, message, &outcome, &tried, counts);
        task.await.map(Ok)
    }

    /// Keeps what came of a payment. It is not presented again when somebody else has changed the task meanwhile: the outcome
    /// is taken into what that has left.
    pub(super) async fn conclude(
        &self,
        mut task: Task,
        message: &Message,
        outcome: &Outcome<'_>,
        tried: &Tried<'_>,
        counts: &mut bool,
    ) -> Result<Task, Fault> {
        *counts |= brings_nothing(outcome);
        take(&mut task, outcome, tried, self.checkout, self.now);
        for _ in 0..MAX_ROUNDS {
            let mut kept = task.clone();
            if self.write(&mut kept).await.map_err(|_| Fault::internal())? {
                return Ok(kept);
            }
            let Some(changed) = self.find(task.id).await? else {
                // It has made room for others. What became of the payment is kept all the same.
                if self.restore(&mut task).await? {
                    return Ok(task);
                }
                continue;
            };
            if has_begun(outcome) && (changed.denies() || is_of_another(&changed, outcome, tried)) {
                // Who ended it, or paid another offer on it, knew nothing of this payment. What became of that has a task of its own.
                let id = TaskId::new(changed.id.context(), self.random[0].map(|byte| !byte));
                let payments = core::mem::take(&mut task.payments);
                task = Task::new(id, changed.context_id, self.now);
                task.payments = payments;
            } else if changed.stage.is_end() {
                return Ok(changed);
            } else {
                task = changed;
            }
            let before = task.stage.clone();
            let tried = Tried {
                challenge_id: tried.challenge_id,
                payer: tried.payer,
                claim: tried.claim.clone(),
                before: &before,
                is_presented: true,
                is_again: tried.is_again,
            };
            task.hear(message.kept.clone());
            let is_news = matches!(outcome, Outcome::Granted { .. } | Outcome::Pending { .. });
            if is_news || task.is_paying() {
                take(&mut task, outcome, &tried, self.checkout, self.now);
            }
        }
        Err(Fault::internal())
    }

    /// Asks what became of a payment that may be under way. `None`: somebody else has changed the task.
    pub(super) async fn looked(
        &self,
        task: Task,
        patience: Patience,
    ) -> Result<Option<Task>, Fault> {
        let looked = self.heard_of(task, patience).await?;
        Ok(looked.map(|(task, _)| task))
    }

    /// The same, and whether its purchase has answered.
    async fn heard_of(
        &self,
        task: Task,
        patience: Patience,
    ) -> Result<Option<(Task, bool)>, Fault> {
        let before = task.stage.clone();
        let (Some(challenge_id), Some(claim)) = (before.challenge_id(), before.claim()) else {
            return Ok(Some((task, true)));
        };
        let mut outcome = self.checkout.status(claim, patience).await;
        let is_heard = !matches!(
            outcome,
            Outcome::Pending {
                phase: Phase::Unheard,
                ..
            }
        );
        if let Outcome::PayAgain { quote, .. } = &mut outcome {
            // Its purchase is over, and nothing was charged.
            *quote = self.instead_of(challenge_id);
        }
        let tried = Tried {
            challenge_id,
            payer: Some(claim.payer),
            claim: Some(claim.clone()),
            before: &before,
            is_presented: false,
            is_again: false,
        };
        let mut next = task.clone();
        if is_over(&outcome)
            && let Stage::Offered {
                claim: kept,
                said,
                again,
                ..
            } = &mut next.stage
            && !self.is_claim_to(claim, challenge_id)
        {
            // It was the purchase of an earlier offer. The one that is shown now can be paid.
            *kept = None;
            if *said == Some(unanswered()) {
                (*said, *again) = (None, false);
            }
        } else {
            next.let_pass();
            take(&mut next, &outcome, &tried, self.checkout, self.now);
        }
        if next.stage == before {
            return Ok(Some((task, is_heard)));
        }
        let kept = self.keep(next).await?.ok();
        Ok(kept.map(|task| (task, is_heard)))
    }

    /// Whether a claim is to the purchase of this offer.
    fn is_claim_to(&self, claim: &Claim, challenge_id: &str) -> bool {
        let offer = self.checkout.config.offers.keys.open(challenge_id);
        offer.is_some_and(|offer| offer.terms.request_id == claim.request_id)
    }

    /// Today's offer for what this one sells, for another purchase.
    pub(super) fn instead_of(&self, challenge_id: &str) -> Option<Quote<'_>> {
        let offer = self.checkout.config.offers.keys.open(challenge_id)?;
        let order = Order {
            target: Some(offer.terms.target),
            resource: Some(offer.terms.resource),
            ..Order::default()
        };
        self.checkout.quote(&order).ok()
    }
}

/// Whether a task that somebody else has changed follows another purchase by now than that of this outcome, or was delivered by
/// another one.
fn is_of_another(changed: &Task, outcome: &Outcome<'_>, tried: &Tried<'_>) -> bool {
    match (&changed.stage, outcome) {
        (Stage::Paying { challenge_id, .. }, _) => challenge_id != tried.challenge_id,
        (Stage::Delivered { goods: kept, .. }, Outcome::Granted { goods, .. }) => kept != goods,
        (Stage::Delivered { goods, .. }, Outcome::Pending { request_id, .. }) => {
            goods.claims().sub != request_id.as_str()
        }
        // What was delivered is not returned, and what was returned is not delivered.
        (Stage::Delivered { .. }, Outcome::Stopped { why }) => {
            matches!(why, Stop::Refunded { .. } | Stop::RefundFailed { .. })
        }
        (Stage::Failed { was_paid: true, .. }, Outcome::Granted { .. }) => true,
        _ => false,
    }
}

/// Whether who presents a payment with this outcome has brought no money by that.
const fn brings_nothing(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::PayAgain { .. }
            | Outcome::Stopped { .. }
            | Outcome::Pending {
                phase: Phase::Unconfirmed | Phase::AuthorizationOpen { .. },
                ..
            }
    )
}

/// What is said of a payment for which there is no offer.
fn not_offered() -> Said {
    let error = Error::new(
        Code::ChallengeNotFound,
        "It is not said which offer is paid, or that is none of ours: send the payment on the task of the offer, or with \
         accepted.extra.challengeId. Nothing was done with it.",
    );
    Said {
        error: error.body(),
        payment: Some("SETTLEMENT_FAILED".to_owned()),
    }
}
