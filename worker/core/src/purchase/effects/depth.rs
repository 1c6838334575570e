//! When an included transaction counts: how deep its block must be, and that the block is still there.

use super::super::env::{PurchaseEnv, Stuck};
use super::super::state::{Payment, Purchase, State};
use crate::chain::Chain;
use crate::chain::base::{Completeness, Head, Receipt};
use crate::types::UnixSeconds;

/// The least number of blocks, its own included, after which a refund counts. The buyer does not wait for a refund, and
/// afterwards we never look at it again: if its block were replaced then, the buyer's money would be lost.
const REFUND_CONFIRMATIONS: u64 = 5;
/// How many blocks after its own a receipt without a bloom filter counts as complete: nodes that show events late are
/// seconds late.
const INDEXED_BLOCKS: u64 = 30;

/// The payment, once the transaction that brought it is deep enough.
pub(super) async fn settled<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    receipt: &Receipt,
) -> Result<Payment, Stuck> {
    confirmed(env, receipt, wanted(env, record)).await?;
    let time = env.chain().block_time(receipt.block).await?;
    Ok(Payment {
        transaction: receipt.transaction,
        block: receipt.block,
        settled_at: UnixSeconds(time.ok_or(Stuck::Waiting)?),
        // The verdict on the receipt has proven that exactly this amount arrived.
        amount: record.terms.amount,
        log: None,
        unsigned: false,
    })
}

/// How many blocks a transaction needs, its own included: a payment as many as the seller wants, a refund at least
/// [`REFUND_CONFIRMATIONS`].
pub(super) fn wanted<E: PurchaseEnv>(env: &E, record: &Purchase) -> u64 {
    let wanted = env.config().chain.confirmations;
    match record.state {
        State::RefundPending { .. } | State::RefundFailed { .. } => {
            wanted.max(REFUND_CONFIRMATIONS)
        }
        _ => wanted,
    }
}

/// The newest block, once it makes the receipt's block as deep as `wanted`.
pub(super) async fn confirmed<E: PurchaseEnv>(
    env: &E,
    receipt: &Receipt,
    wanted: u64,
) -> Result<Head, Stuck> {
    let head = env.chain().head().await?;
    if head.number.saturating_add(1) < receipt.block.saturating_add(wanted) {
        return Err(Stuck::Waiting);
    }
    // Some nodes show receipts of a block before it is made, and the block may come without the transaction; and blocks
    // are replaced. So if the receipt's block is the newest, its hash must be the same; if it is older, the receipt
    // must still be there.
    let stands = match head.number == receipt.block {
        true => head.hash == receipt.block_hash,
        false => env.chain().receipt(receipt.transaction).await?.as_ref() == Some(receipt),
    };
    match stands {
        true => Ok(head),
        false => Err(Stuck::Waiting),
    }
}

/// Waits until a transaction that a client has named is as deep as the seller wants, and until its receipt shows all
/// its events: a transfer is credited by its log index.
pub(in crate::purchase) async fn shown<E: PurchaseEnv>(
    env: &E,
    receipt: &Receipt,
) -> Result<(), Stuck> {
    let head = confirmed(env, receipt, env.config().chain.confirmations).await?;
    let is_old = head.number >= receipt.block.saturating_add(INDEXED_BLOCKS);
    match receipt.completeness {
        Completeness::Complete => Ok(()),
        Completeness::Unproven if is_old => Ok(()),
        _ if !receipt.success => Ok(()),
        Completeness::Unproven | Completeness::Contradictory => Err(Stuck::Waiting),
    }
}
