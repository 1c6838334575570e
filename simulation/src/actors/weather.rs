//! The chain's course: a block every two seconds, and what goes wrong between them.

use std::rc::Rc;

use super::obstacles::put_up;
use crate::backend::change_mood;
use crate::chain::{Action, BLOCK_MILLIS, Mood, Transaction};
use crate::faults::Fault;
use crate::origin;
use crate::world::World;

/// The most blocks that a reorganisation replaces: fewer than the depth at which a refund counts.
const REFUND_DEPTH: u64 = 4;

/// Adds blocks until the run ends.
pub async fn run_chain(world: Rc<World>) {
    loop {
        world.sleep(BLOCK_MILLIS).await;
        stand_still(&world).await;
        change_mood(&world);
        origin::change_mood(&world);
        put_up(&world);
        if world.strikes(Fault::NonceStolen) {
            world.trace(|| "another program uses the wallet's nonce".to_owned());
            world.chain.borrow_mut().submit_foreign(Action::StealNonce);
        }
        if world.chain.borrow().waiting() > 0 && world.strikes(Fault::TransactionDropped) {
            let dropped = world.chain.borrow_mut().drop_one(&world.random);
            world.trace(|| format!("the network forgets {dropped:?}"));
        }
        let depth = replaceable(&world, world.random.range(1, REFUND_DEPTH));
        if depth > 0 && world.strikes(Fault::Reorganised) {
            world.trace(|| format!("the newest {depth} blocks are replaced"));
            let mood = mood(&world);
            world
                .chain
                .borrow_mut()
                .reorganise(depth, mood, &world.random);
        }
        let mood = mood(&world);
        let timestamp = world.seconds().0;
        world
            .chain
            .borrow_mut()
            .mine(timestamp, mood, &world.random);
        world.trace(|| {
            let chain = world.chain.borrow();
            let head = chain.head();
            format!(
                "block {} at {} fee {} {:?}",
                head.number,
                head.timestamp,
                head.base_fee,
                head.hashes()
            )
        });
    }
}

/// How many of the newest blocks may be replaced: fewer than the seller's confirmations; or more, if the older ones
/// hold nothing that the seller or a buyer was told of, except refunds. (A refund counts only at a greater depth.)
fn replaceable(world: &World, at_most: u64) -> usize {
    let chain = world.chain.borrow();
    let is_refund = |transaction: &Transaction| match transaction {
        Transaction::Wallet(sent) => chain
            .genuine(&sent.input)
            .is_some_and(|signed| world.is_seller(signed.payer())),
        Transaction::Foreign { action, .. } => match action {
            Action::Execute(all) => all.iter().all(|signed| world.is_seller(signed.payer())),
            Action::Move { .. } | Action::StealNonce => true,
            Action::Cancel(_) | Action::Pay(_) => false,
        },
    };
    let newest = chain.blocks().iter().rev().zip(1..=at_most);
    newest
        .take_while(|(block, depth)| {
            *depth < world.setting.confirmations || block.transactions().iter().all(is_refund)
        })
        .count()
}

/// Base stood still for half an hour more than once.
async fn stand_still(world: &Rc<World>) {
    if !world.strikes(Fault::ChainStandsStill) {
        return;
    }
    let until = world.now().0 + world.random.pick(&[40_000, 120_000, 600_000]);
    world.trace(|| format!("the chain stands still until {until}"));
    while world.now().0 < until && world.faults.are_active() {
        world.sleep(BLOCK_MILLIS).await;
    }
}

fn mood(world: &World) -> Mood {
    let leaves_out = if world.strikes(Fault::InclusionDelayed) {
        world.random.pick(&[300, 700, 1_000])
    } else {
        0
    };
    Mood {
        leaves_out,
        surge: world.strikes(Fault::FeeSurge),
    }
}
