//! When an included transaction counts: how deep its block must be, and that the block is still there.

use super::super::env::{PurchaseEnv, Stuck};
use super::super::state::{Payment, Purchase, State};
use crate::chain::Chain;
use crate::chain::base::{Completeness, Head, Receipt};
use crate::types::UnixSeconds;

/// A refund counts once it is at least so deep, its own block included. The buyer does not wait for it, and afterwards the chain
/// is not asked again: a block that is replaced then would take the money with it.
const REFUND_CONFIRMATIONS: u64 = 5;
/// So many blocks after its own, a receipt without a filter counts as complete: nodes that show events late are seconds late.
const INDEXED_BLOCKS: u64 = 30;

/// The money, once the transaction that brought it counts.
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
        // The verdict has proven that exactly this arrived.
        amount: record.terms.amount,
        log: None,
        unsigned: false,
    })
}

/// How many blocks money takes, its own included: what comes in as many as the seller wants, what goes back more.
pub(super) fn wanted<E: PurchaseEnv>(env: &E, record: &Purchase) -> u64 {
    let wanted = env.config().chain.confirmations;
    match record.state {
        State::RefundPending { .. } | State::RefundFailed { .. } => {
            wanted.max(REFUND_CONFIRMATIONS)
        }
        _ => wanted,
    }
}

/// The newest block, once it is the receipt's own or as much further as is `wanted`.
pub(super) async fn confirmed<E: PurchaseEnv>(
    env: &E,
    receipt: &Receipt,
    wanted: u64,
) -> Result<Head, Stuck> {
    let head = env.chain().head().await?;
    if head.number.saturating_add(1) < receipt.block.saturating_add(wanted) {
        return Err(Stuck::Waiting);
    }
    // Some nodes show receipts of a block before it is made, and it may come without the transaction; and blocks are replaced.
    // So the newest block must be the receipt's; in an older one, the receipt must still be there now.
    let stands = match head.number == receipt.block {
        true => head.hash == receipt.block_hash,
        false => env.chain().receipt(receipt.transaction).await?.as_ref() == Some(receipt),
    };
    match stands {
        true => Ok(head),
        false => Err(Stuck::Waiting),
    }
}

/// Waits until a transaction that was shown to us is as deep as the seller wants, and until its receipt shows all its events:
/// their places tell which of them is credited.
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
