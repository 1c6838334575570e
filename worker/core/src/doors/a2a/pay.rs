//! A payment on a task: what is kept before it, and what comes of it.

use core::ops::ControlFlow;

use super::desk::{Desk, MAX_ROUNDS, Stale};
use super::fault::{ELSEWHERE, FULL, Fault, UNANSWERED};
use super::ids::TaskId;
use super::message::Message;
use super::outcome::{Tried, has_begun, is_over, is_silent, offer_end, take};
use super::task::{Known, Presented, Said, Stage, Task};
use super::tasks::Conversations;
use super::words::failure;
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
        let payment = Presented::Signed(payload.authorization.nonce);
        let of_task = task.stage.challenge_id().or(payload.challenge_id());
        let offer = of_task.and_then(|id| self.checkout.config.offers.keys.open(id));
        // A derived request id follows from the payment. Anyone who has seen the payment can derive the id, so the id gives no
        // right to ask.
        let Some(offer) = offer.filter(|offer| !offer.terms.request_id.is_derived()) else {
            if task.is_paying() || task.stage.claim().is_some() {
                // The secret that sealed the task's offer may be gone; its payment is not.
                return Ok(self.looked(task, patience).await?.ok_or(Stale));
            }
            let network = self.checkout.config.network;
            task.note(failure("challenge_not_found", None, Some(payer), network));
            task.let_pass();
            task.hear(message.kept.clone());
            task.go_on(Stage::unmet(not_offered()), None, self.now);
            *counts = true;
            return self.keep(task).await;
        };
        let named = payload.challenge_id();
        if named.and_then(|id| self.is_for_the_same(id, &offer)) == Some(false) {
            *counts = true;
            return Err(Fault::not_here(&task.id, ELSEWHERE));
        }
        let request_id = &offer.terms.request_id;
        let may_begin = |claim: &Claim| claim.payer == payer && claim.request_id == *request_id;
        task = match self.may_present(task, payment, may_begin, patience).await? {
            ControlFlow::Continue(task) => task,
            ControlFlow::Break(answer) => return Ok(answer),
        };
        let before = task.stage.clone();
        // What may be paid instead is for the same purchase, as long as that has not begun.
        let order = Order {
            resource: Some(offer.terms.resource.clone()),
            request_id: Some(request_id.clone()),
            chosen: offer.terms.chosen,
            patience,
            ..Order::default()
        };
        let presented = Payment {
            challenge_id: Some(offer.id.as_str()),
            ..Payment::from(payload)
        };
        task.let_pass();
        task.hear(message.kept.clone());
        let mut claimed = None;
        let mut is_stale = false;
        let outcome = self
            .checkout
            .pay_noting(&order, &presented, async |claim: &Claim| {
                claimed = Some(claim.clone());
                let stage = match &before {
                    // What has begun may be an earlier purchase, which the payment was led to.
                    paying @ Stage::Paying { known, .. } if *known >= Known::Begun => {
                        paying.clone()
                    }
                    _ => Stage::Paying {
                        challenge_id: offer.id.to_string(),
                        claim: claimed.clone(),
                        by: None,
                        said: None,
                        known: Known::Nothing,
                    },
                };
                // Whoever has asked before, and keeps what was said then, is too late by that.
                task.present(payment);
                task.go_on(stage, Some(offer.terms.expires_at), self.now);
                is_stale = !self.write(&mut task).await?;
                noted(is_stale)
            })
            .await;
        if is_stale {
            return Ok(Err(Stale));
        }
        let tried = Tried {
            challenge_id: offer.id.as_str(),
            payment: Some(payment),
            payer: Some(payer),
            claim: claimed,
            before: &before,
            was_shown: false,
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
        let payment = Presented::Shown(proof.transaction);
        let own = task.stage.challenge_id();
        let own = own.unwrap_or(&proof.challenge_id).to_owned();
        let offer = self.checkout.config.offers.keys.open(&own);
        let is_another = |offer| self.is_for_the_same(&proof.challenge_id, offer) == Some(false);
        if proof.challenge_id != own && offer.as_ref().is_none_or(is_another) {
            *counts = true;
            return Err(Fault::not_here(&task.id, ELSEWHERE));
        }
        if task.is_full() && !task.payments.contains(&payment) {
            *counts = true;
            return Err(Fault::not_here(&task.id, FULL));
        }
        let may_begin =
            |claim: &Claim| offer.is_none_or(|offer| claim.request_id == offer.terms.request_id);
        task = match self.may_present(task, payment, may_begin, patience).await? {
            ControlFlow::Continue(task) => task,
            // It cannot be judged beside that. But nobody is invited to pay once more before it is.
            ControlFlow::Break(Ok(mut task))
                if task.is_paying() && !task.payments.contains(&payment) =>
            {
                let stage = task.stage.clone();
                task.present(payment);
                task.hear(message.kept.clone());
                let until = stage
                    .challenge_id()
                    .and_then(|id| offer_end(self.checkout, id));
                task.go_on(stage, until, self.now);
                return self.keep(task).await;
            }
            ControlFlow::Break(answer) => return Ok(answer),
        };
        let before = task.stage.clone();
        let was_shown = task.payments.contains(&payment);
        let order = Order {
            patience,
            ..Order::default()
        };
        task.let_pass();
        task.hear(message.kept.clone());
        let mut is_stale = false;
        let outcome = self
            .checkout
            .redeem_noting(&order, proof, async || {
                let stage = match &before {
                    // What is known of a payment is more than that a transfer was shown.
                    paying @ Stage::Paying { .. } => paying.clone(),
                    _ => Stage::Paying {
                        challenge_id: own.clone(),
                        claim: before.claim().cloned(),
                        by: None,
                        said: None,
                        known: Known::Again,
                    },
                };
                task.present(payment);
                task.go_on(stage, offer_end(self.checkout, &own), self.now);
                is_stale = !self.write(&mut task).await?;
                noted(is_stale)
            })
            .await;
        if is_stale {
            return Ok(Err(Stale));
        }
        let tried = Tried {
            challenge_id: &own,
            payment: Some(payment),
            payer: None,
            claim: None,
            before: &before,
            was_shown,
        };
        let task = self.conclude(task, message, &outcome, &tried, counts);
        task.await.map(Ok)
    }

    /// Before something is presented on a task: one purchase at a time. What has begun is not paid once more by a payment that is
    /// not its own. A claim of another wallet, or to a purchase that a payment was led to, is asked first: that one may have bought what
    /// this payment would buy.
    async fn may_present(
        &self,
        task: Task,
        payment: Presented,
        may_begin: impl FnOnce(&Claim) -> bool,
        patience: Patience,
    ) -> Result<ControlFlow<Result<Task, Stale>, Task>, Fault> {
        if task.stage.is_begun_by_another(payment) {
            return Ok(ControlFlow::Break(Ok(task)));
        }
        if task.stage.claim().is_none_or(may_begin) {
            return Ok(ControlFlow::Continue(task));
        }
        let version = task.version;
        let Some((task, is_heard)) = self.heard_of(task, patience).await? else {
            return Ok(ControlFlow::Break(Err(Stale)));
        };
        if task.is_paying() || task.stage.is_end() {
            return Ok(ControlFlow::Break(Ok(task)));
        }
        if task.version != version {
            return Ok(ControlFlow::Break(Err(Stale)));
        }
        match is_heard {
            true => Ok(ControlFlow::Continue(task)),
            false => Err(Fault::not_here(&task.id, UNANSWERED)),
        }
    }

    /// Keeps what came of a payment. It is not presented again when the task has been changed meanwhile: the outcome is taken into
    /// what was left, as far as that is about the same purchase.
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
            let is_its = self.is_about(&changed.stage, outcome, tried);
            if has_begun(outcome) && !is_its {
                // Who ended it, or went on to another offer, knew nothing of this. It has a task of its own.
                let id = TaskId::new(changed.id.context(), self.random[0].map(|byte| !byte));
                task = Task::new(id, changed.context_id, self.now);
            } else if !is_its || changed.stage.is_end() {
                return Ok(changed);
            } else {
                task = changed;
            }
            // Its purchase may have begun once more meanwhile.
            if is_over(outcome) && task.is_paying() {
                return Ok(task);
            }
            let before = task.stage.clone();
            let tried = Tried {
                claim: tried.claim.clone(),
                before: &before,
                ..*tried
            };
            task.hear(message.kept.clone());
            let is_news = has_begun(outcome) || matches!(outcome, Outcome::Pending { .. });
            if is_news || task.is_paying() {
                take(&mut task, outcome, &tried, self.checkout, self.now);
            }
        }
        Err(Fault::internal())
    }

    /// Whether a task that was changed meanwhile is about the purchase of this outcome.
    fn is_about(&self, stage: &Stage, outcome: &Outcome<'_>, tried: &Tried<'_>) -> bool {
        match stage {
            Stage::Offered { challenge_id, .. } | Stage::Paying { challenge_id, .. } => {
                let own = self.checkout.config.offers.keys.open(tried.challenge_id);
                challenge_id == tried.challenge_id
                    || own.is_some_and(|own| self.is_for_the_same(challenge_id, &own) == Some(true))
            }
            Stage::Delivered { goods, .. } => match outcome {
                Outcome::Granted { goods: its, .. } => its.claims().sub == goods.claims().sub,
                Outcome::Pending { request_id, .. }
                | Outcome::Stopped {
                    why: Stop::AccessEnded { request_id, .. },
                } => request_id.as_str() == goods.claims().sub,
                // What was delivered is not returned.
                _ => false,
            },
            // It does not say of which purchase the money went back. To be told twice is better than never.
            Stage::Failed { was_paid: true, .. } => {
                let is_returned = |why: &Stop| matches!(why, Stop::Refunded { .. });
                matches!(outcome, Outcome::Stopped { why } if is_returned(why))
            }
            _ => false,
        }
    }

    /// Whether a challenge id is that of an offer for the same purchase. `None`: it is none of ours.
    fn is_for_the_same(&self, challenge_id: &str, offer: &Offer) -> Option<bool> {
        let its = self.checkout.config.offers.keys.open(challenge_id)?.terms;
        let own = &offer.terms;
        let is_same_target = its.target == own.target && its.resource == own.resource;
        Some(is_same_target && its.request_id == own.request_id)
    }

    /// Asks what became of a payment that may be under way. `None`: the task has been changed meanwhile.
    pub(super) async fn looked(
        &self,
        task: Task,
        patience: Patience,
    ) -> Result<Option<Task>, Fault> {
        let looked = self.heard_of(task, patience).await?;
        Ok(looked.map(|(task, _)| task))
    }

    /// The same, and whether its purchase has answered. Until it has, nothing else may be done with the task.
    pub(super) async fn heard_of(
        &self,
        task: Task,
        patience: Patience,
    ) -> Result<Option<(Task, bool)>, Fault> {
        let before = task.stage.clone();
        let (Some(challenge_id), Some(claim)) = (before.challenge_id(), before.claim()) else {
            return Ok(Some((task, true)));
        };
        let mut outcome = self.checkout.status(claim, patience).await;
        if let Outcome::PayAgain { quote, .. } = &mut outcome {
            // Its purchase is over, and nothing was charged.
            *quote = self.instead_of(challenge_id);
        }
        let tried = Tried {
            challenge_id,
            payment: None,
            payer: Some(claim.payer),
            claim: Some(claim.clone()),
            before: &before,
            was_shown: false,
        };
        let mut next = task.clone();
        next.let_pass();
        take(&mut next, &outcome, &tried, self.checkout, self.now);
        let is_heard = !is_silent(&outcome);
        if next.stage == before {
            return Ok(Some((task, is_heard)));
        }
        let kept = self.keep(next).await?.ok();
        Ok(kept.map(|task| (task, is_heard)))
    }

    /// Today's offer for what this one sells, for another purchase.
    fn instead_of(&self, challenge_id: &str) -> Option<Quote<'_>> {
        let offer = self.checkout.config.offers.keys.open(challenge_id)?;
        let order = Order {
            target: Some(offer.terms.target),
            resource: Some(offer.terms.resource),
            ..Order::default()
        };
        self.checkout.quote(&order).ok()
    }
}

/// Nothing begins on a task that has been changed meanwhile.
fn noted(is_stale: bool) -> Result<(), CallFault> {
    match is_stale {
        true => Err(CallFault("the task has changed".to_owned())),
        false => Ok(()),
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

/// Tells the client that there is no offer for its payment.
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
