//! Third parties that use an authorization, and payers that work against their own.

use std::rc::Rc;

use key0_core::chain::SignedAuthorization;
use key0_core::types::Address;

use super::conversation::present_stolen;
use super::{Payment, buyer, request};
use crate::chain::Action;
use crate::faults::Fault;
use crate::rules::{self, Asker};
use crate::setting::{CALLED, CALLS};
use crate::world::{Owner, World};

/// Where payers hide their money.
const ELSEWHERE: Address = Address::repeat_byte(0xe1);

/// The longest delay of a late broadcast: the authorization of a refund would be good for years.
const LATEST_MILLIS: u64 = 3_600_000;

/// A payer has presented a payment: it may cancel it on chain or move its money away.
pub fn on_payment(world: &Rc<World>, pay: &Payment) {
    let authorization = pay.authorization.authorization();
    let (payer, nonce) = (authorization.from, authorization.nonce);
    if world.strikes(Fault::PayerCancels) {
        let delay = world.random.pick(&[0, 2_000, 10_000, 60_000]);
        later(world, delay, move |world| {
            world.trace(|| format!("payer {payer} cancels {nonce}"));
            world
                .chain
                .borrow_mut()
                .submit_foreign(Action::Cancel((payer, nonce)));
        });
    }
    if world.strikes(Fault::PayerMovesMoney) {
        let away = world.random.pick(&[0, 2_000, 6_000]);
        let units = world.chain.borrow().ledger().balance(payer);
        let transfer = move |world: &Rc<World>, from, to| {
            world.trace(|| format!("payer {payer} moves {units} from {from} to {to}"));
            world
                .chain
                .borrow_mut()
                .submit_foreign(Action::Move { from, to, units });
        };
        later(world, away, move |world| transfer(world, payer, ELSEWHERE));
        let back = away + world.random.pick(&[3_000, 20_000, 120_000]);
        later(world, back, move |world| transfer(world, ELSEWHERE, payer));
    }
}

/// We have given up an authorization that may still be used: the payer, or anybody who saw it, broadcasts it.
pub fn on_given_up(world: &Rc<World>, signed: &SignedAuthorization) {
    let key = (signed.payer(), signed.authorization().nonce);
    // A refund that was never sent is known to no third party that could broadcast it.
    if world.is_seller(key.0) && !world.market.public.borrow().contains(&key) {
        return;
    }
    if world.strikes(Fault::LateBroadcast) {
        let left = signed
            .authorization()
            .expires_at()
            .to_millis()
            .since(world.now());
        let delay = world.random.range(0, left.min(LATEST_MILLIS));
        let signed = signed.clone();
        later(world, delay, move |world| {
            world.trace(|| format!("late broadcast of {}", signed.authorization().nonce));
            world
                .chain
                .borrow_mut()
                .submit_foreign(Action::Execute(vec![signed]));
        });
    }
}

/// The network has seen an authorization: anybody may use it.
pub fn on_public(world: &Rc<World>, signed: &SignedAuthorization) {
    let key = (signed.payer(), signed.authorization().nonce);
    if !world.market.public.borrow_mut().insert(key) {
        return;
    }
    if world.strikes(Fault::ForeignBroadcast) {
        let delay = world.random.pick(&[0, 0, 2_000, 30_000, 300_000]);
        let mut all = vec![signed.clone()];
        if world.random.chance(200) {
            all.extend(company(world, signed));
        }
        later(world, delay, move |world| {
            world.trace(|| format!("a stranger broadcasts {}", key.1));
            world
                .chain
                .borrow_mut()
                .submit_foreign(Action::Execute(all));
        });
    }
    let is_payment = world.is_seller(signed.authorization().to);
    if is_payment && world.strikes(Fault::Attack) {
        let (world_then, stolen) = (Rc::clone(world), signed.clone());
        world.executor.spawn(Owner::World, async move {
            attack(&world_then, stolen).await;
        });
    }
}

/// Another authorization of the same payer, also seen by everybody, for one transaction with two transfers.
fn company(world: &World, signed: &SignedAuthorization) -> Option<SignedAuthorization> {
    let public = world.market.public.borrow();
    let presented = world.market.presented.borrow();
    let other = presented.iter().find(|pay| {
        let other = &pay.authorization;
        other.payer() == signed.payer()
            && other != signed
            && public.contains(&(other.payer(), other.authorization().nonce))
    });
    other.map(|pay| pay.authorization.clone())
}

/// A stranger presents what he saw as the payment of a purchase of his own.
async fn attack(world: &Rc<World>, stolen: SignedAuthorization) {
    let delay = world.random.pick(&[0, 1_000, 20_000, 200_000]);
    world.sleep(delay).await;
    if world.setting.conversations > 0 && world.random.chance(400) {
        return present_stolen(world, &stolen).await;
    }
    for _ in 0..world.random.range(1, 3) {
        let Some((asker, pay)) = forge(world, &stolen) else {
            return;
        };
        if let Some(outcome) = request(world, &pay).await {
            rules::on_outcome(world, asker, &pay, &outcome);
        }
        world.sleep_between(500, 60_000).await;
    }
}

/// A payment that a stranger derives from one seen on chain.
fn forge(world: &World, stolen: &SignedAuthorization) -> Option<(Asker, Payment)> {
    let random = &world.random;
    let plan = match random.chance(world.setting.calls) {
        true => CALLS + random.range(0, CALLED - 1) as usize,
        false => random.range(0, 2) as usize,
    };
    let offer = match random.range(0, 3) {
        // A purchase of the stranger's own.
        0 => buyer::new_offer(world, plan)?,
        // A purchase whose request id follows from the payment, as for a client that names none.
        1 => buyer::offer_as(world, plan, buyer::derived(world, stolen)?)?,
        // The same payer's other purchase, if its request id can be guessed.
        2 => {
            let presented = world.market.presented.borrow();
            let public = world.market.public.borrow();
            let other = presented.iter().find(|pay| {
                let key = (stolen.payer(), pay.authorization.authorization().nonce);
                pay.authorization.payer() == stolen.payer()
                    && pay.authorization != *stolen
                    && public.contains(&key)
                    && buyer::derived(world, &pay.authorization).as_ref()
                        == Some(&pay.offer.terms.request_id)
            });
            other?.offer.clone()
        }
        // The thief's own signature for the victim's purchase, if its request id has leaked.
        _ => {
            let presented = world.market.presented.borrow();
            let pay = presented.iter().find(|pay| pay.authorization == *stolen)?;
            let buyers = world.market.buyers.borrow();
            let thief = &buyers[random.range(0, buyers.len() as u64 - 1) as usize];
            let is_thief = thief.address() != stolen.payer();
            let pay = is_thief.then(|| thief.pay(world, pay.offer.clone()))??;
            // If that purchase was not begun, the thief begins it and pays for it.
            return Some((Asker::Payer, pay));
        }
    };
    let asker = Asker::Stranger {
        since: world.now().0,
    };
    let pay = Payment {
        offer,
        authorization: stolen.clone(),
        identifier: None,
        chosen: false,
        form: None,
    };
    Some((asker, pay))
}

fn later(world: &Rc<World>, delay: u64, action: impl FnOnce(&Rc<World>) + 'static) {
    let world_then = Rc::clone(world);
    world.executor.spawn(Owner::World, async move {
        world_then.sleep(delay).await;
        action(&world_then);
    });
}
