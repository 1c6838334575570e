//! What others do with an authorization, and payers against their own.

use std::rc::Rc;

use key0_core::challenge::Pay;
use key0_core::payment::SignedAuthorization;
use key0_core::types::Address;

use super::{buyer, request};
use crate::chain::Action;
use crate::faults::Fault;
use crate::rules::{self, Asker};
use crate::world::{Owner, World};

/// Where payers hide their money.
const ELSEWHERE: Address = Address::repeat_byte(0xe1);

/// A payer has presented a payment: it may cancel it on chain or move its money away.
pub fn on_payment(world: &Rc<World>, pay: &Pay) {
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
    if world.strikes(Fault::LateBroadcast) {
        let left = signed
            .authorization()
            .expires_at()
            .to_millis()
            .since(world.now());
        let delay = world.random.range(0, left);
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
    let is_payment = signed.authorization().to == world.config.pay_to;
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
    for _ in 0..world.random.range(1, 3) {
        let Some(challenge) = buyer::offer(world, world.random.range(0, 2) as usize) else {
            return;
        };
        let pay = Pay {
            challenge,
            issuer: "https://shop.example".to_owned(),
            authorization: stolen.clone(),
        };
        if let Some(reply) = request(world, &pay).await {
            rules::on_reply(world, Asker::Stranger, &pay, &reply);
        }
        world.sleep_between(500, 60_000).await;
    }
}

fn later(world: &Rc<World>, delay: u64, action: impl FnOnce(&Rc<World>) + 'static) {
    let world_then = Rc::clone(world);
    world.executor.spawn(Owner::World, async move {
        world_then.sleep(delay).await;
        action(&world_then);
    });
}
