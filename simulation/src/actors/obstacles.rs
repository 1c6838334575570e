//! Obstacles to refunds, and the operator who retries them.

use std::rc::Rc;

use key0_core::purchase::{OperatorCommand, State};
use key0_core::types::{Address, B256, RequestId};

use crate::chain::{Action, PlainTransfer};
use crate::faults::Fault;
use crate::objects::{self, PurchaseObject};
use crate::world::{Owner, World};

/// Where the seller keeps its profit.
const PROFIT: Address = Address::repeat_byte(0xe2);
/// How long an operator waits until a transfer cannot be undone any more.
const BY_HAND_MILLIS: u64 = 60_000;
/// The longest obstacle that ends.
pub const LONGEST_MILLIS: u64 = 600_000;
const SPANS: [u64; 4] = [4_000, 30_000, 200_000, LONGEST_MILLIS];

/// Puts up an obstacle, now and then. Called at every block.
pub(super) fn put_up(world: &Rc<World>) {
    let seller = world.config.wallets.pay_to;
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

/// An operator who tries failed refunds again, now and then.
pub async fn operate(world: Rc<World>) {
    while world.faults.are_active() {
        world.sleep_between(20_000, 200_000).await;
        retry_refunds(&world);
    }
}

/// An attempt has failed: the operator may call the purchase off.
pub fn on_failure(world: &Rc<World>, id: &RequestId) {
    if world.setting.operator && world.faults.are_active() && world.random.chance(300) {
        let (delay, id) = (world.random.range(0, 100_000), id.clone());
        after(world, delay, move |world| {
            let object = world.objects.purchase(&id);
            objects::operate(world, &object, OperatorCommand::Cancel);
        });
    }
}

/// An attempt has begun: the operator may call the purchase off, if it is not too late.
pub fn on_attempt(world: &Rc<World>, id: &RequestId) {
    if world.strikes(Fault::OperatorCancels) {
        let (delay, id) = (world.random.pick(&[0, 0, 10, 30, 1_000]), id.clone());
        after(world, delay, move |world| {
            let object = world.objects.purchase(&id);
            objects::operate(world, &object, OperatorCommand::Cancel);
        });
    }
}

/// Tries again every failed refund that may succeed by now, and returns by hand what cannot be signed.
pub fn retry_refunds(world: &Rc<World>) {
    return_by_hand(world);
    for object in world.objects.purchases() {
        let failed = object
            .record()
            .filter(|record| matches!(record.state, State::RefundFailed { .. }));
        let is_blocked = |payer| world.chain.borrow().ledger().is_blocked(payer);
        if failed.is_some_and(|record| world.faults.are_active() || !is_blocked(record.payer)) {
            objects::operate(world, &object, OperatorCommand::RetryRefund);
        }
    }
}

/// If the key of the wallet that was paid is configured again, the operator retries the refund; otherwise the operator
/// sends the money by hand and reports it.
fn return_by_hand(world: &Rc<World>) {
    for object in world.objects.purchases() {
        let Some(record) = object.record() else {
            continue;
        };
        let (State::RefundBlocked { payment, .. }, None) = (&record.state, object.by_hand.get())
        else {
            continue;
        };
        let has_key =
            world.setting.refunds && world.config_now().wallets.pay_to == record.terms.pay_to;
        if has_key && world.random.chance(700) {
            objects::operate(world, &object, OperatorCommand::RetryRefund);
            continue;
        }
        // A refund that was tried again may be signed at this very moment.
        if record.state.status().as_str() != "REFUND_FAILED" {
            continue;
        }
        let transaction =
            world
                .chain
                .borrow_mut()
                .submit_foreign(Action::Pay(vec![PlainTransfer {
                    from: record.terms.pay_to,
                    to: record.payer,
                    units: payment.amount.units(),
                }]));
        world.trace(|| format!("{} is returned by hand in {transaction}", object.id));
        object.by_hand.set(Some(transaction));
        tell_when_included(world, object, transaction);
    }
}

/// Reports the operator's transfer once it is included. Until then it may still arrive, so nothing is sent in its
/// place.
fn tell_when_included(world: &Rc<World>, object: Rc<PurchaseObject>, transaction: B256) {
    after(world, BY_HAND_MILLIS, move |world| {
        let receipt = world.chain.borrow().ledger().receipt(transaction).cloned();
        match receipt {
            Some(receipt) if receipt.success => tell_until_noted(world, object, transaction),
            // The transfer failed, and the operator tries again the next time.
            Some(_) => object.by_hand.set(None),
            None => tell_when_included(world, object, transaction),
        }
    });
}

/// Storage may fail; the operator does not give up.
fn tell_until_noted(world: &Rc<World>, object: Rc<PurchaseObject>, transaction: B256) {
    objects::operate(world, &object, OperatorCommand::Returned { transaction });
    let is_noted = object
        .record()
        .is_none_or(|record| !matches!(record.state, State::RefundBlocked { .. }));
    if !is_noted {
        after(world, BY_HAND_MILLIS, move |world| {
            tell_until_noted(world, object, transaction);
        });
    }
}

/// Whatever the seller still holds elsewhere comes back: a block may have included the way back before the way there.
pub fn give_back(world: &Rc<World>) {
    let units = world.chain.borrow().ledger().balance(PROFIT);
    move_money(world, PROFIT, world.config.wallets.pay_to, units);
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
