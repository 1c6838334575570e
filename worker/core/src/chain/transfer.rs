//! An ordinary USDC transfer as a payment: which events of a transaction count, for how much, and who may present them.
//!
//! Credit is given for single `Transfer` events. A transaction with several of them may pay several purchases, one
//! each; the events are never added up. An event that follows `AuthorizationUsed` belongs to that authorization and
//! never counts here: [`events`](super::events) pairs the two in the same way, so that no event can be credited both as
//! a transfer and as an authorization.

use alloy_primitives::{Address, B256, U256, eip191_hash_message};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::base::Receipt;
use super::usdc::{self, AUTHORIZATION_USED_TOPIC, TRANSFER_TOPIC};
use crate::offer::Terms;
use crate::types::{UnixSeconds, UsdcAmount};

/// The most transfers of one transaction that are looked at.
pub const MAX_TRANSFERS: usize = 64;

/// A transfer that pays enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transfer {
    /// The wallet that paid.
    pub from: Address,
    /// The index of the event among the events of its transaction.
    pub log: u32,
    /// The amount.
    pub amount: UsdcAmount,
}

/// Why a transaction does not pay.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofFault {
    /// The transaction is not on chain, or has too few confirmations.
    TxUnconfirmed,
    /// The transaction is not on chain, and would be too late to pay if it was included now.
    NotIncluded,
    /// The transaction reverted.
    TransactionReverted,
    /// The transaction has no ordinary USDC transfer to the seller.
    NoTransfer,
    /// The transfer came from another wallet than the one that signed.
    PayerMismatch,
    /// The transfer pays too little.
    AmountMismatch(
        /// The largest amount of one transfer of the transaction.
        UsdcAmount,
    ),
    /// The transfer is older than the offer.
    TransferBeforeOffer,
    /// The transfer came after the offer's end.
    TransferAfterExpiry,
    /// The transfer may pay, but so may the authorization that was presented earlier for the same purchase.
    AuthorizationOpen(
        /// When the authorization expires; it cannot pay after that.
        UnixSeconds,
    ),
    /// The transfer is shown too long after the offer's end.
    ShownTooLate,
    /// The offer names a wallet that the seller no longer uses.
    WalletNotUsed,
}

impl ProofFault {
    /// The reason as a code for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TxUnconfirmed => "tx_unconfirmed",
            Self::NotIncluded => "not_included",
            Self::TransactionReverted => "transaction_reverted",
            Self::NoTransfer => "no_transfer",
            Self::PayerMismatch => "payer_mismatch",
            Self::AmountMismatch(_) => "amount_mismatch",
            Self::TransferBeforeOffer => "transfer_before_offer",
            Self::TransferAfterExpiry => "transfer_after_expiry",
            Self::AuthorizationOpen(_) => "authorization_open",
            Self::ShownTooLate => "shown_too_late",
            Self::WalletNotUsed => "wallet_not_used",
        }
    }
}

/// The transfers of a transaction that pay the price, the smallest first. `payer` is the signer; without a signer, anyone's
/// transfers count.
pub fn payments(
    receipt: &Receipt,
    terms: &Terms,
    payer: Option<Address>,
) -> Result<Vec<Transfer>, ProofFault> {
    if !receipt.success {
        return Err(ProofFault::TransactionReverted);
    }
    let all = ordinary(receipt, terms.network.usdc(), terms.pay_to);
    if all.is_empty() {
        return Err(ProofFault::NoTransfer);
    }
    let mut most = None;
    let mut enough: Vec<Transfer> = Vec::new();
    for transfer in all {
        if payer.is_some_and(|payer| payer != transfer.from) {
            continue;
        }
        most = most.max(Some(transfer.amount));
        if transfer.amount >= terms.amount {
            let place = enough.partition_point(|other| other.amount <= transfer.amount);
            enough.insert(place, transfer);
            enough.truncate(MAX_TRANSFERS);
        }
    }
    match most {
        None => Err(ProofFault::PayerMismatch),
        Some(received) if enough.is_empty() => Err(ProofFault::AmountMismatch(received)),
        Some(_) => Ok(enough),
    }
}

/// How long after the end of its offer a transfer can be shown, in seconds. Without a limit, every old offer with its
/// transfer would open a new grant at a deployment that has lost its books, or at another deployment with the same
/// secret.
pub const SHOW_SECONDS: u64 = 30 * 86_400;

/// How long after the end of an offer a transaction that is not on chain may still turn out to have been included in
/// time, in seconds: a node may lag.
const LAG_SECONDS: u64 = 600;

/// The fault of a transaction that is not on chain. `head`: the newest block's time.
pub const fn absence(terms: &Terms, head: UnixSeconds) -> ProofFault {
    match head.0 < terms.expires_at.0.saturating_add(LAG_SECONDS) {
        true => ProofFault::TxUnconfirmed,
        false => ProofFault::NotIncluded,
    }
}

/// Whether a transaction was included while the offer was good.
pub const fn check_time(terms: &Terms, included_at: UnixSeconds) -> Result<(), ProofFault> {
    if included_at.0 < terms.issued_at.0 {
        Err(ProofFault::TransferBeforeOffer)
    } else if included_at.0 >= terms.expires_at.0 {
        Err(ProofFault::TransferAfterExpiry)
    } else {
        Ok(())
    }
}

/// Every transfer to `pay_to` without an authorization (EIP-3009). The seller's transfers to itself do not count.
fn ordinary(receipt: &Receipt, usdc: Address, pay_to: Address) -> Vec<Transfer> {
    let mut is_authorized = false;
    let mut found = Vec::new();
    for (at, log) in receipt.logs.iter().enumerate() {
        if log.address != usdc {
            continue;
        }
        let authorized = core::mem::replace(
            &mut is_authorized,
            log.topics.first() == Some(&AUTHORIZATION_USED_TOPIC),
        );
        let [topic, from, to] = log.topics.as_slice() else {
            continue;
        };
        if authorized
            || *topic != TRANSFER_TOPIC
            || *to != pay_to.into_word()
            || from == to
            || log.data.len() != 32
        {
            continue;
        }
        if let (Ok(log), Ok(units)) = (
            u32::try_from(at),
            u64::try_from(U256::from_be_slice(&log.data)),
        ) {
            found.push(Transfer {
                from: Address::from_word(*from),
                log,
                amount: UsdcAmount::from_units(units),
            });
        }
    }
    found
}

/// Every ordinary transfer of a transaction to one of these wallets.
pub fn received(receipt: &Receipt, usdc: Address, wallets: &[Address]) -> Vec<Transfer> {
    let mut found = Vec::new();
    for wallet in wallets.iter().filter(|_| receipt.success) {
        found.extend(ordinary(receipt, usdc, *wallet));
    }
    found.sort_by_key(|transfer| transfer.log);
    found
}

/// The key under which the payer's book holds a transfer. The book's other keys are nonces that the payer chooses; a
/// payer that chooses a nonce equal to a transfer's key harms only itself.
pub fn booking_key(transaction: B256, log: u32) -> B256 {
    let digest = Sha256::new()
        .chain_update(b"key0 transfer v1\0")
        .chain_update(transaction)
        .chain_update(log.to_be_bytes())
        .finalize();
    B256::from_slice(&digest)
}

/// The digest of a text that a wallet signs (EIP-191, `personal_sign`).
pub fn text_digest(text: &str) -> B256 {
    eip191_hash_message(text)
}

/// The account whose key has signed the digest. `None` if the signature is not valid.
pub fn signer(digest: &B256, signature: &[u8]) -> Option<Address> {
    usdc::signature(signature)?
        .recover_address_from_prehash(digest)
        .ok()
}

#[cfg(test)]
mod tests;
