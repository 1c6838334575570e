//! The shell around the lifecycle: stores each change before the effect it asks for, and drives a purchase on.
//!
//! Many callers may be here at once (identical requests, the alarm); they are told apart by nothing. One of them at a
//! time carries effects out, the others watch the record. Which one it is lives in memory only: losing that costs
//! nothing, because every change is a compare-and-swap on the stored version and every effect may be repeated.

use core::cell::Cell;

use super::access::{counts_elsewhere, find_payment, objection};
use super::admission;
use super::begin::begin;
use super::begun::Begun;
use super::effects;
use super::effects::facilitator;
use super::env::{Found, Memory, PurchaseEnv, PurchaseStore, StoreFault, Versioned};
use super::lifecycle::Event;
use super::prove;
use super::question::Ask;
use super::rearm::rearm_for_buyer;
use super::reply::{Next, PayReply};
use super::schedule::{Effect, next_effect, next_look, wake_at};
use super::state::{Stage, State};
use super::store::{commit, record_outcome};
use super::tell::tell_all;
use crate::pauses::{GLANCE, LOOK, Patience};
use crate::settlement::Route;
use crate::types::UnixMillis;

/// Drives one purchase. What it keeps in memory may be lost at any time.
#[derive(Debug, Default)]
pub struct Driver {
    busy: Cell<bool>,
    memory: Memory,
}

/// The right to carry effects out; given back when dropped, also when the request is cancelled.
struct Turn<'a>(&'a Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Driver {
    fn turn(&self) -> Option<Turn<'_>> {
        (!self.busy.replace(true)).then(|| Turn(&self.busy))
    }

    /// Answers a question with the purchase's outcome, or that it is not known yet. Begins the purchase when a payment is
    /// presented for the first time.
    pub async fn ask<E: PurchaseEnv>(
        &self,
        env: &E,
        ask: &Ask,
        patience: Patience,
    ) -> Result<PayReply, StoreFault> {
        let began = env.now();
        let mut looks = 0;
        let mut involved = false;
        let mut has_begun = false;
        let network = env.config().network;
        match (env.store().load()?, ask) {
            // The same words whatever does not fit, and before the book is asked, so that nobody learns whose purchase it is.
            // (A purchase on another network has no book here.)
            (Some(stored), _) if !ask.fits(&stored.record, network) => {
                return Ok(PayReply::Conflict);
            }
            (Some(stored), _) => rearm_for_buyer(env, &stored.record).await,
            (None, _) if ask.offered_on().is_some_and(|offered| offered != network) => {
                return Ok(PayReply::Conflict);
            }
            (None, Ask::Pay(pay)) if pay.sale.is_none() => {
                let elsewhere = counts_elsewhere(env, pay).await;
                return Ok(elsewhere.unwrap_or(PayReply::Conflict));
            }
            (None, _) => {}
        }
        if let Ask::Join(join) = ask
            && join.by_attempted
            && let Some(stored) = env.store().load()?
            && let Some(reply) = Ask::answer_to_attempted(&stored.record, &env.config().settlement)
        {
            return Ok(reply);
        }
        if let (Some(stored), Ask::Pay(pay)) = (env.store().load()?, ask)
            && let Some(reply) = objection(env, pay, &stored.record).await
        {
            // A client that learns that nothing was charged pays again, but a failed attempt may have been executed since.
            match (&reply, env.store().load()?) {
                (PayReply::NamedOtherwise, Some(stored)) => {
                    match find_payment(env, &stored).await? {
                        Found::Nothing | Found::NotYet => return Ok(reply),
                        Found::More => {}
                        Found::Unknown => return Ok(PayReply::Pending { transaction: None }),
                    }
                }
                _ => return Ok(reply),
            }
        }
        loop {
            let stored = env.store().load()?;
            let record = stored.as_ref().map(|stored| &stored.record);
            let next = match ask.answer(record, env.now(), &env.config().policy()) {
                Next::Begin => {
                    match admission::refusal(&env.config().wallets, ask, record, env.now()) {
                        Some(refusal) => Next::Answer(refusal),
                        None => Next::Begin,
                    }
                }
                next => next,
            };
            if let Next::Answer(mut reply) = next {
                // Where nothing has begun, the payment may be another purchase's.
                if reply.invites_another_payment()
                    && stored.is_none()
                    && let Ask::Pay(pay) = ask
                {
                    if let Some(elsewhere) = counts_elsewhere(env, pay).await {
                        return Ok(elsewhere);
                    }
                    // An identical request may have begun it meanwhile.
                    if env.store().load()?.is_some() {
                        continue;
                    }
                }
                if reply.invites_another_payment()
                    && let Some(stored) = &stored
                {
                    match self.find_payment(env, stored, patience).await? {
                        Found::Nothing | Found::NotYet => {}
                        Found::More if !patience.is_over_after(env.now().since(began)) => continue,
                        Found::More | Found::Unknown => {
                            return Ok(PayReply::Pending { transaction: None });
                        }
                    }
                }
                if let (PayReply::Granted { again, .. }, Ask::Prove(_)) = (&mut reply, ask) {
                    *again = !involved;
                }
                return Ok(reply);
            }
            // What is not waited for is begun all the same, once.
            let begins = matches!(next, Next::Begin) && !has_begun && patience != Patience::NONE;
            if !begins && patience.is_over_after(env.now().since(began)) {
                return Ok(match record {
                    Some(record) => PayReply::Pending {
                        transaction: record.state.transaction(),
                    },
                    None => PayReply::Unbegun,
                });
            }
            // What failed while this question was asked is its answer. Asked again, it is tried again.
            if involved
                && !matches!(ask, Ask::Prove(_))
                && let Some(reply) = record.and_then(Ask::failure)
            {
                return Ok(reply);
            }
            has_begun |= begins;
            let begun = match (next, ask) {
                (Next::Begin, Ask::Pay(pay)) => match &pay.sale {
                    Some(sale) => Some(begin(env, pay, sale, stored).await?),
                    None => return Ok(PayReply::Conflict),
                },
                (Next::Begin, Ask::Prove(proof)) => Some(prove::begin(env, proof, stored).await?),
                _ => None,
            };
            let moved = match begun {
                Some(Begun::Refused(reply)) => return Ok(reply),
                Some(Begun::LookAgain) => true,
                Some(Begun::Wait) => false,
                Some(Begun::Now) => {
                    involved = true;
                    true
                }
                None => {
                    involved = true;
                    self.drive(env).await?
                }
            };
            if moved {
                looks = 0;
            } else {
                env.sleep(LOOK.after(looks)).await;
                looks += 1;
            }
        }
    }

    /// The alarm. Carries on until the purchase rests or must wait.
    pub async fn wake<E: PurchaseEnv>(&self, env: &E) -> Result<(), StoreFault> {
        let Some(stored) = env.store().load()? else {
            return Ok(());
        };
        let (record, now, policy) = (&stored.record, env.now(), env.config().policy());
        let is_early = match next_effect(record, now, &policy) {
            Effect::Rest | Effect::WaitUntil(_) => true,
            // The last look has been; the next one has its time.
            Effect::Watch => next_look(record) > now,
            _ => false,
        };
        // Armed first: whatever happens below, there is a next time.
        if !is_early {
            commit(env, Some(&stored), Event::Tried)?;
            while self.drive(env).await? {}
        } else if let Some(at) = wake_at(record, now, &policy) {
            env.store().set_alarm(at)?;
        }
        // Last, and without a say in what happens.
        tell_all(env).await
    }

    /// Looks for a payment that was given up. Who only looks in is answered by the last look, if there was one just now: it may
    /// look in as often as it likes. But what can still be used may have been since, and then nobody knows.
    async fn find_payment<E: PurchaseEnv>(
        &self,
        env: &E,
        stored: &Versioned,
        patience: Patience,
    ) -> Result<Found, StoreFault> {
        let is_recent = |at: &UnixMillis| env.now().since(*at) < GLANCE;
        if patience == Patience::NONE {
            let looked = self.memory.looked.get();
            if let Some((_, found)) = looked.filter(|(at, _)| is_recent(at)) {
                return Ok(match found {
                    Found::NotYet => Found::Unknown,
                    found => found,
                });
            }
        }
        let found = find_payment(env, stored).await?;
        // What the record knows now is asked of the record.
        let found_before = match found {
            Found::More => None,
            found => Some((env.now(), found)),
        };
        self.memory.looked.set(found_before);
        Ok(found)
    }

    /// Carries out the next effect. Whether that changed the record.
    async fn drive<E: PurchaseEnv>(&self, env: &E) -> Result<bool, StoreFault> {
        let Some(_turn) = self.turn() else {
            return Ok(false);
        };
        let Some(stored) = env.store().load()? else {
            return Ok(false);
        };
        let outcome = effects::run(env, &stored.record, &self.memory).await;
        let moved = record_outcome(env, &stored, &outcome)?;
        if let Ok(Event::SearchedInVain) = outcome {
            // To begin at once would only ask the same again.
            return Ok(false);
        }
        if moved && let Ok(Event::Asked) = outcome {
            // The intent is stored, by us. Nobody else may do this, and we may do it only now.
            self.settle(env).await?;
        }
        Ok(moved)
    }

    /// Tells the facilitator to settle, directly after the intent was stored.
    async fn settle<E: PurchaseEnv>(&self, env: &E) -> Result<(), StoreFault> {
        let Some(stored) = env.store().load()? else {
            return Ok(());
        };
        if let State::Pending { attempt } = &stored.record.state
            && let Stage::Asked { .. } = attempt.stage
            && let Route::Facilitator(facilitator) = env.config().settlement.route(attempt.via)
        {
            let record = &stored.record;
            let outcome =
                facilitator::settle(env, record, attempt, facilitator, &self.memory).await;
            record_outcome(env, &stored, &outcome)?;
        }
        Ok(())
    }
}
