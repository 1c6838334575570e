//! What must hold of money that goes back.

use std::collections::BTreeMap;
use std::rc::Rc;

use alloy_primitives::{B256, U256};
use key0_core::purchase::{
    MAX_REFUND_FAILURES, Purchase, Refund, RefundStage, State, refund_nonce,
};
use key0_core::settlement::wallet::Sent;

use super::money::{received, receiver};
use super::outages::has_lost_alarm;
use super::steps::describe;
use crate::chain::{AuthorizationKey, Use};
use crate::objects::PurchaseObject;
use crate::world::World;

/// The way back of a purchase's money, while it is on it.
pub(super) const fn refund_of(state: &State) -> Option<&Refund> {
    match state {
        State::RefundPending { refund, .. } | State::RefundFailed { refund, .. } => Some(refund),
        _ => None,
    }
}

/// A record was stored.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    let is_blocked = |record: &Purchase| matches!(record.state, State::RefundBlocked { .. });
    if is_blocked(after) && world.setting.moves.0.is_none() && world.setting.refunds {
        world.violation("refund_blocked", &object.id, "there is but one wallet");
    }
    if is_blocked(after) && world.market.grants.borrow().contains_key(&object.id) {
        world.violation("refund_after_grant", &object.id, describe(after));
    }
    if let State::Refunded { transaction, .. } = &after.state {
        match returned(world, after) {
            // By hand; and then by nothing else, as is seen at the end.
            None if before
                .is_some_and(|before| is_blocked(before) || before.state == after.state)
                && is_returned_by_hand(world, after, *transaction) => {}
            Some(used) if used.transaction == *transaction => {}
            used => {
                let detail = format!("{transaction} is named, the chain has {used:?}");
                world.violation("refunded_without_transfer", &object.id, detail);
            }
        }
    }
    let Some(refund) = refund_of(&after.state) else {
        return;
    };
    let authorization = refund.broadcast.authorization.authorization();
    world
        .chain
        .borrow_mut()
        .learn(&refund.broadcast.authorization);
    let first = object
        .refund
        .borrow_mut()
        .get_or_insert_with(|| refund.broadcast.authorization.clone())
        .clone();
    if first != refund.broadcast.authorization {
        let detail = format!("{first:?} became {authorization:?}");
        world.violation("refund_changed", &object.id, detail);
    }
    let received = received(world, object, after).map(U256::from);
    // The wallet that received the money returns it, and no other one.
    if Some(authorization.from) != receiver(world, object, after)
        || authorization.from != after.terms.pay_to
        || authorization.to != after.payer
        || Some(authorization.value) != received
        || authorization.nonce != refund_nonce(&after.challenge_id)
    {
        let detail = format!("{authorization:?}, but {received:?} was received");
        world.violation("wrong_refund", &object.id, detail);
    }
    if world.market.grants.borrow().contains_key(&object.id) {
        world.violation("refund_after_grant", &object.id, describe(after));
    }
    if matches!(after.state, State::RefundFailed { .. }) {
        let key = (authorization.from, authorization.nonce);
        let refusals = world.chain.borrow().ledger().refusals(&key);
        if refusals < MAX_REFUND_FAILURES {
            let detail = format!("the chain refused {refusals} times only");
            world.violation("refund_given_up", &object.id, detail);
        }
    }
}

/// A refund is about to be broadcast for the first time.
pub(super) fn may_broadcast(world: &World, object: &PurchaseObject, sent: &Sent) {
    // Whatever is signed by the seller's key is genuine, also what should not have been signed.
    let signed = &sent.job.authorization;
    world.chain.borrow_mut().learn(signed);
    let Some(record) = object.record() else {
        return world.violation("refund_without_intent", &object.id, "there is no record");
    };
    let intended = match &record.state {
        State::RefundPending { refund, .. } => {
            refund.broadcast.authorization == *signed
                && matches!(refund.stage, RefundStage::Settling)
                && sent.key.0 == format!("{} refund #{}", object.id, refund.broadcast.number)
        }
        _ => false,
    };
    if !intended {
        let detail = format!("{:?} while {}", sent.key, describe(&record));
        world.violation("refund_without_intent", &object.id, detail);
    }
}

/// Whether this transaction holds an ordinary transfer that returns the payment.
fn is_returned_by_hand(world: &World, record: &Purchase, transaction: B256) -> bool {
    let amount = record.state.payment().map(|payment| payment.amount.units());
    let transfers = world.chain.borrow().ledger().all_plain(transaction);
    transfers.iter().any(|(_, transfer)| {
        transfer.from == record.terms.pay_to
            && transfer.to == record.payer
            && Some(transfer.units) == amount
    })
}

/// What a purchase's refund has returned on chain.
fn returned(world: &World, record: &Purchase) -> Option<Use> {
    let nonce = refund_nonce(&record.challenge_id);
    let mut sellers = world.sellers().into_iter();
    sellers.find_map(|seller| executed(world, (seller, nonce)))
}

fn executed(world: &World, key: AuthorizationKey) -> Option<Use> {
    let chain = world.chain.borrow();
    chain.ledger().used(&key).filter(|used| !used.cancelled)
}

/// Compares all that the seller's wallets have sent by authorization with the purchases.
pub(super) fn at_end(world: &World) {
    let mut returns: BTreeMap<B256, (Rc<PurchaseObject>, Purchase)> = BTreeMap::new();
    for object in world.objects.purchases() {
        if let Some(record) = object.record() {
            returns.insert(refund_nonce(&record.challenge_id), (object, record));
        }
    }
    for (object, record) in returns.values() {
        if let State::Refunded { transaction, .. } = &record.state
            && returned(world, record).is_none_or(|used| used.transaction != *transaction)
            && !is_returned_by_hand(world, record, *transaction)
        {
            let detail = format!("{transaction} is not in the chain");
            world.violation("refund_lost", &object.id, detail);
        }
    }
    let chain = world.chain.borrow();
    for ((from, nonce), used) in chain
        .ledger()
        .executed()
        .filter(|((from, _), _)| world.is_seller(*from))
    {
        let Some((object, record)) = returns.get(nonce) else {
            world.violation("unknown_refund", nonce, format!("{used:?}"));
            continue;
        };
        let paid = received(world, object, record);
        let is_receivers = receiver(world, object, record) == Some(*from);
        if used.to != record.payer || Some(used.units) != paid || !is_receivers {
            let detail = format!("{used:?} for {paid:?} of {}", record.payer);
            world.violation("wrong_refund", &object.id, detail);
        }
        let known = match record.state {
            State::Refunded { transaction, .. } => transaction == used.transaction,
            // A stranger has broadcast the refund after we gave it up; the next look finds it, or an operator's retry.
            State::RefundFailed { .. } => !world.setting.operator,
            _ => false,
        };
        if !known || world.market.grants.borrow().contains_key(&object.id) {
            let detail = format!("{used:?} while {}", describe(record));
            world.violation("refunded_beside", &object.id, detail);
        }
    }
}

/// Days have passed: no refund that was given up has arrived without the purchase knowing.
pub fn noticed(world: &World) {
    for object in world.objects.purchases() {
        if let Some(record) = object.record()
            && matches!(record.state, State::RefundFailed { .. })
            && let Some(used) = returned(world, &record)
            && !has_lost_alarm(world, &object, &record)
        {
            let detail = format!("{used:?} while {}", describe(&record));
            world.violation("refund_unnoticed", &object.id, detail);
        }
    }
}
