//! Handing a transfer to a wallet of ours, and until when that may be done.

use super::super::env::{PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::state::{Attempt, Broadcast, Purchase};
use crate::settlement::wallet::{Job, JobKey, WalletCommand, WalletReply};
use crate::types::{Address, UnixSeconds};
use crate::x402::authorization::MIN_REMAINING_SECONDS;

use super::fate::not_included;

/// From this second on the payment is not begun any more: nothing expired is charged.
pub(super) fn last_moment(record: &Purchase, attempt: &Attempt) -> UnixSeconds {
    let expiry = attempt
        .broadcast
        .authorization
        .authorization()
        .expires_at()
        .0;
    UnixSeconds(expiry.saturating_sub(MIN_REMAINING_SECONDS)).min(record.terms.expires_at)
}

/// Hands the buyer's transfer to the gas wallet.
pub(super) async fn charge<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    sender: Address,
) -> Result<Event, Stuck> {
    let job = JobKey(format!(
        "{}#{}",
        record.terms.request_id, attempt.broadcast.number
    ));
    let not_after = last_moment(record, attempt);
    match submit(env, &attempt.broadcast, job, sender, not_after).await? {
        WalletReply::Sent { hashes } => Ok(Event::Submitted { hashes }),
        // We broadcast nothing, but anybody who saw the authorization may have.
        WalletReply::TooLate => not_included(env, record, attempt).await,
    }
}

pub(super) async fn submit<E: PurchaseEnv>(
    env: &E,
    broadcast: &Broadcast,
    key: JobKey,
    sender: Address,
    not_after: UnixSeconds,
) -> Result<WalletReply, Stuck> {
    let job = Box::new(Job {
        authorization: broadcast.authorization.clone(),
        gas_limit: broadcast.gas_limit,
        not_after,
        sender: Some(sender),
    });
    let command = WalletCommand::Submit { key, job };
    Ok(env.wallet(sender, command).await?)
}

/// Room for what changes until inclusion: a first-time balance, a warm or cold slot.
pub(in crate::purchase) const fn gas_limit(estimate: u64) -> u64 {
    estimate.saturating_add(estimate / 4).saturating_add(10_000)
}
