//! The operator's commands for a wallet: show its queue, give up a nonce, read its nonces anew.

use core::future::Future;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use super::env::{Change, WalletEnv, WalletStore};
use super::job::{JobKey, Sent, WalletFault};
use super::line::Looks;
use super::pipeline::GasWallet;
use crate::chain::Chain;
use crate::types::{CallFault, Network};

/// How many open jobs are shown at most.
const MAX_SHOWN: usize = 100;

/// An operator's command for a wallet. Each command is safe at any time, and repeating it changes nothing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WalletOperation {
    /// Show the queue.
    Show,
    /// Use up this nonce without its payment. The purchase ends as if its payment had never been included.
    GiveUp {
        /// The nonce.
        nonce: u64,
    },
    /// Take the chain's current answer as the wallet's next nonce.
    Repair,
}

/// A wallet as its operator sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletView {
    /// The wallet.
    pub address: Address,
    /// The wallet's ether in wei, if the chain could be asked.
    pub balance: Option<String>,
    /// How many of the wallet's transactions are included, if the chain could be asked.
    pub included: Option<u64>,
    /// The nonce that the next job gets; `None` before the first job.
    pub next_nonce: Option<u64>,
    /// How many nonces open jobs hold.
    pub open: usize,
    /// The nonces of the open jobs, of at most a hundred jobs, the lowest nonce first.
    pub jobs: Vec<JobView>,
}

/// One nonce of an open job, as the operator sees it. A job that holds several nonces has several of these.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// The job's name: the purchase's request id and the number of the attempt.
    pub job: JobKey,
    /// The nonce.
    pub nonce: u64,
    /// The hash of the nonce's newest transaction.
    pub hash: B256,
    /// The highest fee that this transaction offers per unit of gas, in wei.
    pub max_fee: String,
    /// The age of the job's newest transaction, in seconds.
    pub age: u64,
    /// How many transactions were signed for the job.
    pub versions: usize,
    /// Whether the transaction only uses the nonce up.
    pub cancels: bool,
}

/// The wallets of this deployment, as the operator reaches them.
pub trait Wallets {
    /// Asks one wallet. The answer shows the wallet as it is afterwards.
    fn ask_wallet(
        &self,
        network: Network,
        wallet: Address,
        operation: WalletOperation,
    ) -> impl Future<Output = Result<WalletView, CallFault>>;
}

impl GasWallet {
    /// Carries out what the operator asks, and shows the wallet.
    pub async fn operate<E: WalletEnv>(
        &self,
        env: &E,
        operation: WalletOperation,
    ) -> Result<WalletView, WalletFault> {
        match operation {
            WalletOperation::Show => {}
            WalletOperation::GiveUp { nonce } => self.give_up_nonce(env, nonce).await?,
            WalletOperation::Repair => self.repair(env).await?,
        }
        self.view(env).await
    }

    /// Gives up all nonces of the job that holds this nonce, so that no other transaction of the job pays afterwards.
    async fn give_up_nonce<E: WalletEnv>(&self, env: &E, nonce: u64) -> Result<(), WalletFault> {
        for key in self.with_line(env, |line| line.jobs_at(nonce))? {
            let Some(mut sent) = env.store().job(&key)? else {
                continue;
            };
            let all: Vec<_> = sent.live(0).cloned().collect();
            for version in all.iter().filter(|version| !version.cancels) {
                self.cancel_at(env, &mut sent, version).await?;
            }
            for version in sent.live(0) {
                self.broadcast(env, &version.raw, None).await;
            }
        }
        Ok(())
    }

    async fn repair<E: WalletEnv>(&self, env: &E) -> Result<(), WalletFault> {
        if env.store().floor()?.is_none() {
            return Ok(());
        }
        let included = env.chain().included_count(env.key().address()).await?;
        self.looks.replace(Looks::default());
        self.write(
            env,
            &Change {
                floor: Some(included),
                ..Change::default()
            },
        )?;
        env.log("gas_wallet_repaired", &format!("next nonce {included}"));
        match self.with_line(env, super::line::Line::is_empty)? {
            true => Ok(()),
            false => self.arm(env, 0),
        }
    }

    async fn view<E: WalletEnv>(&self, env: &E) -> Result<WalletView, WalletFault> {
        let address = env.key().address();
        let (balance, included) = futures_util::future::join(
            env.chain().ether_balance(address),
            env.chain().included_count(address),
        )
        .await;
        let floor = env.store().floor()?;
        let (next_nonce, open, keys) = self.with_line(env, |line| {
            let next = floor.map(|floor| line.free_from(floor));
            (next, line.len(), line.jobs_from(0, MAX_SHOWN))
        })?;
        let mut jobs = Vec::new();
        for key in keys {
            if let Some(sent) = env.store().job(&key)? {
                jobs.extend(lines(env, &sent));
            }
        }
        jobs.sort_by_key(|job| job.nonce);
        Ok(WalletView {
            address,
            balance: balance.ok().map(|wei| wei.to_string()),
            included: included.ok(),
            next_nonce,
            open,
            jobs,
        })
    }
}

fn lines<E: WalletEnv>(env: &E, sent: &Sent) -> Vec<JobView> {
    let lines = sent.live(0).map(|version| JobView {
        job: sent.key.clone(),
        nonce: version.nonce,
        hash: version.hash,
        max_fee: version.fees.max_fee.to_string(),
        age: env.now().since(version.signed_at) / 1_000,
        versions: sent.versions.len(),
        cancels: version.cancels,
    });
    lines.collect()
}
