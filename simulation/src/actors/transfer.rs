//! Buyers who pay by an ordinary transfer and show it, in every way that agents may; and strangers who show transfers that
//! are not theirs.

use std::rc::Rc;

use alloy_primitives::{Address, B256};
use key0_core::checkout::{Outcome, Phase, Stop};
use key0_core::offer::Offer;
use key0_core::purchase::Prove;

use super::buyer::{Buyer, new_offer, present};
use super::door::show_proof;
use super::payment::Payment;
use crate::chain::{Action, PlainTransfer};
use crate::faults::Fault;
use crate::rules;
use crate::world::{Owner, World};

const MAX_ROUNDS: u64 = 10;
/// The most times that a proof is shown again at the end of a run, until it is answered.
const LAST_ROUNDS: u64 = 60;

/// Buys one plan by a transfer, or tries to.
pub async fn shop_by_transfer(world: Rc<World>, buyer: Buyer, plan: usize) {
    world.sleep_between(0, 3_000).await;
    // Some buyers send the transfer before they ask for a price, or long after.
    let early = world.random.chance(30);
    let Some(mut offer) = new_offer(&world, plan) else {
        return;
    };
    if early {
        world.sleep_between(1_000, 120_000).await;
    } else if world.random.chance(100) {
        let end = offer.terms.expires_at.to_millis();
        let left = end.since(world.now());
        world
            .sleep_between(left.saturating_sub(5_000), left + 5_000)
            .await;
    }
    let transaction = send(&world, &buyer, &offer);
    if early && let Some(later) = new_offer(&world, plan) {
        offer = later;
    }
    show_until_answered(&world, &buyer, plan, offer, transaction).await;
}

/// Pays a purchase by a transfer whose authorization has failed.
pub(super) async fn transfer_instead(world: &Rc<World>, buyer: &Buyer, plan: usize, pay: &Payment) {
    let transaction = send(world, buyer, &pay.offer);
    show_until_answered(world, buyer, plan, pay.offer.clone(), transaction).await;
}

async fn show_until_answered(
    world: &Rc<World>,
    buyer: &Buyer,
    plan: usize,
    mut offer: Offer,
    transaction: B256,
) {
    world.sleep_between(0, 6_000).await;
    for _ in 0..MAX_ROUNDS {
        let prove = proof(world, &offer, buyer, transaction);
        let reply = show(world, prove, true).await;
        world.trace(|| format!("{} the buyer is told {reply:?}", offer.terms.request_id));
        match reply {
            None
            | Some(
                Outcome::Pending { .. }
                | Outcome::Stopped {
                    // The transfer creates the buyer's wallet.
                    why: Stop::NotThePayers | Stop::ProofUnchecked | Stop::Unavailable,
                },
            ) => {
                let impatient = world.random.range(0, 19);
                match impatient {
                    // Also pays the same request by authorization.
                    0 => {
                        if let Some(pay) = buyer.pay(world, offer.clone()) {
                            present(world, &pay).await;
                        }
                    }
                    // Also buys the same plan anew, by authorization.
                    1 => {
                        if let Some(pay) =
                            new_offer(world, plan).and_then(|other| buyer.pay(world, other))
                        {
                            present(world, &pay).await;
                        }
                    }
                    2 => world.sleep_between(60_000, 1_200_000).await,
                    3 => return,
                    _ => {}
                }
                world.sleep_between(0, 8_000).await;
            }
            Some(Outcome::Granted { .. }) => match world.random.range(0, 5) {
                // Shows the transfer for another purchase.
                0 => {
                    let Some(other) = new_offer(world, plan) else {
                        return;
                    };
                    offer = other;
                    world.sleep_between(0, 60_000).await;
                }
                1 => world.sleep_between(0, 60_000).await,
                _ => return,
            },
            Some(_) => return,
        }
    }
}

/// Sends the money. Usually the transaction contains one transfer of the price; sometimes the amount is too low or too
/// high, or the transaction also contains other transfers, the buyer's own or another buyer's.
pub(super) fn send(world: &Rc<World>, buyer: &Buyer, offer: &Offer) -> B256 {
    let random = &world.random;
    let price = offer.terms.amount.units();
    let own = |units| PlainTransfer {
        from: buyer.address(),
        to: offer.terms.pay_to,
        units,
    };
    let units = match random.range(0, 19) {
        0 => price - 1,
        1 | 2 => price + random.range(1, 5_000),
        _ => price,
    };
    let mut all = vec![own(units)];
    if random.chance(150) {
        all.push(own(price));
    }
    if random.chance(100) {
        let buyers = world.market.buyers.borrow();
        let other = &buyers[random.range(0, buyers.len() as u64 - 1) as usize];
        all.insert(
            0,
            PlainTransfer {
                from: other.address(),
                ..own(price)
            },
        );
    }
    if random.chance(50) {
        all.insert(
            0,
            PlainTransfer {
                to: Address::repeat_byte(0xe3),
                ..own(1)
            },
        );
    }
    let hash = world
        .chain
        .borrow_mut()
        .submit_foreign(Action::Pay(all.clone()));
    world.trace(|| format!("{} transfers {all:?} in {hash}", offer.terms.request_id));
    if world.strikes(Fault::Attack) {
        let then = Rc::clone(world);
        let victims = offer.clone();
        world.executor.spawn(Owner::World, async move {
            steal(&then, victims, hash).await;
        });
    }
    hash
}

pub(super) fn proof(world: &World, offer: &Offer, signer: &Buyer, transaction: B256) -> Prove {
    // Some clients sign although no signature is required.
    let signs = !world.setting.unsigned || world.random.chance(200);
    Prove {
        offer: offer.clone(),
        sold: None,
        issuer: "https://shop.example".to_owned(),
        payer: signs.then(|| signer.address()),
        transaction,
    }
}

/// A stranger sees the transfer and shows it: for a purchase of his own, or for the victim's purchase, if its request
/// id has leaked.
async fn steal(world: &Rc<World>, victims: Offer, transaction: B256) {
    let delay = world.random.pick(&[0, 2_000, 20_000, 300_000]);
    let before = new_offer(world, world.random.range(0, 2) as usize);
    world.sleep(delay).await;
    let thief = {
        let buyers = world.market.buyers.borrow();
        buyers[world.random.range(0, buyers.len() as u64 - 1) as usize].clone()
    };
    for _ in 0..world.random.range(1, 3) {
        let own = match world.random.range(0, 2) {
            0 => before.clone(),
            1 => new_offer(world, world.random.range(0, 2) as usize),
            _ => Some(victims.clone()),
        };
        if let Some(offer) = own {
            let prove = proof(world, &offer, &thief, transaction);
            // Without a signature, opening the victim's purchase takes the victim's challenge id, which the stranger does
            // not have.
            if prove.payer.is_some() || offer != victims {
                show(world, prove, false).await;
            }
        }
        world.sleep_between(500, 60_000).await;
    }
}

/// An authorization was executed: its payer, or anybody, shows the transaction as if it were an ordinary transfer.
pub fn on_settlement(world: &Rc<World>, payer: Address, transaction: B256) {
    if !world.strikes(Fault::Attack) {
        return;
    }
    let Some(offer) = new_offer(world, world.random.range(0, 2) as usize) else {
        return;
    };
    let prove = Prove {
        offer,
        sold: None,
        issuer: "https://shop.example".to_owned(),
        payer: (!world.setting.unsigned).then_some(payer),
        transaction,
    };
    let then = Rc::clone(world);
    world.executor.spawn(Owner::World, async move {
        for _ in 0..3 {
            show(&then, prove.clone(), false).await;
            then.sleep_between(500, 30_000).await;
        }
    });
}

/// Shows a proof, perhaps several times at once.
async fn show(world: &Rc<World>, prove: Prove, is_owners: bool) -> Option<Outcome<'static>> {
    {
        let mut proofs = world.market.proofs.borrow_mut();
        if !proofs.iter().any(|(known, _)| *known == prove) {
            proofs.push((prove.clone(), is_owners));
        }
    }
    if world.random.chance(150) {
        let (then, again) = (Rc::clone(world), prove.clone());
        world.executor.spawn(Owner::World, async move {
            then.sleep_between(0, 300).await;
            ask_proof(&then, &again).await;
        });
    }
    ask_proof(world, &prove).await
}

/// Shows a proof again long after it was answered, perhaps for another purchase.
pub async fn show_again(world: &Rc<World>, prove: &Prove) -> Option<Outcome<'static>> {
    show(world, prove.clone(), false).await
}

/// One request with a proof. `None`: no answer arrived.
pub async fn ask_proof(world: &Rc<World>, prove: &Prove) -> Option<Outcome<'static>> {
    let outcome = show_proof(world, prove).await?;
    rules::on_proof_outcome(world, prove, &outcome);
    Some(outcome)
}

/// Once the faults have stopped, every buyer who has paid shows the transfer until it is answered.
pub fn last_proofs(world: &Rc<World>) {
    let proofs = world.market.proofs.borrow().clone();
    for (prove, _) in proofs.into_iter().filter(|(_, is_owners)| *is_owners) {
        let then = Rc::clone(world);
        world.executor.spawn(Owner::World, async move {
            for _ in 0..LAST_ROUNDS {
                match ask_proof(&then, &prove).await {
                    Some(Outcome::Pending {
                        phase: Phase::AuthorizationOpen { until },
                        ..
                    }) => {
                        then.sleep(until.to_millis().since(then.now()) + 1_000)
                            .await;
                    }
                    None
                    | Some(
                        Outcome::Pending {
                            phase: Phase::Unconfirmed | Phase::Settling,
                            ..
                        }
                        | Outcome::Stopped {
                            why: Stop::NotThePayers | Stop::ProofUnchecked | Stop::Unavailable,
                        },
                    ) => then.sleep(5_000).await,
                    Some(_) => return,
                }
            }
        });
    }
}
