//! The gas wallet's pipeline: gets each payment's transaction included, and never waits for one before sending the next.
//!
//! - A job is stored, signed and numbered before it is broadcast. Asking for the same job again returns the same
//!   transactions, so a caller that lost the answer cannot cause a second one.
//! - Between reading the next nonce and storing the job nothing is awaited, so no two jobs get the same nonce.
//! - Whatever is not included yet is looked after by the alarm: broadcast again, given a higher fee when it is stuck,
//!   given another nonce when a foreign transaction took its own.
//! - Every transaction calls the USDC contract and nothing else; or Multicall3 with that call, after one of a factory that the
//!   seller has listed, when the payer's wallet does not exist yet. Executing one authorization twice is impossible there,
//!   so two transactions for the same job can cost gas but never the buyer's money.

use core::cell::Cell;
use core::future::Future;

use alloy_primitives::{Address, B256, Bytes, U256};
use futures_util::future;
use serde::{Deserialize, Serialize};

use super::key::WalletKey;
use super::transaction::{Fees, Transaction};
use crate::payment::chain::{Chain, ChainError, SendOutcome};
use crate::payment::{SignedAuthorization, usdc};
use crate::types::{Network, UnixMillis, UnixSeconds};

/// How often the alarm looks after what is not included.
const CHECK_MILLIS: u64 = 4_000;
/// An alarm that has not rung for so long after its time is not counted on any more.
const ALARM_LATE_MILLIS: u64 = 10_000;
/// A transaction that is next in line and not included for this long gets a higher fee.
const STUCK_MILLIS: u64 = 15_000;
/// A nonce that is used, without a receipt of ours for this long, was used by somebody else.
const LOST_MILLIS: u64 = 20_000;
/// Fees are asked for at most this often.
const QUOTE_MILLIS: u64 = 2_000;
/// How much is looked after in one alarm.
const MAX_JOBS_PER_ALARM: usize = 32;
/// How often one job is signed at most.
const MAX_VERSIONS: usize = 16;
/// Never paid more than this per unit of gas, in wei; far above any fee seen on Base.
const MAX_FEE: u128 = 200_000_000_000;
/// The tip when a node cannot name one, in wei.
const DEFAULT_PRIORITY_FEE: u128 = 1_000_000;

/// Names one job, for ever.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct JobKey(pub String);

/// One payment to be included.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The payment.
    pub authorization: SignedAuthorization,
    /// The most gas that it may use.
    pub gas_limit: u64,
    /// From this second on it is not begun any more.
    pub not_after: UnixSeconds,
    /// The wallet that sends it. Nothing in jobs of the first version: those are the gas wallet's.
    #[serde(default)]
    pub sender: Option<Address>,
}

/// A job with its transactions.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The job's name.
    pub key: JobKey,
    /// The job.
    pub job: Job,
    /// What was signed for it, oldest first; never empty.
    pub versions: Vec<Signed>,
    /// Whether one of them is included, or the job was given up.
    pub done: bool,
}

/// One signed transaction.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// The wallet's nonce.
    pub nonce: u64,
    /// The transaction's hash.
    pub hash: B256,
    /// What is broadcast.
    pub raw: Bytes,
    /// What it pays for gas.
    pub fees: Fees,
    /// When it was signed.
    pub signed_at: UnixMillis,
}

impl Sent {
    /// The hashes under which the payment may be included.
    pub fn hashes(&self) -> Vec<B256> {
        self.versions.iter().map(|version| version.hash).collect()
    }

    /// What may still be included when so many transactions of the wallet are: the newest of each nonce.
    fn possible(&self, included: u64) -> impl Iterator<Item = &Bytes> {
        self.versions
            .iter()
            .enumerate()
            .filter(move |(at, version)| {
                let mut later = self.versions.iter().skip(at.saturating_add(1));
                version.nonce >= included && !later.any(|later| later.nonce == version.nonce)
            })
            .map(|(_, version)| &version.raw)
    }

    /// The lowest nonce that is reserved for it.
    pub fn first_nonce(&self) -> u64 {
        self.versions
            .iter()
            .map(|version| version.nonce)
            .min()
            .unwrap_or_default()
    }
}

/// What is asked of the gas wallet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WalletCommand {
    /// See that this payment gets included. Repeating it returns the same transactions.
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
    /// It is on its way, under one of these hashes.
    Sent {
        /// Transaction hashes, oldest first.
        hashes: Vec<B256>,
    },
    /// It was never begun, and now it is too late to begin.
    TooLate,
}

/// The wallet cannot do it now; trying again is safe. The text is for the log only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WalletFault(pub String);

impl From<ChainError> for WalletFault {
    fn from(error: ChainError) -> Self {
        Self(error.0)
    }
}

/// Where jobs are kept. Each call is one transaction.
pub trait WalletStore {
    /// The job of this name.
    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault>;
    /// Jobs that are not done, lowest nonce first, at most `limit`.
    fn open_jobs(&self, limit: usize) -> Result<Vec<Sent>, WalletFault>;
    /// The lowest nonce that was never given out; `None` before the first job.
    fn next_nonce(&self) -> Result<Option<u64>, WalletFault>;
    /// Writes a job, the next nonce if it changes, and the next alarm, all or nothing. Forgets jobs that are long done.
    fn put(
        &self,
        sent: &Sent,
        next_nonce: Option<u64>,
        wake_at: UnixMillis,
    ) -> Result<(), WalletFault>;
    /// Sets the alarm alone.
    fn wake_at(&self, at: UnixMillis) -> Result<(), WalletFault>;
}

/// What the pipeline needs from outside.
pub trait WalletEnv {
    /// The wallet's storage.
    type Store: WalletStore;
    /// The chain.
    type Chain: Chain;

    /// The storage.
    fn store(&self) -> &Self::Store;
    /// The chain.
    fn chain(&self) -> &Self::Chain;
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// The wallet's key.
    fn key(&self) -> &WalletKey;
    /// The network.
    fn network(&self) -> Network;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// The pipeline of one wallet. What it keeps in memory is a cache and may be lost at any time.
#[derive(Debug, Default)]
pub struct GasWallet {
    quote: Cell<Option<(UnixMillis, Quote)>>,
    /// When the alarm rings, as far as it is known.
    alarm: Cell<Option<UnixMillis>>,
}

#[derive(Clone, Copy, Debug)]
struct Quote {
    fees: Fees,
    balance: U256,
}

impl GasWallet {
    /// Carries out one command.
    pub fn execute<E: WalletEnv>(
        &self,
        env: &E,
        command: WalletCommand,
    ) -> impl Future<Output = Result<WalletReply, WalletFault>> {
        let WalletCommand::Submit { key, job } = command;
        self.submit(env, key, *job)
    }

    async fn submit<E: WalletEnv>(
        &self,
        env: &E,
        key: JobKey,
        job: Job,
    ) -> Result<WalletReply, WalletFault> {
        if let Some(sent) = env.store().job(&key)? {
            return Ok(WalletReply::Sent {
                hashes: sent.hashes(),
            });
        }
        if env.now().to_seconds() >= job.not_after {
            return Ok(WalletReply::TooLate);
        }
        let quote = self.quote(env).await?;
        let cost = U256::from(quote.fees.max_fee).saturating_mul(U256::from(job.gas_limit));
        if quote.balance < cost {
            let wallet = env.key().address();
            env.log(
                "gas_wallet_empty",
                &format!("{wallet} cannot pay for a transaction: send ether to it"),
            );
            return Err(WalletFault("the wallet has too little ether".to_owned()));
        }
        let counted = match env.store().next_nonce()? {
            Some(_) => 0,
            None => env.chain().pending_count(env.key().address()).await?,
        };
        // Others were let in while we waited. From here to `put` nothing is awaited.
        if let Some(sent) = env.store().job(&key)? {
            return Ok(WalletReply::Sent {
                hashes: sent.hashes(),
            });
        }
        // And time has passed. Somebody else may have been told meanwhile that it is too late.
        if env.now().to_seconds() >= job.not_after {
            return Ok(WalletReply::TooLate);
        }
        let nonce = env.store().next_nonce()?.unwrap_or_default().max(counted);
        let signed = sign(env, &job, nonce, quote.fees)?;
        let raw = signed.raw.clone();
        let sent = Sent {
            key,
            job,
            versions: vec![signed],
            done: false,
        };
        let next = nonce
            .checked_add(1)
            .ok_or_else(|| WalletFault("nonces are used up".to_owned()))?;
        self.put(env, &sent, Some(next))?;
        broadcast(env, &raw).await;
        Ok(WalletReply::Sent {
            hashes: sent.hashes(),
        })
    }

    /// The alarm has rung: none is set now, until [`wake`](Self::wake) or a new job sets one.
    pub fn rang(&self) {
        self.alarm.set(None);
    }

    /// Looks after everything that is not included yet. Safe to run at any time, also twice.
    pub async fn wake<E: WalletEnv>(&self, env: &E) -> Result<(), WalletFault> {
        if env.store().open_jobs(1)?.is_empty() {
            return Ok(());
        }
        let again = env.now().plus(CHECK_MILLIS);
        env.store().wake_at(again)?;
        self.alarm.set(Some(again));
        let included = env.chain().included_count(env.key().address()).await?;
        for sent in env.store().open_jobs(MAX_JOBS_PER_ALARM)? {
            self.settle(env, sent, included).await?;
        }
        let open = env.store().open_jobs(MAX_JOBS_PER_ALARM)?;
        let with_nonce = |fits: fn(&u64, &u64) -> bool| {
            open.iter().filter(move |sent| {
                let mut nonces = sent.versions.iter().map(|version| version.nonce);
                nonces.any(|nonce| fits(&nonce, &included))
            })
        };
        // Who holds the next nonce, or else waits behind it. A job that was signed for a nonce that is used by now comes
        // first in the list, and need not be either.
        let holder = with_nonce(u64::eq).next();
        let next = holder
            .or_else(|| with_nonce(u64::gt).find(|waiting| waiting.versions.len() < MAX_VERSIONS));
        if let Some(next) = next {
            self.unblock(env, next.clone(), included).await?;
        }
        // With what was just signed.
        for sent in env.store().open_jobs(MAX_JOBS_PER_ALARM)? {
            for raw in sent.possible(included) {
                broadcast(env, raw).await;
            }
        }
        Ok(())
    }

    /// Closes a job that is included. One that has succeeded stays open while it occupies another nonce: that would never be used,
    /// and everything behind it would wait, for ever. (Its other transactions revert. Those of one that reverted might not, and
    /// the buyer has been told that it failed.) Gives it another nonce when a foreign transaction used its own.
    async fn settle<E: WalletEnv>(
        &self,
        env: &E,
        mut sent: Sent,
        included: u64,
    ) -> Result<(), WalletFault> {
        if sent.first_nonce() >= included {
            return Ok(());
        }
        let still_possible = sent.possible(included).next().is_some();
        for version in &sent.versions {
            if let Some(receipt) = env.chain().receipt(version.hash).await? {
                if receipt.success && still_possible && sent.versions.len() < MAX_VERSIONS {
                    return Ok(());
                }
                sent.done = true;
                return self.put(env, &sent, None);
            }
        }
        if still_possible || age(env, &sent) < LOST_MILLIS {
            return Ok(());
        }
        if env.now().to_seconds() >= sent.job.authorization.authorization().expires_at() {
            env.log(
                "gas_wallet_gave_up",
                "an authorization expired before its transaction was included",
            );
            sent.done = true;
            return self.put(env, &sent, None);
        }
        env.log(
            "gas_wallet_nonce_lost",
            "another program uses the gas wallet's key: give it a wallet of its own",
        );
        let quote = self.quote(env).await?;
        let nonce = env.store().next_nonce()?.unwrap_or_default().max(included);
        let next = nonce
            .checked_add(1)
            .ok_or_else(|| WalletFault("nonces are used up".to_owned()))?;
        self.add_version(env, sent, nonce, quote.fees, Some(next))
    }

    /// Sees to it that the wallet's next nonce is occupied and pays enough.
    async fn unblock<E: WalletEnv>(
        &self,
        env: &E,
        sent: Sent,
        included: u64,
    ) -> Result<(), WalletFault> {
        if age(env, &sent) < STUCK_MILLIS || sent.versions.len() >= MAX_VERSIONS {
            return Ok(());
        }
        let quote = self.quote(env).await?;
        let stuck = sent
            .versions
            .iter()
            .rev()
            .find(|version| version.nonce == included)
            .map(|version| version.fees);
        let fees = match stuck {
            Some(fees) => fees.bumped(quote.fees),
            // Nothing of ours holds the next nonce: a transaction before it was given up by the network.
            None => quote.fees,
        };
        if fees.max_fee > MAX_FEE {
            env.log(
                "gas_wallet_fee_limit",
                "a transaction is stuck and its fee has reached the limit",
            );
            return Ok(());
        }
        env.log(
            "gas_wallet_replaces",
            "a transaction was not included in time and is sent with a new fee",
        );
        self.add_version(env, sent, included, fees, None)
    }

    fn add_version<E: WalletEnv>(
        &self,
        env: &E,
        mut sent: Sent,
        nonce: u64,
        fees: Fees,
        next_nonce: Option<u64>,
    ) -> Result<(), WalletFault> {
        let signed = sign(env, &sent.job, nonce, fees)?;
        sent.versions.push(signed);
        self.put(env, &sent, next_nonce)
    }

    /// Stores a job and the alarm, which rings no later than it would have without it: a wallet that always gets new jobs
    /// would never wake.
    fn put<E: WalletEnv>(
        &self,
        env: &E,
        sent: &Sent,
        next_nonce: Option<u64>,
    ) -> Result<(), WalletFault> {
        let latest = env.now().plus(CHECK_MILLIS);
        let armed = self.alarm.get();
        let wake_at = armed
            .filter(|at| env.now().since(*at) < ALARM_LATE_MILLIS)
            .map_or(latest, |at| at.min(latest));
        env.store().put(sent, next_nonce, wake_at)?;
        self.alarm.set(Some(wake_at));
        Ok(())
    }

    async fn quote<E: WalletEnv>(&self, env: &E) -> Result<Quote, WalletFault> {
        if let Some((at, quote)) = self.quote.get()
            && env.now().since(at) < QUOTE_MILLIS
        {
            return Ok(quote);
        }
        let (head, tip, balance) = future::join3(
            env.chain().head(),
            env.chain().priority_fee(),
            env.chain().ether_balance(env.key().address()),
        )
        .await;
        let mut fees = Fees::for_block(head?.base_fee, tip.unwrap_or(DEFAULT_PRIORITY_FEE));
        fees.max_fee = fees.max_fee.min(MAX_FEE);
        fees.priority_fee = fees.priority_fee.min(fees.max_fee);
        let quote = Quote {
            fees,
            balance: balance?,
        };
        self.quote.set(Some((env.now(), quote)));
        Ok(quote)
    }
}

fn age<E: WalletEnv>(env: &E, sent: &Sent) -> u64 {
    sent.versions
        .last()
        .map(|newest| env.now().since(newest.signed_at))
        .unwrap_or_default()
}

fn sign<E: WalletEnv>(env: &E, job: &Job, nonce: u64, fees: Fees) -> Result<Signed, WalletFault> {
    let call = usdc::settlement_call(&job.authorization, env.network());
    let transaction = Transaction {
        chain_id: env.network().chain_id(),
        nonce,
        fees,
        gas_limit: job.gas_limit,
        to: call.to,
        input: call.input,
    };
    let (hash, raw) = transaction
        .sign(env.key())
        .map_err(|_| WalletFault("signing failed".to_owned()))?;
    Ok(Signed {
        nonce,
        hash,
        raw,
        fees,
        signed_at: env.now(),
    })
}

/// Hands a transaction to the network. It is stored, so a failure only means that the alarm hands it over again.
async fn broadcast<E: WalletEnv>(env: &E, raw: &Bytes) {
    match env.chain().send_raw(raw).await {
        Ok(SendOutcome::Accepted) => {}
        Ok(SendOutcome::Refused(text)) => env.log("gas_wallet_send_refused", &text),
        Err(error) => env.log("gas_wallet_send_failed", &error.0),
    }
}

#[cfg(test)]
mod tests;
