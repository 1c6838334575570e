//! The shell around the lifecycle. It stores each change before it carries out the effect that the change asks for, and
//! so drives a purchase to its end.
//!
//! Several identical requests and the alarm may run this code for one purchase at once, and nothing tells them apart.
//! One of them at a time carries effects out; the others watch the record. Which one it is lives in memory only. Losing
//! that costs nothing, because every change is a compare-and-swap on the stored version and every effect may be
//! repeated.

use core::cell::Cell;

use super::access::{counts_elsewhere, find_payment, objection};
use super::admission;
use super::begin::begin;
use super::begun::Begun;
use super::effects;
use super::effects::facilitator;
use super::env::{Found, Memory, PurchaseEnv, PurchaseStore, StoreFault, Uncharged, Versioned};
use super::lifecycle::Event;
use super::prove;
use super::question::Ask;
use super::rearm::rearm_for_buyer;
use super::reply::{Next, PayReply};
use super::schedule::{Effect, call_end, next_effect, next_look, wake_at};
use super::state::{Purchase, Stage, State};
use super::store::{commit, record_outcome};
use super::stream::StreamEnd;
use super::tell::tell_all;
use crate::config::Policy;
use crate::goods::AnswerHead;
use crate::pauses::{GLANCE, LOOK, Patience, STREAM_OVERDUE};
use crate::settlement::Route;
use crate::types::UnixMillis;
use crate::x402::Refusal;

/// Drives one purchase. What the driver keeps in memory may be lost at any time.
#[derive(Debug, Default)]
pub struct Driver {
    busy: Cell<bool>,
    memory: Memory,
}

/// What one step has changed.
#[derive(Debug, PartialEq)]
enum Moved {
    /// Nothing.
    No,
    /// The record.
    Yes,
    /// The record now says that this answer is being passed on, and the request that drove the purchase must do so.
    Streams(AnswerHead),
}

impl From<bool> for Moved {
    fn from(moved: bool) -> Self {
        match moved {
            true => Self::Yes,
            false => Self::No,
        }
    }
}

/// The right to carry effects out. It is given back when dropped, even if the request is cancelled.
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

    /// Answers a question with the purchase's outcome, or says that the outcome is not known yet. Begins the purchase
    /// when a payment is presented for the first time.
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
            // A question that does not fit the stored purchase always gets `Conflict`, whatever differs, and before the
            // payer's book is asked: the reply must not show whose purchase this is. (For a purchase on another
            // network, the configured network has no book.)
            (Some(stored), _) if !ask.fits(&stored.record, network) => {
                return Ok(PayReply::Conflict);
            }
            (Some(stored), _) => {
                rearm_for_buyer(env, &stored.record).await;
                // A call that is charged after its answer goes on only while its buyer is there, so the request is
                // noted as contact.
                commit(env, env.store().load()?.as_ref(), Event::Contacted)?;
            }
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
            // A client that learns that nothing was charged pays again, but the authorization of a failed attempt may
            // have been executed since.
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
            // Only the request that made the call gets an answer that is passed on while it arrives.
            if let Some(record) = record
                && self.memory.streams(record, env.now())
            {
                return Ok(PayReply::Calling {
                    transaction: record.state.transaction(),
                });
            }
            // The result of a call that ran during this request is this request's answer, even if it is not charged
            // for.
            if involved
                && let Some(stored) = &stored
                && let Some(reply) = self.uncharged(&stored.record, began, &env.config().policy())
            {
                if stored.record.state.payment().is_some() {
                    return Ok(reply);
                }
                match self.find_payment(env, stored, patience).await? {
                    Found::Nothing | Found::NotYet if has_moved(env, stored)? => continue,
                    Found::Nothing | Found::NotYet => return Ok(reply),
                    Found::More if patience.is_over_after(env.now().since(began)) => {
                        return Ok(PayReply::Pending { transaction: None });
                    }
                    // The record now says that the money has arrived, or that the search for it goes on.
                    Found::More => continue,
                    Found::Unknown => return Ok(PayReply::Pending { transaction: None }),
                }
            }
            let next = match ask.answer(record, env.now(), &env.config().policy()) {
                Next::Begin => match admission::refusal(env.config(), ask, record, env.now()) {
                    Some(refusal) => Next::Answer(refusal),
                    None => Next::Begin,
                },
                next => next,
            };
            if let Next::Answer(mut reply) = next {
                // Where no purchase has begun, the payment may belong to another purchase.
                if reply.invites_another_payment()
                    && stored.is_none()
                    && let Ask::Pay(pay) = ask
                {
                    if let Some(elsewhere) = counts_elsewhere(env, pay).await {
                        return Ok(elsewhere);
                    }
                    // An identical request may have begun the purchase meanwhile.
                    if env.store().load()?.is_some() {
                        continue;
                    }
                }
                if reply.invites_another_payment()
                    && let Some(stored) = &stored
                {
                    match self.find_payment(env, stored, patience).await? {
                        Found::Nothing | Found::NotYet if has_moved(env, stored)? => continue,
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
            // A request that does not wait for the outcome still begins the purchase, once.
            let begins = matches!(next, Next::Begin) && !has_begun && patience != Patience::NONE;
            if !begins && patience.is_over_after(env.now().since(began)) {
                return Ok(match record {
                    Some(record) if record.awaits_its_call() => PayReply::Calling {
                        transaction: record.state.transaction(),
                    },
                    Some(record) => PayReply::Pending {
                        transaction: record.state.transaction(),
                    },
                    None => PayReply::Unbegun,
                });
            }
            // An attempt that failed during this request is this request's answer. A further request tries again.
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
                    match self.drive(env).await? {
                        Moved::Streams(head) => return self.streaming(env, head),
                        moved => moved == Moved::Yes,
                    }
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

    /// Handles the alarm: drives the purchase on until it rests or must wait.
    pub async fn wake<E: PurchaseEnv>(&self, env: &E) -> Result<(), StoreFault> {
        let Some(stored) = env.store().load()? else {
            return Ok(());
        };
        let (record, now, policy) = (&stored.record, env.now(), env.config().policy());
        let is_early = match next_effect(record, now, &policy) {
            Effect::Rest | Effect::WaitUntil(_) => true,
            // The next look at a watched authorization has a time of its own.
            Effect::Watch => next_look(record) > now,
            Effect::Call if self.memory.streams(record, now) => true,
            // The alarm carries no call, so it can only give up one that nobody sends again.
            Effect::Call => call_end(record, &policy) > now,
            _ => false,
        };
        // The next alarm is set first, so that there is one whatever happens below.
        if !is_early {
            commit(env, Some(&stored), Event::Tried)?;
            while self.drive(env).await? != Moved::No {}
        } else if let Some(at) = wake_at(record, now, &policy) {
            env.store().set_alarm(at)?;
        }
        // A purchase on another network has no book here.
        if self.memory.streams(record, now) && record.terms.network == env.config().network {
            effects::tell_arrived(env, record).await;
        }
        // Messages are sent last, and nothing above depends on them.
        tell_all(env).await
    }

    /// Looks for a payment that was given up. A request that does not wait ([`Patience::NONE`]) gets the result of the
    /// last look if that is recent, so it may come as often as it likes. But an authorization that could still be used
    /// then may have been used since, so that result counts as unknown.
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
        // What was found is in the record now, so it need not be remembered here.
        let found_before = match found {
            Found::More => None,
            found => Some((env.now(), found)),
        };
        self.memory.looked.set(found_before);
        Ok(found)
    }

    /// Carries out the next effect. Returns whether that changed the record.
    async fn drive<E: PurchaseEnv>(&self, env: &E) -> Result<Moved, StoreFault> {
        let Some(_turn) = self.turn() else {
            return Ok(Moved::No);
        };
        let Some(stored) = env.store().load()? else {
            return Ok(Moved::No);
        };
        let outcome = effects::run(env, &stored.record, &self.memory).await;
        let moved = record_outcome(env, &stored, &outcome)?;
        if let Ok(Event::SearchedInVain) = outcome {
            // To search again at once would only ask the same questions again.
            return Ok(Moved::No);
        }
        if moved && let Ok(Event::Asked) = outcome {
            // We have just stored the intent, so we may tell the facilitator to settle: nobody else may, and we may
            // only now.
            self.settle(env).await?;
        }
        if moved && let Ok(Event::Calling) = outcome {
            return self.call(env).await;
        }
        Ok(moved.into())
    }

    /// Calls the seller's API, directly after the intent was stored. Returns whether the purchase has come further.
    async fn call<E: PurchaseEnv>(&self, env: &E) -> Result<Moved, StoreFault> {
        let Some(stored) = env.store().load()? else {
            return Ok(Moved::No);
        };
        let Some((number, answer)) = effects::make_call(env, &stored.record).await else {
            return Ok(Moved::No);
        };
        let event = effects::outcome_of_call(&stored.record, &answer);
        let is_excused = effects::is_excused(env, &stored.record, &answer);
        if let (Event::Streaming { .. }, Ok(arrived)) = (&event, &answer) {
            // The intent is stored before any byte is passed on. Nothing awaits from here until the request has the
            // head, so nobody sees the record without this memory.
            return Ok(match record_outcome(env, &stored, &Ok(event))? {
                true => {
                    let until = env.now().plus(stream_millis(env)).plus(STREAM_OVERDUE);
                    self.memory.streaming.set(Some((number, until)));
                    Moved::Streams(arrived.head().clone())
                }
                false => Moved::No,
            });
        }
        let answer = answer.map(|arrived| arrived.head().clone());
        let is_uncharged = matches!(
            event,
            Event::AttemptFailed { .. } | Event::IssueFailed { .. }
        );
        if is_uncharged {
            let at = env.now();
            self.memory
                .uncharged
                .replace(Some(Uncharged { at, number, answer }));
        }
        // The excuse is stored first, so that after a crash between the two writes the failure does not count against
        // the payer.
        if is_uncharged && is_excused {
            commit(env, Some(&stored), Event::Excused)?;
        }
        let is_put_off = event == Event::CallPutOff;
        let moved = record_outcome(env, &stored, &Ok(event))?;
        // Another call at once would only be put off again.
        Ok((moved && !is_put_off).into())
    }

    /// The reply with the head of an answer that is passed on while it arrives.
    fn streaming<E: PurchaseEnv>(&self, env: &E, head: AnswerHead) -> Result<PayReply, StoreFault> {
        let stored = env.store().load();
        let record = stored.as_ref().ok().and_then(Option::as_ref);
        let payment = record.and_then(|stored| stored.record.state.payment());
        let (Some(stored), Some(payment)) = (record, payment) else {
            // Nothing is passed on, as if the process had died.
            self.memory.streaming.take();
            return stored.map(|_| PayReply::Unavailable);
        };
        let receipt = stored.record.receipt(payment);
        let goods = stored.record.answered(&head, None);
        Ok(PayReply::Streaming { goods, receipt })
    }

    /// Records how the answer ended that was passed on after [`PayReply::Streaming`]. `waited`: for how many
    /// milliseconds the buyer took nothing although there was something. Returns whether the call counts as delivered:
    /// the buyer must not see the end of the answer otherwise, and not before.
    pub fn stream_ended<E: PurchaseEnv>(
        &self,
        env: &E,
        number: u32,
        end: StreamEnd,
        waited: u64,
    ) -> Result<bool, StoreFault> {
        // Whatever happens below, nothing is passed on any more. If the end cannot be stored, it is as if the process
        // had died.
        self.memory.streaming.take();
        let end = end.judged(waited, stream_millis(env));
        let Some(stored) = env.store().load()? else {
            return Ok(false);
        };
        let is_recorded = commit(env, Some(&stored), Event::StreamEnded { number, end })?;
        Ok(is_recorded && end.fault().is_none())
    }

    /// The reply with the result of a call that is not charged for, while memory holds it. Only the requests that
    /// waited for the call get it: when they have gone, so has the body of the answer.
    fn uncharged(&self, record: &Purchase, began: UnixMillis, policy: &Policy) -> Option<PayReply> {
        let told = self.memory.uncharged.borrow();
        let Uncharged { at, number, answer } = told.as_ref()?;
        if began > *at {
            return None;
        }
        let refund = match &record.state {
            State::Pending { attempt } => match attempt.stage {
                Stage::Failed {
                    reason: Refusal::CallUncharged,
                    ..
                } if attempt.calls == *number => None,
                _ => return None,
            },
            State::Paid {
                failure: Some(failure),
                payment,
                ..
            } if failure.fault.is_of_a_call() && policy.refund_after_millis.is_some() => {
                Some(payment.transaction)
            }
            State::RefundPending { payment, .. } | State::Refunded { payment, .. } => {
                Some(payment.transaction)
            }
            _ => return None,
        };
        Some(match answer {
            Ok(head) => PayReply::Granted {
                goods: record.answered(head, refund),
                receipt: None,
                again: false,
            },
            Err(fault) => PayReply::Origin {
                fault: *fault,
                refund,
            },
        })
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

/// How many milliseconds an answer may take that is passed on while it arrives.
fn stream_millis<E: PurchaseEnv>(env: &E) -> u64 {
    u64::from(env.config().gateway.stream_seconds).saturating_mul(1_000)
}

/// Whether the purchase has moved while the chain was asked. A copy of the request may have begun it again: then the payment may be
/// charged now, and no answer may say otherwise.
fn has_moved<E: PurchaseEnv>(env: &E, before: &Versioned) -> Result<bool, StoreFault> {
    let now = env.store().load()?;
    Ok(now.is_none_or(|now| now.record.state != before.record.state))
}
