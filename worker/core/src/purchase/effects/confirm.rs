//! What became of a transfer that is on its way.

use super::super::env::{Memory, PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::state::{Attempt, Purchase, Stage, State};
use super::charge::charge;
use super::depth::{confirmed, settled, wanted};
use super::facilitator;
use super::reconcile::{elsewhere, not_included, not_included_yet};
use super::refund::pay_back;
use crate::chain::Chain;
use crate::chain::base::Receipt;
use crate::chain::events::{Verdict, verdict};
use crate::pauses;
use crate::settlement::Route;
use crate::x402::Refusal;

/// Looks for the receipt of a transfer that is on its way.
pub(super) async fn confirm<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
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
    if env.now().since(last) < pauses::RECEIPT {
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
                None if env.now().since(*since) >= pauses::REFUND_RECEIPT => {
                    Ok(Event::AttemptFailed {
                        reason: Refusal::InvalidExactEvmTransactionFailed,
                        transaction: None,
                    })
                }
                None => Err(Stuck::Waiting),
            }
        }
        Event::Submitted { .. } => not_included_yet(env, record, attempt).await,
        other => Ok(other),
    }
}

/// Whether an attempt's transactions are a facilitator's claim. (A refund is always sent by a wallet of ours.)
pub(super) fn is_claimed<E: PurchaseEnv>(env: &E, record: &Purchase, attempt: &Attempt) -> bool {
    let route = env.config().settlement.route(attempt.via);
    matches!(record.state, State::Pending { .. }) && matches!(route, Route::Facilitator(_))
}

/// The attempt's transaction moved no money, for this reason. Somebody else may have used the authorization before it, so a node
/// that does not know that block must not be asked; or may still use it.
async fn failed<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
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
