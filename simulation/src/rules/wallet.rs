//! Rules for the gas wallet's jobs and nonces.

use key0_core::settlement::wallet::{Sent, Signed};

use super::steps::may_broadcast;
use super::{purchase_of, refunds};
use crate::objects::WalletObject;
use crate::world::World;

/// The depth in blocks at which a job may be done, its own block included.
const FINAL_BLOCKS: u64 = 5;
/// How many of the newest blocks a node or a quote may not know yet.
const UNKNOWN_BLOCKS: u64 = 12;
/// The factor from a block's base fee to the highest that the next block may have, in eighths: 9/8
/// (EIP-1559).
const RISE: u128 = 9;
const TIP: u128 = 1_000_000;

/// Checks a job that the gas wallet stores: no other open job may have its nonces, and a record must announce its
/// payment.
pub fn on_job(world: &World, wallet: &WalletObject, sent: &Sent) {
    let jobs = wallet.jobs.borrow();
    let newest = sent.versions.last();
    world.trace(|| {
        let newest = newest.map(|newest| (newest.hash, newest.nonce, newest.fees, newest.cancels));
        let versions = sent.versions.len();
        format!("wallet job {:?} {newest:?} versions={versions}", sent.key)
    });
    let Some(id) = purchase_of(&sent.key) else {
        return;
    };
    if let Some(before) = jobs.get(&sent.key) {
        if sent.versions.len() > before.versions.len()
            && let Some(newest) = newest
        {
            signed_again(world, before, newest);
        }
        return;
    }
    let nonces: Vec<u64> = sent.versions.iter().map(|version| version.nonce).collect();
    let done = wallet.done.borrow();
    let mut open = jobs.values().filter(|job| !done.contains(&job.key));
    let shared = open.find(|job| {
        let mut versions = job.versions.iter();
        versions.any(|version| nonces.contains(&version.nonce))
    });
    if let Some(other) = shared {
        let detail = format!("nonces {nonces:?} belong to {:?}", other.key);
        world.violation("nonce_reused", &id, detail);
    }
    let object = world.objects.purchase(&id);
    if world.is_seller(sent.job.authorization.payer()) {
        refunds::may_broadcast(world, &object, sent);
    } else {
        may_broadcast(world, &object, sent, &sent.job);
    }
}

/// Checks a further transaction of a job: there must be a reason to give the payment up, or to offer a higher fee.
fn signed_again(world: &World, before: &Sent, newest: &Signed) {
    let mut earlier = before.versions.iter().rev();
    let replaced = earlier.find(|version| version.nonce == newest.nonce);
    if newest.cancels {
        let chain = world.chain.borrow();
        let mut hashes = before.hashes().into_iter();
        let is_paid = hashes.any(|hash| chain.ledger().receipt(hash).is_some());
        let is_replaced = chain.replacements() > 0;
        let is_over = world.seconds() >= before.job.authorization.authorization().expires_at();
        if !(is_paid || is_replaced || is_over || before.is_given_up()) {
            let detail = format!("nonce {}", newest.nonce);
            world.violation("given_up_too_early", &before.key.0, detail);
        }
    } else if let Some(replaced) = replaced {
        let chain = world.chain.borrow();
        let enough = chain.highest_fee(UNKNOWN_BLOCKS) * RISE / 8 + TIP;
        // A transaction that waits in its place has to be outbid.
        let waiting = chain.waits_at(newest.nonce);
        let is_in_the_way = waiting.is_some_and(|hash| !before.hashes().contains(&hash));
        if replaced.fees.max_fee >= enough && !is_in_the_way {
            let detail = format!("{:?} where {enough} is enough", replaced.fees);
            world.violation("raised_without_need", &before.key.0, detail);
        }
    }
}

/// Checks a job that the gas wallet closes: its transaction must be deep enough.
pub fn on_job_done(world: &World, sent: &Sent) {
    world.trace(|| format!("wallet job {:?} is done", sent.key));
    let chain = world.chain.borrow();
    let head = chain.head().number;
    // The transaction that was included first decides the job. Another one may have been included later, only to use up
    // its nonce.
    let receipts = sent
        .versions
        .iter()
        .filter_map(|version| chain.ledger().receipt(version.hash));
    if let Some(receipt) = receipts.min_by_key(|receipt| receipt.block)
        && receipt.block + FINAL_BLOCKS > head + 1
    {
        let detail = format!("its block is {}, the newest {head}", receipt.block);
        world.violation("closed_too_early", &sent.key.0, detail);
    }
}

/// Rule: once everything is at rest, no job is open, and the next job gets a nonce that the chain can include.
pub(super) fn at_end(world: &World) {
    let wallet = &world.objects.wallet;
    let done = wallet.done.borrow();
    let jobs = wallet.jobs.borrow();
    for job in jobs.values().filter(|job| !done.contains(&job.key)) {
        let id = purchase_of(&job.key)
            .map(|id| id.to_string())
            .unwrap_or_default();
        let nonces: Vec<u64> = job.versions.iter().map(|version| version.nonce).collect();
        world.violation("wallet_stuck", id, format!("{:?} {nonces:?}", job.key));
    }
    let next = world.chain.borrow().pending_nonce();
    if let Some(floor) = wallet.floor.get().filter(|floor| *floor > next) {
        let detail = format!("the wallet goes on at {floor}, the chain at {next}");
        world.violation("nonce_out_of_reach", "wallet", detail);
    }
}
