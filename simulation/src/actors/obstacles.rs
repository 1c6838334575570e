//! What keeps refunds from succeeding, and the operator who tries again.

use std::rc::Rc;

use key0_core::challenge::{OperatorCommand, Stage, State};
use key0_core::types::Address;

use crate::chain::Action;
use crate::faults::Fault;
use crate::objects;
use crate::world::{Owner, World};

/// Where the seller keeps its profit.
const PROFIT: Address = Address::repeat_byte(0xe2);
/// The longest obstacle that ends.
pub const LONGEST_MILLIS: u64 = 600_000;
const SPANS: [u64; 4] = [4_000, 30_000, 200_000, LONGEST_MILLIS];

/// Asked at every block.
pub(super) fn put_up(world: &Rc<World>) {
    let seller = world.config.pay_to;
    if world.strikes(Fault::SellerDrained) {
        let units = world.chain.borrow().ledger().balance(seller) * world.random.range(1, 2) / 2;
        move_money(world, seller, PROFIT, units);
        after(world, world.random.pick(&SPANS), move |world| {
            move_money(world, PROFIT, seller, units);
        });
    }
    if world.strikes(Fault::PayerBlocked) {
        let payer = {
            let presented = world.market.presented.borrow();
            let Some(last) = presented.len().checked_sub(1) else {
                return;
            };
            let at = world
                .random
                .range(last.saturating_sub(10) as u64, last as u64);
            presented[at as usize].authorization.payer()
        };
        world.trace(|| format!("USDC blocks {payer}"));
        world.chain.borrow_mut().block(payer, true);
        if !world.random.chance(150) {
            after(world, world.random.pick(&SPANS), move |world| {
                world.trace(|| format!("USDC no longer blocks {payer}"));
                world.chain.borrow_mut().block(payer, false);
            });
        }
    }
}

/// An operator who tries failed refunds again, now and then, and calls off purchases whose attempt has failed.
pub async fn operate(world: Rc<World>) {
    while world.faults.are_active() {
        world.sleep_between(20_000, 200_000).await;
        retry_refunds(&world);
        for object in world.objects.challenges() {
            let has_failed = object.record().is_some_and(|record| match &record.state {
                State::Pending { attempt } => matches!(attempt.stage, Stage::Failed { .. }),
                _ => false,
            });
            if has_failed && world.random.chance(300) {
                let reply = objects::command(&world, &object, OperatorCommand::Cancel);
                world.trace(|| format!("{} the operator calls it off: {reply:?}", object.id));
            }
        }
    }
}

/// Tries again every failed refund that may succeed by now.
pub fn retry_refunds(world: &Rc<World>) {
    for object in world.objects.challenges() {
        let failed = object
            .record()
            .filter(|record| matches!(record.state, State::RefundFailed { .. }));
        let is_blocked = |payer| world.chain.borrow().ledger().is_blocked(payer);
        if failed.is_some_and(|record| world.faults.are_active() || !is_blocked(record.payer)) {
            world.trace(|| format!("{} the operator retries the refund", object.id));
            objects::command(world, &object, OperatorCommand::RetryRefund);
        }
    }
}

fn move_money(world: &World, from: Address, to: Address, units: u64) {
    world.trace(|| format!("the seller moves {units} from {from} to {to}"));
    world
        .chain
        .borrow_mut()
        .submit_foreign(Action::Move { from, to, units });
}

fn after(world: &Rc<World>, delay: u64, action: impl FnOnce(&Rc<World>) + 'static) {
    let world_then = Rc::clone(world);
    world.executor.spawn(Owner::World, async move {
        world_then.sleep(delay).await;
        action(&world_then);
    });
}
