//! What became of a transfer that is on its way: the receipt, and its depth.

use super::super::driver::Memory;
use super::super::env::{ChallengeEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::record::{Attempt, Payment, Record, Stage, State};
use super::charge::charge;
use super::facilitator;
use super::reconcile::{elsewhere, not_included, not_included_yet};
use super::refund::pay_back;
use crate::chain::Chain;
use crate::chain::base::{Completeness, Receipt};
use crate::chain::events::{Verdict, verdict};
use crate::settlement::Route;
use crate::types::UnixSeconds;
use crate::x402::Refusal;

/// Without a receipt for this long the gas wallet is asked whether it sends under other hashes by now; or the chain, whether
/// a facilitator does.
const ASK_AGAIN_MILLIS: u64 = 5_000;
/// A refund counts once it is at least so deep, its own block included. The buyer does not wait for it, and afterwards the chain
/// is not asked again: a block that is replaced then would take the money with it.
const REFUND_CONFIRMATIONS: u64 = 5;
/// So many blocks after its own, a receipt without a filter counts as complete: nodes that show events late are seconds late.
const INDEXED_BLOCKS: u64 = 30;
/// A refund that is not included for this long is tried again in another transaction.
const REFUND_LOST_MILLIS: u64 = 600_000;

/// Looks for the receipt of a transfer that is on its way.
pub(super) async fn confirm<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    memory: &Memory,
) -> Result<Event, Stuck> {
    let Stage::Submitted { hashes, since } = &attempt.stage else {
        return Err(Stuck::Waiting);
    };
    let claimed = is_claimed(env, record, attempt);
    let usdc = record.terms.network.usdc();
    let mut is_unclear = false;
    for hash in hashes.iter().rev() {
        let Some(receipt) = env.chain().receipt(*hash).await? else {
            continue;
        };
        match verdict(&receipt, attempt.authorization.authorization(), usdc) {
            Verdict::Transferred => return settled(env, record, &receipt).await,
            // Any hash can be claimed. That it is not our transfer says nothing of the authorization.
            Verdict::NoTransfer | Verdict::OtherTransfer | Verdict::Unclear if claimed => {}
            // It did what we have sent. Which events it has emitted is not known yet.
            Verdict::Unclear => is_unclear = true,
            Verdict::NoTransfer | Verdict::OtherTransfer => {
                let reason = Refusal::InvalidExactEvmTransferEventMismatch;
                return failed(env, record, attempt, &receipt, reason).await;
            }
            Verdict::Reverted => {
                let reason = Refusal::InvalidExactEvmTransactionFailed;
                return failed(env, record, attempt, &receipt, reason).await;
            }
        }
    }
    if is_unclear {
        return Err(Stuck::Fault(
            "a transaction is included, but no node shows its events yet".to_owned(),
        ));
    }
    let last = memory
        .last_asked
        .get()
        .filter(|at| at >= since)
        .unwrap_or(*since);
    if env.now().since(last) < ASK_AGAIN_MILLIS {
        return Err(Stuck::Waiting);
    }
    memory.last_asked.set(Some(env.now()));
    if claimed {
        return facilitator::reconcile(env, record, attempt).await;
    }
    // Not included for a while. The wallet may send under another hash by now; to submit again is to ask that.
    let (answer, is_refund) = match (&record.state, env.config().settlement.route(attempt.via)) {
        (State::RefundPending { refund, .. }, _) => (pay_back(env, record, refund).await?, true),
        (_, Route::GasWallet(key)) => (charge(env, record, attempt, key.address()).await?, false),
        (_, Route::Facilitator(_)) => return Err(Stuck::Waiting),
    };
    match answer {
        Event::Submitted { hashes: current }
            if current.iter().any(|hash| !hashes.contains(hash)) =>
        {
            Ok(Event::Submitted { hashes: current })
        }
        Event::Submitted { .. } if is_refund => {
            let at = env.chain().head().await?.number;
            match elsewhere(env, record, attempt, at).await? {
                Some(event) => Ok(event),
                // Replaced after the gas wallet had seen it included, for instance: nobody sends it any more, and unlike
                // a payment it does not expire soon. The contract executes the next try or this one, never both.
                None if env.now().since(*since) >= REFUND_LOST_MILLIS => Ok(Event::AttemptFailed {
                    reason: Refusal::InvalidExactEvmTransactionFailed,
                    transaction: None,
                }),
                None => Err(Stuck::Waiting),
            }
        }
        Event::Submitted { .. } => not_included_yet(env, record, attempt).await,
        other => Ok(other),
    }
}

/// Whether an attempt's transactions are a facilitator's claim. (A refund is always sent by a wallet of ours.)
pub(super) fn is_claimed<E: ChallengeEnv>(env: &E, record: &Record, attempt: &Attempt) -> bool {
    let route = env.config().settlement.route(attempt.via);
    matches!(record.state, State::Pending { .. }) && matches!(route, Route::Facilitator(_))
}

/// The attempt's transaction moved no money, for this reason. Somebody else may have used the authorization before it, so a node
/// that does not know that block must not be asked; or may still use it.
async fn failed<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    receipt: &Receipt,
    reason: Refusal,
) -> Result<Event, Stuck> {
    let at = confirmed(env, receipt, wanted(env, record)).await?;
    if let Some(event) = elsewhere(env, record, attempt, at).await? {
        return Ok(event);
    }
    if is_claimed(env, record, attempt) && !env.config().settlement.is_last(attempt.via) {
        return Ok(Event::PassedOn { exposed: false });
    }
    if attempt.exposed {
        return not_included(env, record, attempt).await;
    }
    Ok(Event::AttemptFailed {
        reason,
        transaction: Some(receipt.transaction),
    })
}

pub(super) async fn settled<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    receipt: &Receipt,
) -> Result<Event, Stuck> {
    confirmed(env, receipt, wanted(env, record)).await?;
    let time = env.chain().block_time(receipt.block).await?;
    Ok(Event::Settled {
        payment: Payment {
            transaction: receipt.transaction,
            block: receipt.block,
            settled_at: UnixSeconds(time.ok_or(Stuck::Waiting)?),
            // The verdict has proven that exactly this arrived.
            amount: record.terms.amount,
            log: None,
            unsigned: false,
        },
    })
}

/// How many blocks money takes, its own included: what comes in as many as the seller wants, what goes back more.
fn wanted<E: ChallengeEnv>(env: &E, record: &Record) -> u64 {
    let wanted = env.config().confirmations;
    match record.state {
        State::RefundPending { .. } | State::RefundFailed { .. } => {
            wanted.max(REFUND_CONFIRMATIONS)
        }
        _ => wanted,
    }
}

/// The newest block, once it is the receipt's own or as much further as is `wanted`.
async fn confirmed<E: ChallengeEnv>(env: &E, receipt: &Receipt, wanted: u64) -> Result<u64, Stuck> {
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
        true => Ok(head.number),
        false => Err(Stuck::Waiting),
    }
}

/// Waits until a transaction that was shown to us is as deep as the seller wants, and until its receipt shows all its events:
/// their places tell which of them is credited.
pub(in crate::purchase) async fn shown<E: ChallengeEnv>(
    env: &E,
    receipt: &Receipt,
) -> Result<(), Stuck> {
    let head = confirmed(env, receipt, env.config().confirmations).await?;
    let is_old = head >= receipt.block.saturating_add(INDEXED_BLOCKS);
    match receipt.completeness {
        Completeness::Complete => Ok(()),
        Completeness::Unproven if is_old => Ok(()),
        _ if !receipt.success => Ok(()),
        Completeness::Unproven | Completeness::Contradictory => Err(Stuck::Waiting),
    }
}
