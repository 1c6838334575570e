//! A buyer in an A2A conversation, which does at random what agents may do.

use std::rc::Rc;

use key0_core::offer::Offer;
use key0_core::types::RequestId;
use serde_json::{Value, json};

use super::strangers::overhear;
use super::wire::{Call, View, Words, payload, proof};
use super::{Known, Talk, say};
use crate::actors::buyer::present;
use crate::actors::transfer;
use crate::actors::{Buyer, Payment, on_payment};
use crate::rules;
use crate::setting::PLANS;
use crate::world::{Owner, World};

const MAX_ROUNDS: u64 = 12;

/// What a buyer does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Act {
    /// Pays the offer that the task shows.
    Pay,
    /// Pays the offer by an ordinary transfer, and presents the proof.
    Transfer,
    /// Has paid by an authorization, and pays the same offer by a transfer as well.
    TransferToo,
    /// Sends the last payment or proof again.
    Repeat,
    /// Sends again any payment that was presented on the task.
    RepeatEarlier,
    /// Sends the last payment or proof again without the task's id, which the client may have lost.
    RepeatElsewhere,
    /// Presents the last signed payment again, over HTTP instead of A2A.
    OtherDoor,
    /// Signs the last offer again, with a new nonce.
    SignAgain,
    /// Asks for the price again, on the same task.
    Price,
    /// Asks for the price again, on a new task.
    Anew,
    Poll,
    Cancel,
    Reject,
    Chatter,
    Wait,
    GiveUp,
}

/// Buys one plan in a conversation, or tries to.
pub async fn shop_in_conversation(world: Rc<World>, buyer: Buyer, plan: usize) {
    let talk = Talk::new(&world, buyer);
    world.market.talks.borrow_mut().push(Rc::clone(&talk));
    world.sleep_between(0, 3_000).await;
    let Some((mut known, view)) = ask_price(&world, &talk, plan).await else {
        return;
    };
    overhear(&world, &talk);
    let mut view = Some(view);
    for _ in 0..MAX_ROUNDS {
        let act = decide(&world, &talk, &known, view.as_ref());
        world.trace(|| format!("task {} the buyer goes on with {act:?}", known.id));
        let told = match act {
            Act::GiveUp => return,
            Act::Wait => {
                world.sleep_between(60_000, 1_200_000).await;
                None
            }
            Act::Anew => ask_price(&world, &talk, plan).await,
            act => carry_out(&world, &talk, &known, view.as_ref(), plan, act).await,
        };
        view = match told {
            Some((its, view)) => {
                known = its;
                Some(view)
            }
            None => None,
        };
        world.sleep_between(0, 8_000).await;
    }
}

/// Asks for the price until there is an answer.
async fn ask_price(world: &Rc<World>, talk: &Talk, plan: usize) -> Option<(Rc<Known>, View)> {
    let words = wish(world, plan);
    for _ in 0..4 {
        let call = talk.message(world, None, &words);
        if let Some(told) = say(world, talk, None, &call).await {
            return Some(told);
        }
        world.sleep_between(0, 8_000).await;
    }
    None
}

fn wish(world: &World, plan: usize) -> Words {
    let (id, _) = PLANS[plan % PLANS.len()];
    let mut wish = json!({"type": "AccessRequest", "planId": id});
    if world.random.chance(300) {
        wish["requestId"] = json!(RequestId::from_random(world.random.bytes()));
    }
    Words::Data(wish)
}

fn decide(world: &World, talk: &Talk, known: &Known, view: Option<&View>) -> Act {
    use Act::{
        Anew, Cancel, Chatter, GiveUp, OtherDoor, Pay, Poll, Price, Reject, Repeat, RepeatEarlier,
        RepeatElsewhere, SignAgain, Transfer, TransferToo, Wait,
    };
    let random = &world.random;
    let last = known
        .paid
        .borrow()
        .last()
        .map(|(pay, _)| pay.offer.id.to_string());
    let has_paid = last.is_some() || !known.shown.borrow().is_empty();
    // Only a client that ignores what it is told does this.
    if !talk.is_obedient && has_paid && random.chance(150) {
        return random.pick(&[SignAgain, SignAgain, Anew, TransferToo]);
    }
    if known.paid.borrow().len() > 1 && random.chance(80) {
        return RepeatEarlier;
    }
    let Some(view) = view else {
        return match has_paid {
            true => random.pick(&[
                Poll,
                Poll,
                Poll,
                Repeat,
                Repeat,
                RepeatElsewhere,
                OtherDoor,
                Cancel,
                Wait,
                GiveUp,
            ]),
            false => random.pick(&[Poll, Poll, Poll, Price, Wait, GiveUp]),
        };
    };
    if view.is_end() {
        return match (view.state.as_str(), has_paid) {
            ("completed", _) => random.pick(&[GiveUp, GiveUp, GiveUp, Poll, Repeat, Cancel]),
            (_, true) => random.pick(&[GiveUp, GiveUp, Poll, Repeat]),
            (_, false) => GiveUp,
        };
    }
    if view.asks_to_pay() {
        // Asking again by itself does not mean that nothing was charged.
        let is_told = view.error.is_some() || !talk.is_obedient;
        let is_fresh = view.offer() != last.as_deref() && is_told;
        return match (has_paid, is_fresh) {
            (false, _) if random.chance(120) => random.pick(&[Cancel, Reject, Price, Chatter]),
            (false, _) if random.chance(world.setting.transfers) => Transfer,
            (false, _) => Pay,
            (true, true) => random.pick(&[Pay, Pay, Pay, Repeat, Poll, Cancel, Wait, GiveUp]),
            // The payment that the client has sent may still be charged, so it signs no other.
            (true, false) => random.pick(&[Repeat, Repeat, Repeat, Poll, GiveUp]),
        };
    }
    match has_paid {
        true => random.pick(&[
            Poll, Poll, Poll, Poll, Repeat, Repeat, OtherDoor, Cancel, Reject, Price, Chatter,
            Wait, GiveUp,
        ]),
        false => random.pick(&[Price, Price, Poll, GiveUp]),
    }
}

async fn carry_out(
    world: &Rc<World>,
    talk: &Rc<Talk>,
    known: &Rc<Known>,
    view: Option<&View>,
    plan: usize,
    act: Act,
) -> Option<(Rc<Known>, View)> {
    let on_task = Some(&**known);
    let call = match act {
        Act::Pay => {
            let (pay, accepts) = sign(world, &talk.buyer, view?)?;
            hand_in(world, talk, known, pay, accepts)
        }
        Act::SignAgain => {
            let (pay, accepts) = known.paid.borrow().last().cloned()?;
            let again = talk.buyer.pay(world, pay.offer)?;
            hand_in(world, talk, known, again, accepts)
        }
        Act::Transfer | Act::TransferToo => {
            let offer = match act {
                Act::TransferToo => known.paid.borrow().last()?.0.offer.clone(),
                _ => offer_of(world, view?)?,
            };
            let transaction = transfer::send(world, &talk.buyer, &offer);
            let prove = transfer::proof(world, &offer, &talk.buyer, transaction);
            let words = Words::Data(proof(&prove, &talk.buyer)?);
            let is_owners = true;
            world
                .market
                .proofs
                .borrow_mut()
                .push((prove.clone(), is_owners));
            known.shown.borrow_mut().push(prove);
            talk.message(world, on_task, &words)
        }
        Act::Repeat => talk.message(world, on_task, &last_words(talk, known)?),
        Act::RepeatEarlier => {
            let paid = known.paid.borrow().clone();
            let any = world.random.range(0, paid.len() as u64 - 1) as usize;
            let (pay, accepts) = paid.get(any)?;
            talk.message(world, on_task, &Words::Pay(payload(pay, accepts)))
        }
        Act::RepeatElsewhere => {
            let call = talk.message(world, None, &last_words(talk, known)?);
            let told = say(world, talk, None, &call).await?;
            remember(known, &told.0);
            // Half of the clients go on with the one answer, half with the other.
            return world.random.chance(500).then_some(told);
        }
        Act::OtherDoor => {
            let (pay, _) = known.paid.borrow().last().cloned()?;
            present(world, &pay).await;
            return None;
        }
        Act::Price => talk.message(world, on_task, &wish(world, plan)),
        Act::Reject => talk.message(world, on_task, &Words::Reject),
        Act::Chatter => talk.message(world, on_task, &Words::Chatter),
        Act::Cancel => Call::Cancel(known.id.clone()),
        Act::Poll | Act::Anew | Act::Wait | Act::GiveUp => Call::Get(known.id.clone()),
    };
    beside(world, talk, known, plan, &call);
    say(world, talk, on_task, &call).await
}

/// Sends a second call at the same time: the same one, or another.
fn beside(world: &Rc<World>, talk: &Rc<Talk>, known: &Rc<Known>, plan: usize, call: &Call) {
    let random = &world.random;
    let other = match random.range(0, 39) {
        0..=3 => call.clone(),
        4 => Call::Cancel(known.id.clone()),
        5 => Call::Get(known.id.clone()),
        6 => talk.message(world, Some(&**known), &wish(world, plan)),
        7 => talk.message(world, Some(&**known), &Words::Chatter),
        _ => return,
    };
    let (then, talk, known) = (Rc::clone(world), Rc::clone(talk), Rc::clone(known));
    world.executor.spawn(Owner::World, async move {
        then.sleep_between(0, 300).await;
        say(&then, &talk, Some(&*known), &other).await;
    });
}

/// The offer that the task shows, if it is on the network whose money buyers have.
fn offer_of(world: &World, view: &View) -> Option<Offer> {
    let offer = world.config.offers.keys.open(view.offer()?)?;
    (offer.terms.network == world.config.network).then_some(offer)
}

/// Signs what is offered.
fn sign(world: &World, buyer: &Buyer, view: &View) -> Option<(Payment, Value)> {
    let accepts = view.accepts.clone()?;
    let offer = offer_of(world, view)?;
    rules::on_offer(world, &offer, &accepts);
    let mut pay = buyer.pay(world, offer)?;
    // The model uses the extension `payment-identifier` only over HTTP.
    pay.identifier = None;
    Some((pay, accepts))
}

/// Presents a payment on a task for the first time.
fn hand_in(
    world: &Rc<World>,
    talk: &Talk,
    known: &Known,
    mut pay: Payment,
    accepts: Value,
) -> Call {
    pay.identifier = None;
    world.trace(|| {
        format!(
            "task {} payer {} pays {} with {} for {:?} until {}, offer until {}",
            known.id,
            pay.authorization.payer(),
            pay.offer.terms.request_id,
            pay.authorization.authorization().nonce,
            pay.offer.terms.target,
            pay.authorization.authorization().valid_before,
            pay.offer.terms.expires_at.0,
        )
    });
    let words = Words::Pay(payload(&pay, &accepts));
    world.market.presented.borrow_mut().push(pay.clone());
    on_payment(world, &pay);
    known.paid.borrow_mut().push((pay, accepts));
    talk.message(world, Some(known), &words)
}

/// The last payment or proof, as it was sent.
pub(super) fn last_words(talk: &Talk, known: &Known) -> Option<Words> {
    if let Some(prove) = known.shown.borrow().last() {
        return proof(prove, &talk.buyer).map(Words::Data);
    }
    let paid = known.paid.borrow();
    let (pay, accepts) = paid.last()?;
    Some(Words::Pay(payload(pay, accepts)))
}

/// Notes that what was presented on one task was presented on another one as well.
fn remember(from: &Known, to: &Known) {
    if from.id == to.id {
        return;
    }
    let paid = from.paid.borrow().last().cloned();
    let shown = from.shown.borrow().last().cloned();
    match shown {
        Some(prove) => to.shown.borrow_mut().push(prove),
        None => to.paid.borrow_mut().extend(paid),
    }
}
