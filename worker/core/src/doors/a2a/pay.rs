//! A payment on a task: what is kept before it, and what comes of it.

use super::desk::{Desk, MAX_ROUNDS, Stale};
use super::fault::Fault;
use super::hear::failed;
use super::message::Message;
use super::outcome::{Tried, failure, offer_end, take};
use super::task::{Known, Said, Stage, Task};
use super::tasks::Conversations;
use crate::checkout::{
    Claim, Deployment, Order, Outcome, Payment, Phase, Quote, Stop, TransferProof,
};
use crate::error::{Code, Error};
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
        if task.stage.claim().is_some_and(|claim| claim.payer != payer) {
            // One wallet at a time: the claim of the first would be lost.
            let Some(current) = self.looked(task, patience).await? else {
                return Ok(Err(Stale));
            };
            if current.is_paying() || current.stage.is_end() {
                return Ok(Ok(current));
            }
            task = current;
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
        let mut claimed = None;
        let mut is_stale = false;
        let outcome = self
            .checkout
            .pay_noting(&order, &payment, async |claim: &Claim| {
                claimed = Some(claim.clone());
                let is_known = task.payments.contains(&payload.authorization.nonce);
                if let Stage::Paying { claim, known, .. } = &before
                    && *claim == claimed
                    && *known != Known::Again
                    && is_known
                {
                    return Ok(());
                }
                let known = match &before {
                    Stage::Paying { known, .. } if *known >= Known::Begun => *known,
                    _ => Known::Nothing,
                };
                let stage = Stage::Paying {
                    challenge_id: offer.id.to_string(),
                    claim: claimed.clone(),
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
        };
        let task = self.conclude(task, message, &outcome, &tried, counts);
        task.await.map(Ok)
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
        *counts |= matches!(
            outcome,
            Outcome::PayAgain { .. }
                | Outcome::Stopped { .. }
                | Outcome::Pending {
                    phase: Phase::Unconfirmed | Phase::AuthorizationOpen { .. },
                    ..
                }
        );
        take(&mut task, outcome, tried, self.checkout, self.now);
        for _ in 0..MAX_ROUNDS {
            if let Ok(task) = self.keep(task.clone()).await? {
                return Ok(task);
            }
            let Some(changed) = self.find(task.id).await? else {
                // It has made room for others. What became of the payment is kept all the same.
                task.version = 0;
                continue;
            };
            task = changed;
            if task.stage.is_end() {
                return Ok(task);
            }
            let before = task.stage.clone();
            let tried = Tried {
                challenge_id: tried.challenge_id,
                payer: tried.payer,
                claim: tried.claim.clone(),
                before: &before,
                is_presented: true,
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
        let before = task.stage.clone();
        let (Some(challenge_id), Some(claim)) = (before.challenge_id(), before.claim()) else {
            return Ok(Some(task));
        };
        let mut outcome = self.checkout.status(claim, patience).await;
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
        };
        let mut next = task.clone();
        next.let_pass();
        take(&mut next, &outcome, &tried, self.checkout, self.now);
        if next.stage == before {
            return Ok(Some(task));
        }
        Ok(self.keep(next).await?.ok())
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

/// What is said of a payment for which there is no offer.
fn not_offered() -> Said {
    let error = Error::new(
        Code::ChallengeNotFound,
        "It is not said which offer is paid, or that is none of ours: send the payment on the task of the offer, or with \
         accepted.extra.challengeId. Nothing was charged.",
    );
    Said {
        error: error.body(),
        payment: Some("SETTLEMENT_FAILED".to_owned()),
    }
}
