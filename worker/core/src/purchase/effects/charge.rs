//! Handing an authorization to a wallet of ours, and the last moment for that.

use super::super::env::{PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::state::{Attempt, Broadcast, Purchase};
use crate::chain::Chain;
use crate::chain::base::Simulation;
use crate::pauses::CONTACT;
use crate::settlement::Route;
use crate::settlement::wallet::{Job, JobKey, WalletCommand, WalletReply};
use crate::types::{Address, UnixSeconds};
use crate::x402::authorization::MIN_REMAINING_SECONDS;

use super::fate::{not_included, refused};

/// From this second on the charge is not begun any more: nothing expired is charged. If the answer to a call is held,
/// its price was shown in time, so the offer's end does not matter; but a buyer who is gone is not charged.
pub(super) fn last_moment(record: &Purchase, attempt: &Attempt) -> UnixSeconds {
    let end = match attempt.held {
        Some(_) => attempt.contact.plus(CONTACT).to_seconds(),
        None => record.terms.expires_at,
    };
    authorized_until(attempt).min(end)
}

/// Whether at the time `at` the authorization is too close to its expiry to be used.
pub(super) fn is_too_late(attempt: &Attempt, at: UnixSeconds) -> bool {
    at >= authorized_until(attempt)
}

fn authorized_until(attempt: &Attempt) -> UnixSeconds {
    let authorization = attempt.broadcast.authorization.authorization();
    let expiry = authorization.expires_at().0;
    UnixSeconds(expiry.saturating_sub(MIN_REMAINING_SECONDS))
}

/// Hands the buyer's authorization to the gas wallet.
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

/// Simulates the transfer once more when the answer to a call is held. The payer may have moved the money away while
/// the call was made; a simulation costs no gas, a transaction that reverts does. After this stage the transfer is not
/// simulated again: an authorization that was handed over may be on its way even if the answer to that is lost, and
/// then only its own fate may end the attempt.
pub(super) async fn look_again<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    if env.now().to_seconds() >= last_moment(record, attempt) {
        return not_included(env, record, attempt).await;
    }
    let Route::GasWallet(key) = env.config().settlement.route(attempt.via) else {
        // No simulation is needed for a facilitator: it is asked whether it would settle before it is told to.
        return Ok(Event::Settling);
    };
    let broadcast = &attempt.broadcast;
    let simulation = env
        .chain()
        .simulate(&broadcast.authorization, key.address());
    match simulation.await? {
        Simulation::Succeeds { .. } => Ok(Event::Settling),
        Simulation::Reverts(text) => {
            let head = env.chain().head().await?;
            refused(env, record, broadcast, &text, &head).await
        }
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

/// The gas limit for an estimate. It leaves room for what may change until inclusion: a first-time balance, a cold
/// storage slot.
pub(in crate::purchase) const fn gas_limit(estimate: u64) -> u64 {
    estimate.saturating_add(estimate / 4).saturating_add(10_000)
}
