//! What must hold when everything has come to rest.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use key0_core::challenge::{Record, State};

use super::purchase_of;
use super::steps::{describe, is_credited};
use crate::chain::{AuthorizationKey, Use};
use crate::objects::ChallengeObject;
use crate::world::World;

/// How a purchase may end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The money is here and the buyer has a grant.
    Delivered,
    /// The money went back, or an operator must see to it.
    Refund,
    /// No money.
    Nothing,
    /// It has not ended.
    Stuck,
}

impl Ending {
    /// The ending of a record.
    pub const fn of(record: &Record) -> Self {
        match record.state {
            State::Delivered { .. } => Self::Delivered,
            State::Refunded { .. } | State::RefundFailed { .. } => Self::Refund,
            State::Expired | State::Cancelled { .. } => Self::Nothing,
            State::Pending { .. } | State::Paid { .. } | State::RefundPending { .. } => Self::Stuck,
        }
    }
}

/// Compares everything with the chain.
pub fn at_end(world: &World) {
    let mut credited: BTreeMap<B256, Vec<AuthorizationKey>> = BTreeMap::new();
    for object in world.objects.challenges() {
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
        transfer(world, *key, used);
    }
    books(world);
    wallet(world);
}

fn purchase(
    world: &World,
    object: &ChallengeObject,
    record: &Record,
    credited: &mut BTreeMap<B256, Vec<AuthorizationKey>>,
) {
    if Ending::of(record) == Ending::Stuck {
        let alarm = object.alarm.at();
        world.violation(
            "stuck",
            &object.id,
            format!("{} alarm {alarm:?}", describe(record)),
        );
    }
    let chain = world.chain.borrow();
    let attempts = object.attempts.borrow();
    let charges = attempts
        .iter()
        .filter_map(|nonce| chain.ledger().transfer(&(record.payer, *nonce)))
        .count();
    if charges > 1 {
        world.violation("charged_twice", &object.id, format!("{attempts:?}"));
    }
    if let State::Paid { payment } | State::Delivered { payment, .. } = &record.state {
        let key = (record.payer, attempts.last().copied().unwrap_or_default());
        let transfer = chain.ledger().transfer(&key);
        if transfer.is_none_or(|transfer| transfer.transaction != payment.transaction) {
            let detail = format!(
                "{} is credited, the chain has {transfer:?}",
                payment.transaction
            );
            world.violation("credited_without_transfer", &object.id, detail);
        }
        credited.entry(payment.transaction).or_default().push(key);
    }
}

/// Whose transfer is this, and does the purchase know?
fn transfer(world: &World, key: AuthorizationKey, used: &Use) {
    let ours = is_ours(world, used.transaction);
    let holders: Vec<_> = holders(world, key);
    if ours && holders.is_empty() {
        world.violation("unknown_charge", key.1, format!("{}", used.transaction));
    }
    for object in holders {
        let Some(record) = object.record() else {
            continue;
        };
        if !is_credited(&record.state) && !is_late(&object, used, ours) {
            let detail = format!(
                "{used:?} ours={ours}, but {} {:?}",
                describe(&record),
                object.ended.get()
            );
            world.violation("forgotten", &object.id, detail);
        }
    }
}

/// A stranger's broadcast after the purchase had ended. Noticing it belongs to the refunds, which do not exist yet.
fn is_late(object: &ChallengeObject, used: &Use, ours: bool) -> bool {
    !ours
        && object
            .ended
            .get()
            .is_some_and(|ended| used.block > ended.block)
}

/// How many strangers' broadcasts came too late to be noticed.
pub fn late_payments(world: &World) -> u64 {
    let chain = world.chain.borrow();
    let late = chain.ledger().executed().filter(|(key, used)| {
        let ours = is_ours(world, used.transaction);
        holders(world, **key).iter().any(|object| {
            let credited = object
                .record()
                .is_some_and(|record| is_credited(&record.state));
            !credited && is_late(object, used, ours)
        })
    });
    late.count() as u64
}

fn holders(world: &World, key: AuthorizationKey) -> Vec<std::rc::Rc<ChallengeObject>> {
    let mut objects = world.objects.challenges();
    objects.retain(|object| {
        let payer = object.record().map(|record| record.payer);
        payer == Some(key.0) && object.attempts.borrow().contains(&key.1)
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

/// No target stays locked by a purchase that is resolved.
fn books(world: &World) {
    for payer in world.objects.payers() {
        let book = payer.book.borrow();
        for (target, (id, _)) in book.unresolved.borrow().iter() {
            let record = world.objects.challenge(id).record();
            if record.as_ref().is_none_or(|record| !record.holds_target) {
                let state = record.as_ref().map(describe);
                world.violation(
                    "target_locked",
                    id,
                    format!("{} {target:?} {state:?}", payer.payer),
                );
            }
        }
    }
}

fn wallet(world: &World) {
    for job in world
        .objects
        .wallet
        .jobs
        .borrow()
        .values()
        .filter(|job| !job.done)
    {
        let id = purchase_of(&job.key)
            .map(|id| id.to_string())
            .unwrap_or_default();
        let nonces: Vec<u64> = job.versions.iter().map(|version| version.nonce).collect();
        world.violation("wallet_stuck", id, format!("{:?} {nonces:?}", job.key));
    }
}
