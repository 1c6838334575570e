//! The money behind a purchase, as the chain has it.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use key0_core::chain::transfer::booking_key;
use key0_core::purchase::{Payment, Prove, Purchase};
use key0_core::types::RequestId;

use crate::objects::PurchaseObject;
use crate::world::World;

/// How much the chain moved for this payment: by the purchase's authorization, or by the ordinary transfer that it names.
pub(super) fn money(
    world: &World,
    object: &PurchaseObject,
    record: &Purchase,
    payment: &Payment,
) -> Option<u64> {
    let chain = world.chain.borrow();
    let Some(log) = payment.log else {
        let nonce = object.attempts.borrow().last().copied()?;
        let used = chain.ledger().used(&(record.payer, nonce));
        return used
            .filter(|used| !used.cancelled && used.transaction == payment.transaction)
            .map(|used| used.units);
    };
    let transfer = chain.ledger().plain(payment.transaction, log as usize)?;
    let proofs = world.market.proofs.borrow();
    let is_proven = proofs.iter().any(|(prove, _)| {
        prove.transaction == payment.transaction
            && prove.offer.terms.request_id == object.id
            && prove.payer.is_none_or(|payer| payer == record.payer)
            && prove.payer.is_none() == payment.unsigned
            && transfer.units >= prove.offer.terms.amount.units()
            && is_in_time(world, prove)
    });
    let is_its = transfer.from == record.payer
        && transfer.to == record.terms.pay_to
        && transfer.units == payment.amount.units();
    (is_its && is_proven).then_some(transfer.units)
}

/// The money of a purchase that counts it.
pub(super) fn received(world: &World, object: &PurchaseObject, record: &Purchase) -> Option<u64> {
    money(world, object, record, record.state.payment()?)
}

/// The wallet that received the money of a paid purchase.
pub(super) fn receiver(
    world: &World,
    object: &PurchaseObject,
    record: &Purchase,
) -> Option<Address> {
    let payment = record.state.payment()?;
    let chain = world.chain.borrow();
    let Some(log) = payment.log else {
        let nonce = object.attempts.borrow().last().copied()?;
        let used = chain.ledger().used(&(record.payer, nonce));
        return used.map(|used| used.to);
    };
    let transfer = chain.ledger().plain(payment.transaction, log as usize)?;
    Some(transfer.to)
}

fn is_in_time(world: &World, prove: &Prove) -> bool {
    let chain = world.chain.borrow();
    let terms = &prove.offer.terms;
    let receipt = chain.ledger().receipt(prove.transaction);
    let mut blocks = chain.blocks().iter();
    receipt
        .and_then(|receipt| blocks.find(|block| block.number == receipt.block))
        .is_some_and(|block| (terms.issued_at.0..terms.expires_at.0).contains(&block.timestamp))
}

/// Whether a proof must be honoured: a transfer of the signer pays enough in time, and no other purchase has it.
pub fn must_be_honoured(world: &World, prove: &Prove) -> bool {
    let Some(payer) = prove.payer.filter(|_| is_in_time(world, prove)) else {
        return false;
    };
    let terms = &prove.offer.terms;
    let object = world.objects.purchase(&terms.request_id);
    let is_others = |record: Purchase| {
        record.payer != payer
            || record.terms.target != terms.target
            || record.terms.pay_to != terms.pay_to
    };
    if object.record().is_some_and(is_others)
        || !world.config_now().wallets.is_paid_at(terms.pay_to)
    {
        return false;
    }
    let its = world.objects.payer(payer);
    let book = its.book.borrow();
    let bookings = book.bookings.borrow();
    let transfers = world.chain.borrow().ledger().all_plain(prove.transaction);
    transfers.iter().any(|(place, transfer)| {
        let key = u32::try_from(*place).map(|place| booking_key(prove.transaction, place));
        let booking = key.ok().and_then(|key| bookings.get(&key));
        transfer.from == payer
            && transfer.to == terms.pay_to
            && transfer.units >= terms.amount.units()
            && booking.is_none_or(|(booking, _)| booking.claimant == terms.request_id)
    })
}

/// Each transfer is credited to at most one purchase.
pub(super) fn at_end(world: &World) {
    let mut credited: BTreeMap<(B256, u32), RequestId> = BTreeMap::new();
    for object in world.objects.purchases() {
        let record = object.record();
        let payment = record.as_ref().and_then(|record| record.state.payment());
        if let Some(Payment {
            transaction,
            log: Some(log),
            ..
        }) = payment
            && let Some(other) = credited.insert((*transaction, *log), object.id.clone())
        {
            let detail = format!("{transaction} {log} also pays {other}");
            world.violation("transfer_credited_twice", &object.id, detail);
        }
    }
}
