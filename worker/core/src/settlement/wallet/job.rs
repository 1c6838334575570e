//! Jobs of the wallet: one payment each, with everything that was signed for it.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::transaction::Fees;
use crate::chain::ChainError;
use crate::chain::SignedAuthorization;
use crate::types::{UnixMillis, UnixSeconds};

/// The name of a job, never reused for another job.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct JobKey(pub String);

/// One payment to be included.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The payment.
    pub authorization: SignedAuthorization,
    /// The most gas that the payment may use.
    pub gas_limit: u64,
    /// The job must not begin at or after this second.
    pub not_after: UnixSeconds,
    /// The wallet that sends the payment; the gas wallet if `None`.
    #[serde(default)]
    pub sender: Option<Address>,
}

/// An open job with its transactions.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The job's name.
    pub key: JobKey,
    /// The job.
    pub job: Job,
    /// The transactions that were signed for the job, oldest first; never empty.
    pub versions: Vec<Signed>,
}

/// One signed transaction.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// The wallet's nonce.
    pub nonce: u64,
    /// The transaction's hash.
    pub hash: B256,
    /// The bytes that are broadcast.
    pub raw: Bytes,
    /// The fees that it offers.
    pub fees: Fees,
    /// The most gas that the transaction may use.
    pub gas_limit: u64,
    /// When the transaction was signed.
    pub signed_at: UnixMillis,
    /// Whether the transaction pays nothing and only uses up the nonce.
    #[serde(default)]
    pub cancels: bool,
}

impl Sent {
    /// The hashes under which the payment may be included. Cancellations move no money, so their hashes are not among
    /// these.
    pub fn hashes(&self) -> Vec<B256> {
        let payments = self.versions.iter().filter(|version| !version.cancels);
        payments.map(|version| version.hash).collect()
    }

    /// The transactions that may still be included when all nonces below `used` are used: the newest transaction of
    /// each nonce.
    pub(super) fn live(&self, used: u64) -> impl Iterator<Item = &Signed> {
        self.versions
            .iter()
            .enumerate()
            .filter(move |(at, version)| {
                let mut later = self.versions.iter().skip(at.saturating_add(1));
                version.nonce >= used && !later.any(|later| later.nonce == version.nonce)
            })
            .map(|(_, version)| version)
    }

    /// The newest transaction with this nonce.
    pub(super) fn newest_at(&self, nonce: u64) -> Option<&Signed> {
        let mut newest_first = self.versions.iter().rev();
        newest_first.find(|version| version.nonce == nonce)
    }

    /// The highest nonce of the job below `used`.
    pub(super) fn highest_below(&self, used: u64) -> Option<u64> {
        let nonces = self.versions.iter().map(|version| version.nonce);
        nonces.filter(|nonce| *nonce < used).max()
    }

    /// The lowest nonce of the job.
    pub fn first_nonce(&self) -> u64 {
        let nonces = self.versions.iter().map(|version| version.nonce);
        nonces.min().unwrap_or_default()
    }

    /// Whether a nonce of the job was given up: then no payment is signed for the job again.
    pub fn is_given_up(&self) -> bool {
        self.versions.iter().any(|version| version.cancels)
    }

    /// Whether the authorization has expired, so that the contract refuses the payment.
    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        now.to_seconds() >= self.job.authorization.authorization().expires_at()
    }

    /// How many transactions were signed for the job: cancellations if `cancels`, otherwise payments.
    pub(super) fn signed(&self, cancels: bool) -> usize {
        let alike = self.versions.iter();
        alike.filter(|version| version.cancels == cancels).count()
    }

    /// How long ago the job's newest transaction was signed.
    pub(super) fn age(&self, now: UnixMillis) -> u64 {
        self.versions
            .last()
            .map(|newest| now.since(newest.signed_at))
            .unwrap_or_default()
    }
}

/// A request to the gas wallet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WalletCommand {
    /// Get this payment included. Repeating the command returns the same transactions.
    Submit {
        /// The job's name.
        key: JobKey,
        /// The job.
        job: Box<Job>,
    },
}

/// The gas wallet's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WalletReply {
    /// The payment was sent, under one of these hashes.
    Sent {
        /// Transaction hashes, oldest first.
        hashes: Vec<B256>,
    },
    /// The payment was not begun, and it is too late to begin it.
    TooLate,
}

/// The wallet cannot do this now; trying again is safe. The text is for the log only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WalletFault(pub String);

impl From<ChainError> for WalletFault {
    fn from(error: ChainError) -> Self {
        Self(error.0)
    }
}
