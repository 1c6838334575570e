//! What became of a transfer that is on its way: the receipt, and its depth.

use super::charge::charge;
use super::reconcile::{elsewhere, not_included, not_included_yet};
use super::refund::pay_back;
use crate::challenge::driver::Memory;
use crate::challenge::env::{ChallengeEnv, Stuck};
use crate::challenge::facilitated;
use crate::challenge::lifecycle::Event;
use crate::challenge::record::{Attempt, Payment, Record, Stage, State};
use crate::payment::chain::{Chain, Receipt};
use crate::payment::confirm::{Verdict, verdict};
use crate::payment::{Refusal, Route};
use crate::types::UnixSeconds;

/// Without a receipt for this long the gas wallet is asked whether it sends under other hashes by now; or the chain, whether
/// a facilitator does.
const ASK_AGAIN_MILLIS: u64 = 5_000;
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
    for hash in hashes.iter().rev() {
        let Some(receipt) = env.chain().receipt(*hash).await? else {
            continue;
        };
        match verdict(&receipt, attempt.authorization.authorization(), usdc) {
            Verdict::Transferred => return settled(env, record, &receipt).await,
            // Any hash can be claimed. That it is not our transfer says nothing of the authorization.
            Verdict::NoTransfer if claimed => {}
            Verdict::NoTransfer => {
                let reason = Refusal::InvalidExactEvmTransferEventMismatch;
                return failed(env, record, attempt, &receipt, reason).await;
            }
            Verdict::Reverted => {
                let reason = Refusal::InvalidExactEvmTransactionFailed;
                return failed(env, record, attempt, &receipt, reason).await;
            }
        }
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
        return facilitated::reconcile(env, record, attempt).await;
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
    let at = confirmed(env, receipt).await?;
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
    if env.config().confirmations > 1 {
        confirmed(env, receipt).await?;
    }
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

/// The newest block, once the receipt's is as deep below it as the seller wants.
pub(in crate::challenge) async fn confirmed<E: ChallengeEnv>(
    env: &E,
    receipt: &Receipt,
) -> Result<u64, Stuck> {
    let wanted = env.config().confirmations;
    let head = env.chain().head().await?.number;
    if head.saturating_add(1) < receipt.block.saturating_add(wanted) {
        return Err(Stuck::Waiting);
    }
    // Its block may have been replaced before the head was read. Still there now means deep enough.
    if wanted > 1 && env.chain().receipt(receipt.transaction).await?.as_ref() != Some(receipt) {
        return Err(Stuck::Waiting);
    }
    Ok(head)
}
