//! Looking for the receipts of payments and refunds that are on their way.

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
    // A facilitator can claim any hash. If that transaction is not our transfer, this says nothing of the
    // authorization.
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
    // The transaction is in no block for a while. The gas wallet may have replaced it by now; a repeated submission
    // returns the hashes.
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

/// Looks for the receipt of a refund that is on its way. Refunds are always sent by a wallet of ours.
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
        // Nobody sends the refund any more: its block was replaced after the gas wallet had seen it included, for
        // instance. Unlike a payment, a refund does not expire soon, so this try is given up. The contract executes
        // either this try or the next, never both.
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
    /// In a transaction that moved the money, in a block that is deep enough.
    Paid(Event),
    /// In a transaction that moved no money.
    Not(Receipt, Verdict),
    /// In no transaction that we know of.
    Nowhere,
}

/// Looks at the receipts of these transactions, the newest first. `is_claimed`: only a facilitator says that they are
/// the transfer.
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
            // The transaction is our own and was included, but it is not known yet which events it has emitted.
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

/// Whether we asked a moment ago what became of this transaction. If not, notes that we ask now.
fn is_asked_lately<E: PurchaseEnv>(env: &E, sent: &Sent, memory: &Memory) -> bool {
    let asked = memory.last_asked.get().filter(|at| *at >= sent.since);
    let is_lately = env.now().since(asked.unwrap_or(sent.since)) < pauses::RECEIPT;
    if !is_lately {
        memory.last_asked.set(Some(env.now()));
    }
    is_lately
}

/// Whether the wallet's answer says more than the hashes that we know.
fn is_news(told: &Event, sent: &Sent) -> bool {
    let is_known = |hashes: &[B256]| hashes.iter().all(|hash| sent.hashes.contains(hash));
    !matches!(told, Event::Submitted { hashes } if is_known(hashes))
}

/// Whether we know an attempt's transactions only by a facilitator's claim.
fn is_claimed<E: PurchaseEnv>(env: &E, attempt: &Attempt) -> bool {
    let route = env.config().settlement.route(attempt.via);
    matches!(route, Route::Facilitator(_))
}

/// The event for a transaction that was included and moved no money.
fn no_money(receipt: &Receipt, verdict: Verdict) -> Event {
    Event::AttemptFailed {
        reason: match verdict {
            Verdict::Reverted => Refusal::InvalidExactEvmTransactionFailed,
            _ => Refusal::InvalidExactEvmTransferEventMismatch,
        },
        transaction: Some(receipt.transaction),
    }
}

/// The event for an attempt whose transaction moved no money. Somebody else may have used the authorization before that
/// transaction, so the question goes to a block that is at least as new. Or somebody else may still use it.
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
