//! Receipts as nodes show them: late, early, or without their events.

use std::rc::Rc;

use alloy_primitives::B256;
use key0_core::chain::base::{Completeness, Receipt};

use crate::chain::View;
use crate::faults::Fault;
use crate::world::World;

/// For how many blocks a node may show a receipt without its events, and without a sign that they are missing.
const SECRETIVE_BLOCKS: u64 = 30;

/// What a node that is `lag` blocks behind shows of a transaction.
pub(super) fn show(world: &Rc<World>, transaction: B256, lag: usize) -> Option<Receipt> {
    let known = View::new(&world.chain.borrow(), lag).receipt(transaction);
    if known.is_none() && world.strikes(Fault::ReceiptEarly) {
        let early = world.chain.borrow_mut().preview(transaction);
        world.trace(|| format!("a node shows {early:?} before its block is made"));
        return early;
    }
    let known = known.filter(|_| !world.strikes(Fault::ReceiptHidden))?;
    Some(match known.success && world.strikes(Fault::ReceiptBare) {
        true => without_events(world, known),
        false => known,
    })
}

fn without_events(world: &World, mut receipt: Receipt) -> Receipt {
    let random = &world.random;
    let is_new = world.chain.borrow().head().number < receipt.block + SECRETIVE_BLOCKS;
    // A node whose receipts have no filter.
    if random.chance(200) {
        receipt.completeness = Completeness::Unproven;
        return receipt;
    }
    receipt.completeness = match is_new && random.chance(500) {
        true => Completeness::Unproven,
        false => Completeness::Contradictory,
    };
    if random.chance(700) || receipt.logs.is_empty() {
        receipt.logs.clear();
    } else {
        let missing = random.range(0, receipt.logs.len() as u64 - 1);
        receipt.logs.remove(missing as usize);
    }
    receipt
}
