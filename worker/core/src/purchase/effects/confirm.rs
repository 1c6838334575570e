//! What became of a transfer that is on its way.

use alloy_primitives::B256;

use super::super::env::{Memory, PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::state::{Attempt, Purchase, Stage, State};
use super::charge::charge;
use super::depth::{confirmed, settled, wanted};
use super::facilitator;
use super::fate::{Fate, fate_at, fate_of, not_included};
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
            Verdict::Transferred => {
                let payment = settled(env, record, &receipt).await?;
                return Ok(Event::Settled { payment });
            }
            // Any hash can be claimed. That it is not our transfer says nothing of the authorization.
            Verdict::NoTransfer | Verdict::OtherTransfer | Verdict::Unclear if claimed => {}
            // It did what we have sent. Which events it has emitted is not known yet.
            Verdict::Unclear => is_unclear = true,
            verdict @ (Verdict::NoTransfer | Verdict::OtherTransfer | Verdict::Reverted) => {
                return failed(env, record, attempt, &receipt, verdict).await;
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
    // Not included for a while. The wallet may send under another hash by now; to submit again is to ask that.
    let sent = match (&record.state, env.config().settlement.route(attempt.via)) {
        (State::RefundPending { refund, .. }, _) => pay_back(env, record, refund).await?,
        (_, Route::GasWallet(key)) => charge(env, record, attempt, key.address()).await?,
        (_, Route::Facilitator(_)) => return facilitator::reconcile(env, record, attempt).await,
    };
    let is_known = |current: &[B256]| current.iter().all(|hash| hashes.contains(hash));
    if !matches!(&sent, Event::Submitted { hashes } if is_known(hashes)) {
        return Ok(sent);
    }
    match (fate_of(env, record, attempt).await?, &record.state) {
        // Replaced after the gas wallet had seen it included, for instance: nobody sends it any more, and unlike a payment it
        // does not expire soon. The contract executes the next try or this one, never both.
        (Fate::Open | Fate::Expired, State::RefundPending { .. })
            if env.now().since(*since) >= pauses::REFUND_RECEIPT =>
        {
            Ok(Event::AttemptFailed {
                reason: Refusal::InvalidExactEvmTransactionFailed,
                transaction: None,
            })
        }
        (fate, _) => fate.awaited(true),
    }
}

/// Whether an attempt's transactions are a facilitator's claim. (A refund is always sent by a wallet of ours.)
fn is_claimed<E: PurchaseEnv>(env: &E, record: &Purchase, attempt: &Attempt) -> bool {
    let route = env.config().settlement.route(attempt.via);
    matches!(record.state, State::Pending { .. }) && matches!(route, Route::Facilitator(_))
}

/// The attempt's transaction moved no money. Somebody else may have used the authorization before it, so a node that does not
/// know that block must not be asked; or may still use it.
async fn failed<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    receipt: &Receipt,
    verdict: Verdict,
) -> Result<Event, Stuck> {
    let head = confirmed(env, receipt, wanted(env, record)).await?;
    if let Some(event) = fate_at(env, record, attempt, &head).await?.used() {
        return Ok(event);
    }
    if is_claimed(env, record, attempt) && !env.config().settlement.is_last(attempt.via) {
        return Ok(Event::PassedOn { exposed: false });
    }
    if attempt.exposed {
        return not_included(env, record, attempt).await;
    }
    Ok(Event::AttemptFailed {
        reason: match verdict {
            Verdict::Reverted => Refusal::InvalidExactEvmTransactionFailed,
            _ => Refusal::InvalidExactEvmTransferEventMismatch,
        },
        transaction: Some(receipt.transaction),
    })
}
