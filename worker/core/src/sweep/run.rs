//! One sweep: finds purchases that nothing drives, and wakes them.

use super::env::{SweepEnv, Swept};
use super::{open, transfers};
use crate::ledger::{LedgerCommand, LedgerReply, Progress, Shard, wrong_answer};
use crate::types::CallFault;

/// Sweeps once. What fails is tried again by the next sweep.
pub async fn sweep<E: SweepEnv>(env: &E) -> Swept {
    let mut swept = Swept::default();
    let before = match progress(env).await {
        Ok(progress) => Some(progress),
        Err(fault) => {
            // The last hours can be swept without the stored progress; but the record of how far the sweep has come is
            // then less exact.
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

pub(super) async fn progress<E: SweepEnv>(env: &E) -> Result<Progress, CallFault> {
    match env.ask(Shard::FIRST, &LedgerCommand::Swept).await? {
        LedgerReply::Swept(progress) => Ok(progress),
        _ => Err(wrong_answer()),
    }
}

async fn keep<E: SweepEnv>(env: &E, progress: Progress) -> Result<(), CallFault> {
    let command = LedgerCommand::KeepSwept(progress);
    env.ask(Shard::FIRST, &command).await.map(drop)
}
