//! Payments on a task: what is kept before a payment is presented, and how its outcome is kept.

use core::ops::ControlFlow;

use super::desk::{Desk, MAX_ROUNDS, Stale};
use super::fault::{CALL_MISSING, ELSEWHERE, FULL, Fault, UNANSWERED};
use super::ids::TaskId;
use super::message::Message;
use super::network::elsewhere;
use super::outcome::{Tried, has_begun, is_over, is_silent, offer_end, take};
use super::task::{Known, Presented, Said, Stage, Task};
use super::tasks::Conversations;
use super::words::failure;
use crate::checkout::{
    Calls, Claim, Deployment, Order, Outcome, Payment, Phase, Quote, Stop, TransferProof,
};
use crate::doors::access_request::{AccessRequest, CallRequest};
use crate::doors::described::Described;
use crate::error::{Code, Error};
use crate::goods::Goods;
use crate::offer::{Offer, Target};
use crate::pauses::Patience;
use crate::types::CallFault;
use crate::x402::PaymentPayload;

impl<D: Deployment, C: Conversations> Desk<'_, D, C> {
    /// Presents a payment. All that is needed to ask for its outcome is kept before the payment is settled.
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
        let network = self.checkout.config.network;
        let is_payable = |offer: &Offer| {
            // A derived request id follows from the payment. Anyone who has seen the payment can derive the id, so the id gives no
            // right to ask.
            !offer.terms.request_id.is_derived() && offer.terms.network == network
        };
        let Some(offer) = offer.filter(is_payable) else {
            if task.is_paying() || task.stage.claim().is_some() {
                // The secret that sealed the task's offer may be gone, or the network may be another one. The task's
                // payment still exists.
                if task.stage.is_begun_by(payment) {
                    return self.recall(task, message, payload, patience, counts).await;
                }
                return Ok(self.looked(task, patience).await?.ok_or(Stale));
            }
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
        if !task.takes(payment) {
            *counts = true;
            return Err(Fault::not_here(&task.id, FULL));
        }
        let request_id = &offer.terms.request_id;
        let may_begin = |claim: &Claim| claim.payer == payer && claim.request_id == *request_id;
        task = match self.may_present(task, payment, may_begin, patience).await? {
            ControlFlow::Continue(task) => task,
            ControlFlow::Break(answer) => return Ok(answer),
        };
        let before = task.stage.clone();
        let patience = match self.bring(&task, message, &offer) {
            Ok(call) => call.unwrap_or(patience),
            Err(fault) => {
                *counts = true;
                return Err(fault);
            }
        };
        // If the payment is refused, the next offer is for the same purchase, as long as that has not begun.
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
                    // The purchase that has begun may be another one, to which an earlier payment was led.
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
                // The payment's purchase may begin from now on.
                task.at = self.now;
                // A request that has asked earlier can no longer keep its answer, because this write changes the task's
                // version.
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
        };
        let task = self.conclude(task, message, &outcome, &tried, counts);
        task.await.map(Ok)
    }

    /// Brings the call that an offer is for, as the message or the task describes it. Returns how long the request waits
    /// for a call: until it is answered, because only a request that is here can make it. `None`: the offer is for a plan.
    fn bring(
        &self,
        task: &Task,
        message: &Message,
        offer: &Offer,
    ) -> Result<Option<Patience>, Fault> {
        let Target::Route { call, .. } = &offer.terms.target else {
            return Ok(None);
        };
        let beside = message
            .call
            .as_ref()
            .and_then(|beside| self.described(beside).ok());
        let kept = || self.kept_call(task);
        let is_its = |described: &Described<'_>| described.call.digest == *call;
        let Some(described) = beside.filter(is_its).or_else(|| kept().filter(is_its)) else {
            return Err(Fault::bad(CALL_MISSING).about(&task.id.to_string()));
        };
        Ok(Some(self.brings(&described)))
    }

    /// Brings this call.
    fn brings(&self, described: &Described<'_>) -> Patience {
        let purchases = self.checkout.deployment.purchases();
        purchases.bring(described.brought());
        Patience::of_call(self.checkout.config.gateway.timeout_millis)
    }

    /// Brings the call of a task whose payment may be under way, because a call is made only by a request that brings
    /// it, and the one that was to make it may be gone. Returns how long the client that asks for the task then waits.
    pub(super) fn bring_again(&self, task: &Task) -> Patience {
        match self.kept_call(task).filter(|_| task.is_paying()) {
            Some(described) => {
                self.brings(&described);
                Patience::REQUEST
            }
            None => Patience::NONE,
        }
    }

    pub(super) fn described(&self, call: &CallRequest) -> Result<Described<'_>, Error> {
        let (catalog, origin) = (&self.checkout.config.catalog, &self.checkout.origin);
        Described::read(catalog, origin, &call.route, call.resource.as_ref())
    }

    /// The call that the task keeps, if it is still one of its route.
    fn kept_call(&self, task: &Task) -> Option<Described<'_>> {
        let request = AccessRequest::read(task.call.as_ref()?).ok()?;
        self.described(&request.call?).ok()
    }

    /// Presents a payment again to ask what became of the purchase that it has begun, when the task's offer cannot be
    /// opened any more.
    async fn recall(
        &self,
        task: Task,
        message: &Message,
        payload: &PaymentPayload,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Result<Task, Stale>, Fault> {
        let order = Order {
            patience,
            ..Order::default()
        };
        let presented = Payment {
            challenge_id: None,
            ..Payment::from(payload)
        };
        let Some(outcome) = self.checkout.recall(&order, &presented).await else {
            return Ok(Ok(task));
        };
        let before = task.stage.clone();
        let tried = Tried {
            challenge_id: before.challenge_id().unwrap_or_default(),
            payment: Some(Presented::Signed(payload.authorization.nonce)),
            payer: Some(payload.authorization.from),
            claim: None,
            before: &before,
        };
        let concluded = self.conclude(task, message, &outcome, &tried, counts);
        concluded.await.map(Ok)
    }

    /// Presents the proof of a transfer. That the transfer was shown is kept before the purchase is asked: so the
    /// client is not invited to pay once more after a crash.
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
        if !task.takes(payment) {
            *counts = true;
            return Err(Fault::not_here(&task.id, FULL));
        }
        let may_begin =
            |claim: &Claim| offer.is_none_or(|offer| claim.request_id == offer.terms.request_id);
        let is_new = !task.payments.contains(&payment);
        // The purchase that the task follows may be over by now. If so, the task goes on to no other offer while the
        // transfer is open.
        task.present(payment);
        task = match self.may_present(task, payment, may_begin, patience).await? {
            ControlFlow::Continue(task) => task,
            // Beside the payment that is under way, the transfer cannot be judged. But until it is judged, the client
            // is not invited to pay once more.
            ControlFlow::Break(Ok(mut task)) if task.is_paying() && is_new => {
                let stage = task.stage.clone();
                task.hear(message.kept.clone());
                let until = stage
                    .challenge_id()
                    .and_then(|id| offer_end(self.checkout, id));
                task.go_on(stage, until, self.now);
                return self.keep(task).await;
            }
            // The task has ended by something that says nothing about this transfer.
            ControlFlow::Break(Ok(task)) if task.stage.is_end() => {
                return Ok(Ok(self.heard(&task, message)?.unwrap_or(task)));
            }
            ControlFlow::Break(answer) => return Ok(answer),
        };
        let before = task.stage.clone();
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
                    // What the task knows of a payment is more than that a transfer was shown, so it is kept.
                    paying @ Stage::Paying { .. } => paying.clone(),
                    _ => Stage::Paying {
                        challenge_id: own.clone(),
                        claim: before.claim().cloned(),
                        by: None,
                        said: None,
                        known: Known::Again,
                    },
                };
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
        };
        let task = self.conclude(task, message, &outcome, &tried, counts);
        task.await.map(Ok)
    }

    /// Checks, before something is presented on a task, that the task pays for one purchase at a time. A purchase that
    /// has begun is not paid once more by another payment. If the task has a claim of another wallet, or to a purchase
    /// that a payment was led to, that purchase is asked first: it may have bought what this payment would buy.
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

    /// Keeps the outcome of a payment. If the task was changed meanwhile, the payment is not presented again: the
    /// changed task takes the outcome, if it is still about the same purchase.
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
                // The task was removed to make room for others. The outcome of the payment is kept all the same.
                if self.restore(&mut task).await? {
                    return Ok(task);
                }
                continue;
            };
            let is_its = self.is_about(&changed.stage, outcome, tried);
            if has_begun(outcome) && !is_its {
                // The request that ended the task, or went on to another offer, did not know of this outcome. The
                // outcome gets a task of its own.
                let id = TaskId::new(changed.id.context(), self.random[0].map(|byte| !byte));
                task = Task::new(id, changed.context_id, self.now);
            } else if !is_its && matches!(tried.payment, Some(Presented::Shown(_))) {
                // What the changed task says is not about the transfer, and may be another offer.
                let heard = self.heard(&changed, message)?;
                return heard.ok_or_else(|| Fault::not_here(&changed.id, ELSEWHERE));
            } else if !is_its || changed.stage.is_end() {
                return Ok(changed);
            } else {
                task = changed;
            }
            // The task's purchase may have begun once more meanwhile.
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
            let is_news = has_begun(outcome)
                || matches!(outcome, Outcome::Pending { .. })
                || matches!(tried.payment, Some(Presented::Shown(_)));
            if is_news || task.is_paying() {
                take(&mut task, outcome, &tried, self.checkout, self.now);
            }
        }
        Err(Fault::internal())
    }

    /// Whether a task that was changed meanwhile is still about the purchase of this outcome.
    fn is_about(&self, stage: &Stage, outcome: &Outcome<'_>, tried: &Tried<'_>) -> bool {
        match stage {
            Stage::Offered { challenge_id, .. } | Stage::Paying { challenge_id, .. } => {
                let own = self.checkout.config.offers.keys.open(tried.challenge_id);
                challenge_id == tried.challenge_id
                    || own.is_some_and(|own| self.is_for_the_same(challenge_id, &own) == Some(true))
            }
            Stage::Delivered { goods, .. } | Stage::Uncharged { goods } => match outcome {
                Outcome::Granted { goods: its, .. } => sold(its) == sold(goods),
                Outcome::Pending { request_id, .. }
                | Outcome::Stopped {
                    why: Stop::AccessEnded { request_id, .. } | Stop::AnswerGone { request_id, .. },
                } => request_id.as_str() == sold(goods),
                // What was delivered is never returned.
                _ => false,
            },
            // The stage does not tell of which purchase the money went back. Telling the client twice is better than
            // never.
            Stage::Failed { was_paid: true, .. } => {
                let is_returned = |why: &Stop| matches!(why, Stop::Refunded { .. });
                matches!(outcome, Outcome::Stopped { why } if is_returned(why))
            }
            _ => false,
        }
    }

    /// Whether the offer with this id is for the same purchase as `offer`. `None` if the id is not that of an offer of
    /// ours.
    fn is_for_the_same(&self, challenge_id: &str, offer: &Offer) -> Option<bool> {
        let its = self.checkout.config.offers.keys.open(challenge_id)?.terms;
        let own = &offer.terms;
        let is_same_target = its.target == own.target && its.resource == own.resource;
        Some(is_same_target && its.request_id == own.request_id)
    }

    /// Asks what became of a payment that may be under way. `None`: the task was changed meanwhile.
    pub(super) async fn looked(
        &self,
        task: Task,
        patience: Patience,
    ) -> Result<Option<Task>, Fault> {
        let looked = self.heard_of(task, patience).await?;
        Ok(looked.map(|(task, _)| task))
    }

    /// Like [`Self::looked`], and also tells whether the task's purchase has answered. Until it has, nothing else may
    /// be done with the task.
    pub(super) async fn heard_of(
        &self,
        task: Task,
        patience: Patience,
    ) -> Result<Option<(Task, bool)>, Fault> {
        let before = task.stage.clone();
        let (Some(challenge_id), Some(claim)) = (before.challenge_id(), before.claim()) else {
            return Ok(Some((task, true)));
        };
        if elsewhere(&task, self.checkout).is_some() {
            return Ok(Some((task, false)));
        }
        let mut outcome = self.checkout.status(claim, patience).await;
        if let Outcome::PayAgain { quote, .. } = &mut outcome {
            // The task's purchase is over, and nothing was charged.
            *quote = self.instead_of(challenge_id);
        }
        let tried = Tried {
            challenge_id,
            payment: None,
            payer: Some(claim.payer),
            claim: Some(claim.clone()),
            before: &before,
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

    /// The current offer for what this one sells, for another purchase.
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

/// Stops a payment if its task was changed meanwhile: then nothing may begin.
fn noted(is_stale: bool) -> Result<(), CallFault> {
    match is_stale {
        true => Err(CallFault("the task has changed".to_owned())),
        false => Ok(()),
    }
}

/// Whether the request that presented a payment with this outcome has brought no money.
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

/// The answer that there is no offer for this payment.
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

/// The purchase that delivered these goods.
pub(super) fn sold(goods: &Goods) -> &str {
    goods.purchase()
}
