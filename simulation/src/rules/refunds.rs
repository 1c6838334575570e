//! Rules for refunds.

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

/// The refund of a purchase, while the money has not arrived.
pub(super) const fn refund_of(state: &State) -> Option<&Refund> {
    match state {
        State::RefundPending { refund, .. } | State::RefundFailed { refund, .. } => Some(refund),
        _ => None,
    }
}

/// Checks a record that was just stored: a refund must never change, must return what was received from the wallet that
/// received it to the payer, and must not follow a grant.
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
            // The money was returned by hand. That nothing else has returned it, [`at_end`] checks.
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
    // The wallet that received the money returns it, not another one.
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
    // What is sent may still be included after the refund was given up, so only the step itself is judged.
    let is_given_up = |record: &Purchase| matches!(record.state, State::RefundFailed { .. });
    if is_given_up(after) && !before.is_some_and(is_given_up) {
        let key = (authorization.from, authorization.nonce);
        let refusals = world.chain.borrow().ledger().refusals(&key);
        // A refund that was sent and not included for ten minutes has failed, too.
        let (jobs, chain) = (world.objects.wallet.jobs.borrow(), world.chain.borrow());
        let its = format!("{} refund #", object.id);
        let is_included = |hash| chain.ledger().receipt(hash).is_some();
        let sent = jobs.iter().filter(|(key, job)| {
            let mut versions = job.versions.iter();
            key.0.starts_with(&its) && !versions.any(|version| is_included(version.hash))
        });
        let sent = sent.count();
        if refusals + u32::try_from(sent).unwrap_or(u32::MAX) < MAX_REFUND_FAILURES {
            let detail = format!("the chain refused {refusals} times only, {sent} were sent");
            world.violation("refund_given_up", &object.id, detail);
        }
    }
}

/// Checks a refund that is about to be broadcast for the first time: the record must announce it.
pub(super) fn may_broadcast(world: &World, object: &PurchaseObject, sent: &Sent) {
    // The model's chain takes for genuine whatever the seller's key has signed, even what it should not have signed.
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

/// The transfer on chain that refunded a purchase.
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
        .filter(|(key, _)| !world.gone.borrow().contains(*key))
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
            // A stranger may have broadcast the refund after it was given up. Without an operator the purchase notices
            // that only at its next look, which may be still to come; with an operator, the retries before the end must
            // have found it.
            State::RefundFailed { .. } => !world.setting.operator,
            _ => false,
        };
        if !known || world.market.grants.borrow().contains_key(&object.id) {
            let detail = format!("{used:?} while {}", describe(record));
            world.violation("refunded_beside", &object.id, detail);
        }
    }
}

/// Rule: days later, no refund that was given up has arrived unnoticed by its purchase.
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
