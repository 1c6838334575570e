//! The chain's course: a block every two seconds, and what goes wrong between them.

use std::rc::Rc;

use super::obstacles::put_up;
use crate::backend::change_mood;
use crate::chain::{Action, BLOCK_MILLIS, Mood};
use crate::faults::Fault;
use crate::world::World;

/// Adds blocks for ever.
pub async fn run_chain(world: Rc<World>) {
    loop {
        world.sleep(BLOCK_MILLIS).await;
        stand_still(&world).await;
        change_mood(&world);
        put_up(&world);
        if world.strikes(Fault::NonceStolen) {
            world.trace(|| "another program uses the wallet's nonce".to_owned());
            world.chain.borrow_mut().submit_foreign(Action::StealNonce);
        }
        if world.chain.borrow().waiting() > 0 && world.strikes(Fault::TransactionDropped) {
            let dropped = world.chain.borrow_mut().drop_one(&world.random);
            world.trace(|| format!("the network forgets {dropped:?}"));
        }
        let depth = world.random.range(1, world.setting.confirmations);
        if world.setting.confirmations > 1 && world.strikes(Fault::Reorganised) {
            // Never deeper than what is waited for.
            let depth = depth.min(world.setting.confirmations - 1);
            world.trace(|| format!("the newest {depth} blocks are replaced"));
            let mood = mood(&world);
            world
                .chain
                .borrow_mut()
                .reorganise(depth as usize, mood, &world.random);
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
