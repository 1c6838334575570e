//! `GasWalletObject`, one per chain and sending wallet: the pipeline of that wallet's transactions. (Without a gas wallet,
//! the seller's own wallet sends the refunds.)
//!
//! Stored: `jobs` (each payment to be included, with every transaction that was signed for it), `done` (the names and hashes
//! of finished jobs) and `wallet` (the lowest nonce that may be given out). Finished jobs are forgotten after a week; by then
//! the authorization's own nonce protects against a repeat. Payments never wait for a scan of `done`: they read it by name
//! only.
//!
//! Calls: `WalletCall` → `WalletReply` or `WalletView`; the alarm takes care of the open jobs.
//!
//! Why no interleaving breaks it: nothing is awaited between choosing a nonce and storing the job that uses it, and a job is
//! written only if it has not changed since it was read.

use std::panic::AssertUnwindSafe;

use key0_core::chain::rpc::RpcChain;
use key0_core::config::Config;
use key0_core::json;
use key0_core::settlement::wallet::{
    Change, GasWallet, JobKey, Sent, WalletCommand, WalletEnv, WalletFault, WalletOperation,
    WalletStore,
};
use key0_core::types::WalletKey;
use key0_core::types::{Address, B256, Network, UnixMillis};
use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{alarm_failed, command, misconfigured_alarm, reply};
use crate::outbound::{self, FetchHttp};
use crate::platform;
use crate::settings::settings;
use crate::storage::{count, integer};
use crate::tables::{Schema, Tables};

const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE jobs (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE done (
        key TEXT PRIMARY KEY,
        closed_at INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX done_by_age ON done (closed_at)",
    "CREATE TABLE wallet (id INTEGER PRIMARY KEY CHECK (id = 1), floor INTEGER NOT NULL) STRICT",
]]);

/// A call to a wallet.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum WalletCall {
    /// A command of a purchase.
    Purchase(WalletCommand),
    /// A command of the operator.
    Operator(Address, WalletOperation),
}

#[durable_object(alarm)]
pub struct GasWalletObject {
    env: Env,
    jobs: Jobs,
    wallet: AssertUnwindSafe<GasWallet>,
}

impl DurableObject for GasWalletObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            env,
            jobs: Jobs(Tables::new(&state, &SCHEMA)),
            wallet: AssertUnwindSafe(GasWallet::default()),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let call: WalletCall = command(&mut request).await?;
        let Ok(config) = settings(&self.env) else {
            return reply::<(), _>("gas_wallet", Err("misconfigured"));
        };
        let sender = match &call {
            WalletCall::Purchase(WalletCommand::Submit { job, .. }) => job.sender,
            WalletCall::Operator(wallet, _) => Some(*wallet),
        };
        let Some(key) = key_of(&config, sender) else {
            return reply::<(), _>("gas_wallet", Err("no such wallet"));
        };
        let outside = self.outside(&config, key);
        match call {
            WalletCall::Purchase(command) => {
                reply("gas_wallet", self.wallet.execute(&outside, command).await)
            }
            WalletCall::Operator(_, operation) => {
                reply("gas_wallet", self.wallet.operate(&outside, operation).await)
            }
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.wallet.rang();
        self.jobs.0.rang();
        let Ok(config) = settings(&self.env) else {
            return misconfigured_alarm(&self.jobs.0);
        };
        let woken = match self.jobs.open_jobs(None, 1) {
            Ok(open) => match open.first() {
                None => self.wallet.tidy(&self.jobs, platform::now()),
                Some(sent) => match key_of(&config, sent.job.sender) {
                    Some(key) => self.wallet.wake(&self.outside(&config, key)).await,
                    None => Err(WalletFault("the sender's key is not set".to_owned())),
                },
            },
            Err(fault) => Err(fault),
        };
        match woken {
            Ok(()) => Response::empty(),
            Err(fault) => alarm_failed("gas_wallet", &self.jobs.0, &fault.0),
        }
    }
}

/// The key of a job's sender. Jobs without a sender are the gas wallet's.
fn key_of(config: &Config, sender: Option<Address>) -> Option<&WalletKey> {
    match sender {
        Some(sender) => config.sender(sender),
        None => config.settlement.gas_wallet(),
    }
}

impl GasWalletObject {
    fn outside<'a>(&'a self, config: &'a Config, key: &'a WalletKey) -> Outside<'a> {
        Outside {
            jobs: &self.jobs,
            key,
            network: config.network,
            chain: outbound::chain(config),
        }
    }
}

struct Outside<'a> {
    jobs: &'a Jobs,
    key: &'a WalletKey,
    network: Network,
    chain: RpcChain<'a, FetchHttp>,
}

impl<'a> WalletEnv for Outside<'a> {
    type Store = Jobs;
    type Chain = RpcChain<'a, FetchHttp>;

    fn store(&self) -> &Jobs {
        self.jobs
    }

    fn chain(&self) -> &Self::Chain {
        &self.chain
    }

    fn now(&self) -> UnixMillis {
        platform::now()
    }

    fn key(&self) -> &WalletKey {
        self.key
    }

    fn network(&self) -> Network {
        self.network
    }

    fn log(&self, event: &str, detail: &str) {
        platform::log(event, json!({"object": "gas_wallet", "detail": detail}));
    }
}

struct Jobs(Tables);

impl Jobs {
    fn read_hashes(&self, key: &JobKey) -> worker::Result<Option<Vec<B256>>> {
        if let Some(sent) = self.read_job(key)? {
            return Ok(Some(sent.hashes()));
        }
        let query = "SELECT body FROM done WHERE key = ?";
        self.0.body(query, vec![key.0.as_str().into()])
    }

    fn read_job(&self, key: &JobKey) -> worker::Result<Option<Sent>> {
        let query = "SELECT body FROM jobs WHERE key = ?";
        self.0.body(query, vec![key.0.as_str().into()])
    }

    fn read_floor(&self) -> worker::Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Row {
            floor: u64,
        }
        let row: Option<Row> = self.0.row("SELECT floor FROM wallet", vec![])?;
        Ok(row.map(|row| row.floor))
    }

    fn change(&self, change: &Change<'_>) -> worker::Result<()> {
        let tables = &self.0;
        tables.transaction(|| {
            if let Some(sent) = change.put {
                let body = serde_json::to_string(sent)?;
                tables.write(
                    "INSERT OR REPLACE INTO jobs (key, body) VALUES (?, ?)",
                    vec![sent.key.0.as_str().into(), body.into()],
                )?;
            }
            if let Some(sent) = change.close {
                let key = sent.key.0.as_str();
                tables.write("DELETE FROM jobs WHERE key = ?", vec![key.into()])?;
                let body = serde_json::to_string(&sent.hashes())?;
                tables.write(
                    "INSERT OR REPLACE INTO done (key, closed_at, body) VALUES (?, ?, ?)",
                    vec![key.into(), integer(platform::now().0)?, body.into()],
                )?;
            }
            if let Some(floor) = change.floor {
                tables.write(
                    "INSERT OR REPLACE INTO wallet (id, floor) VALUES (1, ?)",
                    vec![integer(floor)?],
                )?;
            }
            match change.wake_at {
                Some(at) => tables.set_alarm(Some(at)),
                None => Ok(()),
            }
        })
    }

    fn remove_done(&self, before: UnixMillis, limit: usize) -> worker::Result<usize> {
        let removed: Vec<serde::de::IgnoredAny> = self.0.rows(
            "DELETE FROM done WHERE key IN (SELECT key FROM done WHERE closed_at < ? ORDER BY closed_at LIMIT ?)
             RETURNING key",
            vec![integer(before.0)?, count(limit)],
        )?;
        Ok(removed.len())
    }
}

impl WalletStore for Jobs {
    fn hashes(&self, key: &JobKey) -> Result<Option<Vec<B256>>, WalletFault> {
        self.read_hashes(key).map_err(fault)
    }

    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault> {
        self.read_job(key).map_err(fault)
    }

    fn open_jobs(&self, after: Option<&JobKey>, limit: usize) -> Result<Vec<Sent>, WalletFault> {
        let after = after.map_or("", |key| key.0.as_str());
        self.0
            .bodies(
                "SELECT body FROM jobs WHERE key > ? ORDER BY key LIMIT ?",
                vec![after.into(), count(limit)],
            )
            .map_err(fault)
    }

    fn floor(&self) -> Result<Option<u64>, WalletFault> {
        self.read_floor().map_err(fault)
    }

    fn write(&self, change: &Change<'_>) -> Result<(), WalletFault> {
        self.change(change).map_err(fault)
    }

    fn forget(&self, before: UnixMillis, limit: usize) -> Result<usize, WalletFault> {
        self.remove_done(before, limit).map_err(fault)
    }

    fn wake_at(&self, at: Option<UnixMillis>) -> Result<(), WalletFault> {
        self.0.set_alarm(at).map_err(fault)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn fault(error: worker::Error) -> WalletFault {
    WalletFault(error.to_string())
}
