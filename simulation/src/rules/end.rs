//! The rules for the end, when everything is at rest.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use key0_core::book::NO_ATTEMPT;
use key0_core::ledger::LedgerEntry;
use key0_core::purchase::{Purchase, State, ledger_entry};
use key0_core::types::RequestId;

use super::money::{self, money};
use super::outages::is_out_of_sight;
use super::refunds;
use super::routes;
use super::steps::{describe, is_credited};
use super::wallet;
use crate::chain::{AuthorizationKey, Use};
use crate::objects::PurchaseObject;
use crate::world::World;

/// How the purchases ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Delivered.
    pub delivered: u64,
    /// The money went back.
    pub refunded: u64,
    /// The money could not go back.
    pub refund_failed: u64,
    /// Paid, not delivered, and refunds are off.
    pub kept: u64,
    /// The money was found after the purchase had ended, and credited.
    pub late: u64,
}

/// Counts how the purchases ended.
pub fn tally(world: &World) -> Tally {
    let mut tally = Tally::default();
    for object in world.objects.purchases() {
        match object.record().map(|record| record.state) {
            Some(State::Delivered { .. } | State::Closed { .. }) => tally.delivered += 1,
            Some(State::Refunded { .. }) => tally.refunded += 1,
            Some(State::RefundFailed { .. } | State::RefundBlocked { .. }) => {
                tally.refund_failed += 1
            }
            Some(State::Paid { .. }) => tally.kept += 1,
            _ => {}
        }
        tally.late += u64::from(object.was_late.get());
    }
    tally
}

/// Whether a purchase should have ended and has not.
fn is_stuck(world: &World, record: &Purchase) -> bool {
    match &record.state {
        State::Delivered { .. }
        | State::Closed { .. }
        | State::Refunded { .. }
        | State::Expired { watch: None }
        | State::Cancelled { watch: None, .. } => false,
        State::Paid { .. } => !is_kept(world, record),
        State::RefundFailed { .. } | State::RefundBlocked { retried: false, .. } => {
            world.setting.operator && !world.chain.borrow().ledger().is_blocked(record.payer)
        }
        State::Expired { watch: Some(_) }
        | State::Cancelled { watch: Some(_), .. }
        | State::Pending { .. }
        | State::Proving { .. }
        | State::RefundPending { .. }
        | State::RefundBlocked { retried: true, .. } => true,
    }
}

/// Whether the money stays although nothing is delivered for it: refunds are off, and delivery is
/// impossible.
pub fn is_kept(world: &World, record: &Purchase) -> bool {
    let is_call = record.terms.target.plan().is_none();
    !world.setting.refunds && (world.backend.is_gone.get() || record.sold.is_none() || is_call)
}

/// Compares everything with the chain.
pub fn at_end(world: &World) {
    let mut credited: BTreeMap<B256, Vec<AuthorizationKey>> = BTreeMap::new();
    for object in world.objects.purchases() {
        if let Some(record) = object.record() {
            purchase(world, &object, &record, &mut credited);
        }
    }
    for (transaction, mut keys) in credited {
        keys.sort();
        if keys.windows(2).any(|two| two[0] == two[1]) {
            world.violation("credited_twice", transaction, format!("{keys:?}"));
        }
    }
    let chain = world.chain.borrow();
    for (key, used) in chain.ledger().executed() {
        if world.is_seller(key.0) {
            continue;
        }
        transfer(world, *key, used);
    }
    drop(chain);
    refunds::at_end(world);
    money::at_end(world);
    routes::at_end(world);
    books(world);
    wallet::at_end(world);
}

fn purchase(
    world: &World,
    object: &PurchaseObject,
    record: &Purchase,
    credited: &mut BTreeMap<B256, Vec<AuthorizationKey>>,
) {
    if is_stuck(world, record) && !is_out_of_sight(world, object, record) {
        let alarm = object.alarm.at();
        world.violation(
            "stuck",
            &object.id,
            format!("{} alarm {alarm:?}", describe(record)),
        );
    }
    ledger(world, object, record);
    let chain = world.chain.borrow();
    let attempts = object.attempts.borrow();
    let charges = attempts
        .iter()
        .map(|nonce| (record.payer, *nonce))
        .filter(|key| presented_first(world, *key, &object.id))
        .filter_map(|key| chain.ledger().transfer(&key))
        .count();
    // Both count together: the transfer that the payer has shown, and the authorization that had
    // failed before it.
    let is_shown = record
        .state
        .payment()
        .is_some_and(|payment| payment.log.is_some());
    if charges + usize::from(is_shown) > 1 {
        world.violation("charged_twice", &object.id, format!("{attempts:?}"));
    }
    if let Some(payment) = record.state.payment() {
        let units = money(world, object, record, payment);
        if units != Some(payment.amount.units()) {
            let detail = format!("{payment:?} is credited, the chain has {units:?}");
            world.violation("credited_without_transfer", &object.id, detail);
        }
        if let (None, Some(nonce)) = (payment.log, attempts.last()) {
            let key = (record.payer, *nonce);
            credited.entry(payment.transaction).or_default().push(key);
        }
    }
}

/// Rule: the ledger knows how the purchase ended. (The reason of a failure may be one try old.)
fn ledger(world: &World, object: &PurchaseObject, record: &Purchase) {
    let entries = world.objects.ledger.entries.borrow();
    let kept = entries.get(&object.id);
    let wanted = ledger_entry(record, 0);
    let facts = |entry: &LedgerEntry| {
        let hashes = (entry.transaction, entry.refund);
        (entry.status, entry.amount, hashes)
    };
    if kept.map(facts) != Some(facts(&wanted)) && !is_out_of_sight(world, object, record) {
        world.violation(
            "ledger_differs",
            &object.id,
            format!("{} is kept as {kept:?}", describe(record)),
        );
    }
}

/// Rule: every transfer that we sent belongs to a purchase, and a purchase whose transfer was
/// executed counts it.
fn transfer(world: &World, key: AuthorizationKey, used: &Use) {
    if world.gone.borrow().contains(&key) {
        return;
    }
    let ours = is_ours(world, used.transaction);
    let holders: Vec<_> = holders(world, key);
    if ours && holders.is_empty() {
        world.violation("unknown_charge", key.1, format!("{}", used.transaction));
    }
    for object in holders {
        let Some(record) = object.record() else {
            continue;
        };
        if !is_credited(&record.state) {
            let detail = format!(
                "{used:?} ours={ours}, but {} {:?}",
                describe(&record),
                object.ended.get()
            );
            world.violation("forgotten", &object.id, detail);
        }
    }
}

/// Whether the payer's book knows this purchase as the first that presented the authorization.
pub fn presented_first(world: &World, key: AuthorizationKey, id: &RequestId) -> bool {
    let payer = world.objects.payer(key.0);
    let book = payer.book.borrow();
    let bookings = book.bookings.borrow();
    bookings
        .get(&key.1)
        .is_some_and(|(booking, _)| booking.claimant == *id)
}

/// The purchases that an authorization may count for.
fn holders(world: &World, key: AuthorizationKey) -> Vec<std::rc::Rc<PurchaseObject>> {
    let mut objects = world.objects.purchases();
    objects.retain(|object| {
        let payer = object.record().map(|record| record.payer);
        payer == Some(key.0)
            && object.attempts.borrow().contains(&key.1)
            && presented_first(world, key, &object.id)
    });
    objects
}

fn is_ours(world: &World, transaction: B256) -> bool {
    let jobs = world.objects.wallet.jobs.borrow();
    jobs.values().any(|job| {
        job.versions
            .iter()
            .any(|version| version.hash == transaction)
    })
}

/// Rule: a resolved purchase does not keep its target locked.
fn books(world: &World) {
    for payer in world.objects.payers() {
        let book = payer.book.borrow();
        // A price that was only set aside lapses at the next call to the book.
        let open = book.open.borrow();
        for (id, open) in open.iter().filter(|(_, open)| open.held != NO_ATTEMPT) {
            let record = world.objects.purchase(id).record();
            if record.as_ref().is_none_or(|record| !record.holds_target) {
                let state = record.as_ref().map(describe);
                world.violation(
                    "target_locked",
                    id,
                    format!("{} {:?} {state:?}", payer.payer, open.target),
                );
            }
        }
    }
}
