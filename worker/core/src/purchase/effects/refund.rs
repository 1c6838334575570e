//! Refunds: signed once, sent as often as it takes.

use alloy_primitives::{B256, U256};
use sha2::{Digest, Sha256};

use super::super::env::{PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::state::{Payment, Purchase, Refund, State};
use super::charge::{gas_limit, submit};
use super::extension;
use super::fate::refused;
use crate::book::PayerCommand;
use crate::chain::Chain;
use crate::chain::SignedAuthorization;
use crate::chain::base::Simulation;
use crate::goods::DeliveryFault;
use crate::offer::ChallengeId;
use crate::settlement::wallet::{JobKey, WalletReply};
use crate::types::Address;
use crate::types::WalletKey;
use crate::x402::{Authorization, Refusal};

/// A refund's authorization stays good this long, so that retrying it never needs another one.
const REFUND_VALID_SECONDS: u64 = 10 * 366 * 86_400;

/// Signs the refund. Wallet, recipient and amount are fixed from here on, even if another key is configured later.
///
/// Only the wallet that received the money returns it. Otherwise anybody who can seal offers could pay into a wallet of
/// his own and have the seller's wallet refund it.
pub(super) async fn begin<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    payment: &Payment,
) -> Result<Event, Stuck> {
    if let Some(kept) = extension::withdraw(env, record, payment).await? {
        return Ok(kept);
    }
    count_late(env, record).await?;
    let wallet = env.config().refund.wallet.as_ref();
    let Some(wallet) = wallet.filter(|wallet| wallet.address() == record.terms.pay_to) else {
        env.log("refund_blocked", record.terms.request_id.as_str());
        return Ok(Event::RefundBlocked);
    };
    let authorization = Authorization {
        from: wallet.address(),
        to: record.payer,
        value: payment.amount.to_u256(),
        valid_after: U256::ZERO,
        valid_before: U256::from(env.now().to_seconds().plus(REFUND_VALID_SECONDS).0),
        nonce: refund_nonce(&record.challenge_id),
    };
    SignedAuthorization::sign(wallet, authorization, record.terms.network)
        .map(|authorization| Event::RefundBegun { authorization })
        .map_err(|_| Stuck::Fault("signing a refund failed".to_owned()))
}

/// Has the payer's book count a call that was not charged and whose payer has executed the authorization himself: its
/// refund costs gas as any other does. (The book was told of the call's end before, so it does not hear of the refund.)
async fn count_late<E: PurchaseEnv>(env: &E, record: &Purchase) -> Result<(), Stuck> {
    let State::Paid {
        failure: Some(failure),
        ..
    } = &record.state
    else {
        return Ok(());
    };
    let Some(presented) = record
        .presented
        .filter(|_| failure.fault == DeliveryFault::Late)
    else {
        return Ok(());
    };
    let late = PayerCommand::ArrivedLate {
        request_id: record.terms.request_id.clone(),
        nonce: presented.nonce,
    };
    env.payer(record.payer, late).await?;
    Ok(())
}

/// The nonce of an offer's one refund.
pub fn refund_nonce(offer: &ChallengeId) -> B256 {
    let digest = Sha256::new()
        .chain_update(b"key0 refund v1\0")
        .chain_update(offer.as_str())
        .finalize();
    B256::from_slice(&digest)
}

/// Simulates the refund, so that no gas is spent on one that cannot succeed.
pub(super) async fn prepare<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    refund: &Refund,
) -> Result<Event, Stuck> {
    let signed = &refund.broadcast.authorization;
    let simulation = env.chain().simulate(signed, refund_sender(env)?).await?;
    let head = env.chain().head().await?;
    match simulation {
        Simulation::Succeeds { gas } => Ok(Event::RefundPrepared {
            gas_limit: gas_limit(gas),
            from_block: head.number,
        }),
        // An earlier try may have succeeded after we had given it up.
        Simulation::Reverts(text) => {
            let event = refused(env, record, &refund.broadcast, &text, &head).await?;
            if let Event::AttemptFailed { reason, .. } = &event {
                env.log("refund_not_possible", reason.code());
            }
            Ok(event)
        }
    }
}

/// Hands the refund to the wallet that sends refunds.
pub(super) async fn pay_back<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    refund: &Refund,
) -> Result<Event, Stuck> {
    let broadcast = &refund.broadcast;
    let job = JobKey(format!(
        "{} refund #{}",
        record.terms.request_id, broadcast.number
    ));
    let not_after = broadcast.authorization.authorization().expires_at();
    let sender = refund_sender(env)?;
    match submit(env, broadcast, job, sender, not_after).await? {
        WalletReply::Sent { hashes } => Ok(Event::Submitted { hashes }),
        WalletReply::TooLate => Ok(Event::AttemptFailed {
            reason: Refusal::InvalidExactEvmPayloadAuthorizationValidBefore,
            transaction: None,
        }),
    }
}

/// The wallet that sends a refund now. Any wallet may, because the authorization is signed already.
fn refund_sender<E: PurchaseEnv>(env: &E) -> Result<Address, Stuck> {
    env.config()
        .refund_sender()
        .map(WalletKey::address)
        .ok_or_else(|| Stuck::Fault("there is no wallet left that could send a refund".to_owned()))
}
