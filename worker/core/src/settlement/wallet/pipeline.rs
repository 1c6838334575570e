//! The gas wallet's pipeline: gets each payment's transaction included, and never waits for one transaction before it
//! sends the next.
//!
//! - A job is stored, signed and numbered before it is broadcast. Asking for the same job again returns the same
//!   transactions, so a caller that lost the answer cannot cause a second one.
//! - Between choosing a nonce and storing the job nothing is awaited, so no two jobs get the same nonce.
//! - A job is accepted only if the wallet can pay for it and for all open jobs.
//! - The alarm looks after what is not included yet; see `care`.
//! - Every transaction calls the USDC contract and nothing else; or Multicall3 with that call, after one of a factory that the
//!   seller has listed, when the payer's wallet does not exist yet. Executing one authorization twice is impossible there,
//!   so two transactions for the same job can cost gas but never the buyer's money.
//! - A nonce that no payment needs is used up by the cheapest call of USDC that there is: one without data and with no
//!   more gas than any transaction costs before its first instruction. It runs out of gas there, so it cannot do anything.

use core::cell::{Cell, RefCell};
use core::future::Future;

use alloy_primitives::{B256, Bytes, U256};
use futures_util::future;

use super::cost::{DataFee, Quote, most_cost};
use super::env::{Change, WalletEnv, WalletStore};
use super::job::{Job, JobKey, Sent, Signed, WalletCommand, WalletFault, WalletReply};
use super::line::{Line, Looks};
use super::sight::Sights;
use super::transaction::{Fees, Transaction};
use crate::chain::Chain;
use crate::chain::base::SendOutcome;
use crate::chain::settlement_call::settlement_call;
use crate::pauses::{LOST_WALLET_ALARM, NOT_INCLUDED};
use crate::types::UnixMillis;

/// The shortest time between two questions for the fees.
const QUOTE_MILLIS: u64 = 2_000;
/// The shortest time between two questions for the data fee. That fee changes with the L1 chain, by an eighth in twelve
/// seconds.
const DATA_FEE_MILLIS: u64 = 30_000;
/// The most payments that are signed for one job, and also the most cancellations.
pub(super) const MAX_VERSIONS: usize = 16;
/// The gas of any transaction before its first instruction.
const LEAST_GAS: u64 = 21_000;
/// How many jobs are read at once when the line is built.
const PAGE: usize = 100;

/// The pipeline of one wallet. What it keeps in memory is a cache and may be lost at any time.
#[derive(Debug, Default)]
pub struct GasWallet {
    quote: Cell<Option<(UnixMillis, Quote)>>,
    data_fee: Cell<Option<(UnixMillis, DataFee)>>,
    /// When the alarm rings, as far as this isolate knows.
    alarm: Cell<Option<UnixMillis>>,
    line: RefCell<Option<Line>>,
    pub(super) looks: RefCell<Looks>,
    pub(super) sights: RefCell<Sights>,
    /// The last transaction that a node refused because it offers too little.
    underpriced: Cell<Option<B256>>,
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
        if let Some(hashes) = env.store().hashes(&key)? {
            return Ok(WalletReply::Sent { hashes });
        }
        if env.now().to_seconds() >= job.not_after {
            return Ok(WalletReply::TooLate);
        }
        let quote = self.quote(env).await?;
        let first = match env.store().floor()? {
            Some(_) => None,
            None => Some(env.chain().pending_count(env.key().address()).await?),
        };
        // Other calls ran while this one waited. From here to `put` nothing is awaited.
        if let Some(hashes) = env.store().hashes(&key)? {
            return Ok(WalletReply::Sent { hashes });
        }
        // Time has passed as well, and another caller may have been told that it is too late.
        if env.now().to_seconds() >= job.not_after {
            return Ok(WalletReply::TooLate);
        }
        let stored = env.store().floor()?;
        let floor = stored.or(first).unwrap_or_default();
        self.can_pay(env, &quote, &job, floor)?;
        let nonce = self.with_line(env, |line| line.free_from(floor))?;
        let signed = sign(env, &job, nonce, quote.fees)?;
        let raw = signed.raw.clone();
        let sent = Sent {
            key,
            job,
            versions: vec![signed],
        };
        self.put(env, &sent, stored.is_none().then_some(floor))?;
        self.broadcast(env, &raw, None).await;
        Ok(WalletReply::Sent {
            hashes: sent.hashes(),
        })
    }

    /// Whether the wallet can pay for this job after all open jobs. A node accepts no transaction of a wallet that
    /// could not pay for all of its waiting transactions.
    fn can_pay<E: WalletEnv>(
        &self,
        env: &E,
        quote: &Quote,
        job: &Job,
        floor: u64,
    ) -> Result<(), WalletFault> {
        let unpaid = quote.included.unwrap_or(floor);
        let open = self.with_line(env, |line| line.cost_from(unpaid, quote.data))?;
        let (payment, limit) = (&job.authorization, job.gas_limit);
        let cost = most_cost(payment, env.network(), limit, quote.fees, quote.data);
        if quote.balance >= open.saturating_add(cost) {
            return Ok(());
        }
        warn_empty(env, quote.balance, open, cost);
        Err(WalletFault("the wallet has too little ether".to_owned()))
    }

    /// Notes that the alarm has rung: no alarm is set now, until [`wake`](Self::wake) or a new job sets one.
    pub fn rang(&self) {
        self.alarm.set(None);
    }

    /// Signs a job once more and stores the new transaction.
    pub(super) fn add_version<E: WalletEnv>(
        &self,
        env: &E,
        sent: &mut Sent,
        nonce: u64,
        fees: Fees,
        floor: Option<u64>,
    ) -> Result<(), WalletFault> {
        if !is_current(env, sent)? {
            return Ok(());
        }
        let signed = sign(env, &sent.job, nonce, fees)?;
        sent.versions.push(signed);
        self.put(env, sent, floor)
    }

    /// Signs the transaction that uses up a nonce of a job instead of its payment, and stores it.
    pub(super) fn cancel<E: WalletEnv>(
        &self,
        env: &E,
        sent: &mut Sent,
        nonce: u64,
        fees: Fees,
    ) -> Result<(), WalletFault> {
        if !is_current(env, sent)? {
            return Ok(());
        }
        let signed = sign_cancellation(env, nonce, fees)?;
        sent.versions.push(signed);
        self.put(env, sent, None)
    }

    /// Stores a job and the alarm. A new job never makes the alarm ring later: otherwise a wallet that always gets new
    /// jobs would never wake.
    fn put<E: WalletEnv>(
        &self,
        env: &E,
        sent: &Sent,
        floor: Option<u64>,
    ) -> Result<(), WalletFault> {
        let latest = env.now().plus(NOT_INCLUDED);
        let armed = self.alarm.get();
        let wake_at = armed
            .filter(|at| env.now().since(*at) < LOST_WALLET_ALARM)
            .map_or(latest, |at| at.min(latest));
        let change = Change {
            put: Some(sent),
            floor,
            wake_at: Some(wake_at),
            ..Change::default()
        };
        self.write(env, &change)?;
        self.alarm.set(Some(wake_at));
        Ok(())
    }

    /// Closes a job that is done: only its name and hashes are kept.
    pub(super) fn close<E: WalletEnv>(
        &self,
        env: &E,
        sent: &Sent,
        floor: Option<u64>,
    ) -> Result<(), WalletFault> {
        if !is_current(env, sent)? {
            return Ok(());
        }
        let change = Change {
            close: Some(sent),
            floor,
            ..Change::default()
        };
        self.write(env, &change)?;
        self.sights.borrow_mut().forget(&sent.key);
        Ok(())
    }

    pub(super) fn write<E: WalletEnv>(
        &self,
        env: &E,
        change: &Change<'_>,
    ) -> Result<(), WalletFault> {
        // If a write fails, it is not known whether it has happened, so the line is then built again.
        let line = self.line.take();
        env.store().write(change)?;
        let mut line = line;
        if let Some(line) = &mut line {
            change.put.inspect(|sent| line.put(sent));
            change.close.inspect(|sent| line.close(sent));
        }
        self.line.replace(line);
        Ok(())
    }

    pub(super) fn arm<E: WalletEnv>(&self, env: &E, millis: u64) -> Result<(), WalletFault> {
        self.set_alarm(env.store(), Some(env.now().plus(millis)))
    }

    /// Sets the alarm, or removes it.
    pub(super) fn set_alarm<S: WalletStore>(
        &self,
        store: &S,
        at: Option<UnixMillis>,
    ) -> Result<(), WalletFault> {
        store.wake_at(at)?;
        self.alarm.set(at);
        Ok(())
    }

    /// Asks the line of nonces, which is built from the store when it is not in memory.
    pub(super) fn with_line<E: WalletEnv, T>(
        &self,
        env: &E,
        ask: impl FnOnce(&Line) -> T,
    ) -> Result<T, WalletFault> {
        let line = match self.line.take() {
            Some(line) => line,
            None => build(env)?,
        };
        let answer = ask(&line);
        self.line.replace(Some(line));
        Ok(answer)
    }

    pub(super) async fn quote<E: WalletEnv>(&self, env: &E) -> Result<Quote, WalletFault> {
        if let Some((at, quote)) = self.quote.get()
            && env.now().since(at) < QUOTE_MILLIS
        {
            return Ok(quote);
        }
        let wallet = env.key().address();
        let is_idle = self.with_line(env, Line::is_empty)?;
        let included = async {
            match is_idle {
                true => None,
                // Without an answer, all open jobs count as not paid for.
                false => env.chain().included_count(wallet).await.ok(),
            }
        };
        let (head, tip, balance, included, data) = future::join5(
            env.chain().head(),
            env.chain().priority_fee(),
            env.chain().ether_balance(wallet),
            included,
            self.data_fee(env),
        )
        .await;
        let quote = Quote::new(head?, tip.ok(), balance?, included, data);
        self.quote.set(Some((env.now(), quote)));
        Ok(quote)
    }

    async fn data_fee<E: WalletEnv>(&self, env: &E) -> DataFee {
        if let Some((at, fee)) = self.data_fee.get()
            && env.now().since(at) < DATA_FEE_MILLIS
        {
            return fee;
        }
        let fee = DataFee::read(env.chain()).await;
        self.data_fee.set(Some((env.now(), fee)));
        fee
    }

    /// Whether a node has refused this transaction because it offers too little.
    pub(super) fn is_underpriced(&self, hash: B256) -> bool {
        self.underpriced.get() == Some(hash)
    }

    /// Hands a transaction to the network. The transaction is stored, so after a failure the alarm hands it over again.
    /// `next` is its hash, if it is next in line.
    pub(super) async fn broadcast<E: WalletEnv>(&self, env: &E, raw: &Bytes, next: Option<B256>) {
        match env.chain().send_raw(raw).await {
            Ok(SendOutcome::Accepted) => {}
            Ok(SendOutcome::Refused(text)) => {
                if next.is_some() && is_about_the_fee(&text) {
                    self.underpriced.set(next);
                }
                env.log("gas_wallet_send_refused", &text);
            }
            Err(error) => env.log("gas_wallet_send_failed", &error.0),
        }
    }
}

/// Whether a job is still stored as it was read. While the chain was asked, the operator may have given the job up;
/// what was signed then must not be overwritten.
fn is_current<E: WalletEnv>(env: &E, sent: &Sent) -> Result<bool, WalletFault> {
    let stored = env.store().job(&sent.key)?;
    Ok(stored.is_some_and(|stored| stored.versions.len() == sent.versions.len()))
}

/// Whether a node refuses a transaction because of its fee, in the words of geth, reth and nodes derived from them.
fn is_about_the_fee(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["underpriced", "fee too low", "less than block base fee"]
        .iter()
        .any(|known| text.contains(known))
}

pub(super) fn warn_empty<E: WalletEnv>(env: &E, balance: U256, open: U256, cost: U256) {
    let wallet = env.key().address();
    env.log(
        "gas_wallet_empty",
        &format!(
            "{wallet} cannot pay for a transaction: send ether to it. It has {balance} wei; what is open may cost {open}, \
             the next transaction {cost}"
        ),
    );
}

fn build<E: WalletEnv>(env: &E) -> Result<Line, WalletFault> {
    let mut line = Line::default();
    let mut after: Option<JobKey> = None;
    loop {
        let page = env.store().open_jobs(after.as_ref(), PAGE)?;
        for sent in &page {
            line.put(sent);
        }
        match page.last() {
            Some(last) if page.len() >= PAGE => after = Some(last.key.clone()),
            _ => return Ok(line),
        }
    }
}

fn sign<E: WalletEnv>(env: &E, job: &Job, nonce: u64, fees: Fees) -> Result<Signed, WalletFault> {
    let call = settlement_call(&job.authorization, env.network());
    let transaction = Transaction {
        chain_id: env.network().chain_id(),
        nonce,
        fees,
        gas_limit: job.gas_limit,
        to: call.to,
        input: call.input,
    };
    signed(env, &transaction, false)
}

fn sign_cancellation<E: WalletEnv>(env: &E, nonce: u64, fees: Fees) -> Result<Signed, WalletFault> {
    let transaction = Transaction {
        chain_id: env.network().chain_id(),
        nonce,
        fees,
        gas_limit: LEAST_GAS,
        to: env.network().usdc(),
        input: Bytes::new(),
    };
    signed(env, &transaction, true)
}

fn signed<E: WalletEnv>(
    env: &E,
    transaction: &Transaction,
    cancels: bool,
) -> Result<Signed, WalletFault> {
    let (hash, raw) = transaction
        .sign(env.key())
        .map_err(|_| WalletFault("signing failed".to_owned()))?;
    Ok(Signed {
        nonce: transaction.nonce,
        hash,
        raw,
        fees: transaction.fees,
        gas_limit: transaction.gas_limit,
        signed_at: env.now(),
        cancels,
    })
}
