//! What became of a transfer that is on its way.

use alloy_primitives::B256;

use super::super::env::{Memory, PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::state::{Attempt, Broadcast, Purchase, Refund, Sent};
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

/// Looks for the receipt of a payment that is on its way.
pub(super) async fn payment<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    sent: &Sent,
    memory: &Memory,
) -> Result<Event, Stuck> {
    // Any hash can be claimed. That it is not our transfer says nothing of the authorization.
    let is_claimed = is_claimed(env, attempt);
    match included(env, record, &attempt.broadcast, sent, is_claimed).await? {
        Included::Paid(event) => return Ok(event),
        Included::Not(receipt, verdict) => {
            return failed(env, record, attempt, &receipt, verdict).await;
        }
        Included::Nowhere => {}
    }
    if is_asked_lately(env, sent, memory) {
        return Err(Stuck::Waiting);
    }
    // Not included for a while. The wallet may send under another hash by now; to submit again is to ask that.
    let told = match env.config().settlement.route(attempt.via) {
        Route::GasWallet(key) => charge(env, record, attempt, key.address()).await?,
        Route::Facilitator(_) => return facilitator::reconcile(env, record, attempt).await,
    };
    match is_news(&told, sent) {
        true => Ok(told),
        false => fate_of(env, record, &attempt.broadcast)
            .await?
            .awaited(true),
    }
}

/// Looks for the receipt of a refund that is on its way. A wallet of ours sends it.
pub(super) async fn refund<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    refund: &Refund,
    sent: &Sent,
    memory: &Memory,
) -> Result<Event, Stuck> {
    match included(env, record, &refund.broadcast, sent, false).await? {
        Included::Paid(event) => return Ok(event),
        Included::Not(receipt, verdict) => {
            let head = confirmed(env, &receipt, wanted(env, record)).await?;
            let fate = fate_at(env, record, &refund.broadcast, &head).await?;
            return Ok(fate.used().unwrap_or_else(|| no_money(&receipt, verdict)));
        }
        Included::Nowhere => {}
    }
    if is_asked_lately(env, sent, memory) {
        return Err(Stuck::Waiting);
    }
    let told = pay_back(env, record, refund).await?;
    if is_news(&told, sent) {
        return Ok(told);
    }
    match fate_of(env, record, &refund.broadcast).await? {
        // Replaced after the gas wallet had seen it included, for instance: nobody sends it any more, and unlike a payment it
        // does not expire soon. The contract executes the next try or this one, never both.
        Fate::Open | Fate::Expired if env.now().since(sent.since) >= pauses::REFUND_RECEIPT => {
            Ok(Event::AttemptFailed {
                reason: Refusal::InvalidExactEvmTransactionFailed,
                transaction: None,
            })
        }
        fate => fate.awaited(true),
    }
}

/// Where a transfer was included.
enum Included {
    /// In a transaction that moved the money, deep enough.
    Paid(Event),
    /// In one that moved none.
    Not(Receipt, Verdict),
    /// In none that is known.
    Nowhere,
}

/// Looks at the receipts of these transactions, the newest first. `is_claimed`: somebody else says that they are the transfer.
async fn included<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    broadcast: &Broadcast,
    sent: &Sent,
    is_claimed: bool,
) -> Result<Included, Stuck> {
    let usdc = record.terms.network.usdc();
    let mut is_unclear = false;
    for hash in sent.hashes.iter().rev() {
        let Some(receipt) = env.chain().receipt(*hash).await? else {
            continue;
        };
        match verdict(&receipt, broadcast.authorization.authorization(), usdc) {
            Verdict::Transferred => {
                let payment = settled(env, record, &receipt).await?;
                return Ok(Included::Paid(Event::Settled { payment }));
            }
            Verdict::NoTransfer | Verdict::OtherTransfer | Verdict::Unclear if is_claimed => {}
            // It did what we have sent. Which events it has emitted is not known yet.
            Verdict::Unclear => is_unclear = true,
            verdict @ (Verdict::NoTransfer | Verdict::OtherTransfer | Verdict::Reverted) => {
                return Ok(Included::Not(receipt, verdict));
            }
        }
    }
    match is_unclear {
        true => Err(Stuck::Fault(
            "a transaction is included, but no node shows its events yet".to_owned(),
        )),
        false => Ok(Included::Nowhere),
    }
}

/// Whether it was asked a moment ago who sends it. If not, it is asked now.
fn is_asked_lately<E: PurchaseEnv>(env: &E, sent: &Sent, memory: &Memory) -> bool {
    let asked = memory.last_asked.get().filter(|at| *at >= sent.since);
    let is_lately = env.now().since(asked.unwrap_or(sent.since)) < pauses::RECEIPT;
    if !is_lately {
        memory.last_asked.set(Some(env.now()));
    }
    is_lately
}

/// Whether who sends it says more than what is known.
fn is_news(told: &Event, sent: &Sent) -> bool {
    let is_known = |hashes: &[B256]| hashes.iter().all(|hash| sent.hashes.contains(hash));
    !matches!(told, Event::Submitted { hashes } if is_known(hashes))
}

/// Whether an attempt's transactions are a facilitator's claim.
fn is_claimed<E: PurchaseEnv>(env: &E, attempt: &Attempt) -> bool {
    let route = env.config().settlement.route(attempt.via);
    matches!(route, Route::Facilitator(_))
}

/// A transaction was included and moved no money.
fn no_money(receipt: &Receipt, verdict: Verdict) -> Event {
    Event::AttemptFailed {
        reason: match verdict {
            Verdict::Reverted => Refusal::InvalidExactEvmTransactionFailed,
            _ => Refusal::InvalidExactEvmTransferEventMismatch,
        },
        transaction: Some(receipt.transaction),
    }
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
    if let Some(event) = fate_at(env, record, &attempt.broadcast, &head)
        .await?
        .used()
    {
        return Ok(event);
    }
    if is_claimed(env, attempt) && !env.config().settlement.is_last(attempt.via) {
        return Ok(Event::PassedOn { exposed: false });
    }
    if attempt.exposed {
        return not_included(env, record, attempt).await;
    }
    Ok(no_money(receipt, verdict))
}
