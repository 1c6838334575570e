//! The sweep: once an hour it looks for purchases that nothing drives any more, and wakes them.
//!
//! Each purchase is driven by its own alarm and by its buyer's questions. An alarm may be lost, and a buyer may never come
//! back. What is open in the ledger is found there. But a purchase reports to the ledger by that same alarm, so one whose
//! alarm never rang is in no ledger. Its money is on the chain, though, and its payer's book knows whose it is.
//!
//! One sweep does a bounded amount of work and remembers how far it has come.

mod open;
mod payments;
mod transfers;

use core::future::Future;
use core::ops::RangeInclusive;
use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::challenge::CallFault;
use crate::config::Config;
use crate::ledger::{Cursor, LedgerCommand, LedgerReply, Ledgers, Shard, wrong_answer};
use crate::payment::ChainError;
use crate::payment::chain::{Head, Receipt};
use crate::types::{RequestId, UnixMillis};

/// How far the sweep has come.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The first block whose transfers were not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_block: Option<u64>,
    /// Of each state that is open: behind which entry the next sweep goes on. From the beginning, if there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub after: BTreeMap<String, Cursor>,
}

/// A transfer of USDC to the seller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// Its block.
    pub block: u64,
    /// Its transaction.
    pub transaction: B256,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// How many purchases it looked at.
    pub looked_at: u32,
    /// How many of them had to be woken.
    pub woken: u32,
    /// How many could not be reached.
    pub unreachable: u32,
}

/// What the sweep needs from outside.
pub trait SweepEnv: Ledgers {
    /// The settings.
    fn config(&self) -> &Config;
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// The newest block.
    fn head(&self) -> impl Future<Output = Result<Head, ChainError>>;
    /// The transfers of USDC to these wallets in these blocks, in their order, each once; without those of nothing. A node
    /// may refuse to look through so many blocks.
    fn transfers(
        &self,
        wallets: &[Address],
        blocks: RangeInclusive<u64>,
    ) -> impl Future<Output = Result<Vec<Seen>, ChainError>>;
    /// A transaction's receipt, once it is included.
    fn receipt(
        &self,
        transaction: B256,
    ) -> impl Future<Output = Result<Option<Receipt>, ChainError>>;
    /// The purchase for which a payer's book counts a payment: an authorization's nonce, or a transfer's key.
    fn owner(
        &self,
        payer: Address,
        payment: B256,
    ) -> impl Future<Output = Result<Option<RequestId>, CallFault>>;
    /// Has a purchase look whether it is on its way ([`nudge`](crate::challenge::nudge)).
    fn nudge(&self, request_id: &RequestId) -> impl Future<Output = Result<bool, CallFault>>;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// Sweeps once. What fails is tried again by the next one.
pub async fn sweep<E: SweepEnv>(env: &E) -> Swept {
    let mut swept = Swept::default();
    let before = match progress(env).await {
        Ok(progress) => Some(progress),
        Err(fault) => {
            // The last hours can be swept all the same. But how far the sweep has come is known less well than before.
            env.log("sweep_failed", &fault.0);
            None
        }
    };
    let mut after = before.clone().unwrap_or_default();
    if let Err(fault) = open::sweep(env, &mut after, &mut swept).await {
        env.log("sweep_failed", &fault.0);
    }
    if let Err(fault) = transfers::sweep(env, &mut after, &mut swept).await {
        env.log("sweep_failed", &fault);
    }
    if before.is_some_and(|before| before != after)
        && let Err(fault) = keep(env, after).await
    {
        env.log("sweep_failed", &fault.0);
    }
    let Swept {
        looked_at,
        woken,
        unreachable,
    } = swept;
    env.log(
        "swept",
        &format!("looked at {looked_at}, woken {woken}, unreachable {unreachable}"),
    );
    swept
}

async fn progress<E: SweepEnv>(env: &E) -> Result<Progress, CallFault> {
    match env.ask(Shard::FIRST, &LedgerCommand::Swept).await? {
        LedgerReply::Swept(progress) => Ok(progress),
        _ => Err(wrong_answer()),
    }
}

async fn keep<E: SweepEnv>(env: &E, progress: Progress) -> Result<(), CallFault> {
    let command = LedgerCommand::KeepSwept(progress);
    env.ask(Shard::FIRST, &command).await.map(drop)
}

/// Wakes a purchase if it must be. Whether it could be reached.
async fn wake<E: SweepEnv>(env: &E, request_id: &RequestId, swept: &mut Swept) -> bool {
    swept.looked_at += 1;
    match env.nudge(request_id).await {
        Ok(was_needed) => {
            if was_needed {
                env.log("woken_by_sweep", request_id.as_str());
                swept.woken += 1;
            }
            true
        }
        Err(fault) => {
            env.log("sweep_failed", &fault.0);
            swept.unreachable += 1;
            false
        }
    }
}

#[cfg(test)]
mod tests;
