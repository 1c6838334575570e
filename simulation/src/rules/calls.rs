//! Rules for what is sent to the backend and to the network.

use std::rc::Rc;

use alloy_primitives::B256;
use key0_core::backend::authentication::BackendCall;
use key0_core::chain::wallet_call::MULTICALL;
use key0_core::purchase::State;

use super::is_executed;
use super::steps::describe;
use crate::chain::WalletTransaction;
use crate::objects::PurchaseObject;
use crate::world::World;

/// Checks an effect that begins: however many callers ask, a purchase carries out one effect at a time. The effect ends
/// when the returned value is dropped.
pub fn on_effect(world: &World, object: &PurchaseObject, effect: &str) -> Rc<()> {
    if object.effect.borrow().upgrade().is_some() {
        let detail = format!("{effect} begins beside another");
        world.violation("effects_at_once", &object.id, detail);
    }
    let running = Rc::new(());
    object.effect.replace(Rc::downgrade(&running));
    running
}

/// Checks a call to the backend for a credential: the money must have arrived, and a repeated call must be the same as
/// the first.
pub fn on_issue(world: &World, object: &PurchaseObject, call: &BackendCall) {
    let first = object
        .call
        .borrow_mut()
        .get_or_insert_with(|| call.clone())
        .clone();
    if first != *call {
        let detail = format!("{first:?} became {call:?}");
        world.violation("issue_call_changed", &object.id, detail);
    }
    let record = object.record();
    let paid = record.as_ref().is_some_and(|record| {
        matches!(record.state, State::Paid { .. }) && is_executed(world, object, record)
    });
    if !paid {
        let detail = format!("while {:?}", record.as_ref().map(describe));
        world.violation("issued_without_money", &object.id, detail);
    }
}

/// Checks a transaction that the gas wallet hands to the network: it must call an allowed contract on the right chain,
/// and be stored.
pub fn on_broadcast(world: &World, transaction: &WalletTransaction) {
    if !may_call(world, transaction) || transaction.chain_id != world.config.network.chain_id() {
        world.violation(
            "foreign_contract",
            transaction.hash,
            format!("a call to {}", transaction.to),
        );
    }
    if !is_stored(world, transaction.hash) {
        world.violation(
            "sent_before_stored",
            transaction.hash,
            "the wallet does not know it",
        );
    }
}

/// Whether the transaction may call its contract: USDC; or Multicall3, for a payment whose wallet a listed factory
/// creates first.
fn may_call(world: &World, transaction: &WalletTransaction) -> bool {
    let chain = world.chain.borrow();
    let creates = chain
        .genuine(&transaction.input)
        .is_some_and(|signed| signed.deployment().is_some());
    match creates {
        true => transaction.to == MULTICALL && !world.config.gas.factories.is_empty(),
        false => transaction.to == chain.usdc(),
    }
}

fn is_stored(world: &World, hash: B256) -> bool {
    let jobs = world.objects.wallet.jobs.borrow();
    jobs.values()
        .any(|job| job.versions.iter().any(|version| version.hash == hash))
}
