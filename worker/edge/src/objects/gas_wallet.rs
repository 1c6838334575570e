//! `GasWalletObject`, one per chain and wallet of ours: the pipeline of that wallet's transactions. (Without a gas wallet the
//! seller's own wallet sends the refunds.)
//!
//! Stored: `jobs` (each payment to be included, with everything that was signed for it), `done` (the names and hashes of
//! those that are over) and `wallet` (the lowest nonce that may be given out). What is done is forgotten after a week; by
//! then the authorization's own nonce protects against a repeat. No statement that a payment waits for reads it but by name.
//!
//! Calls: `WalletCall` → `WalletReply` or `WalletView`; the alarm looks after what is open.
//!
//! Why no interleaving breaks it: between choosing a nonce and storing the job that takes it nothing is awaited; and a job
//! that was changed since it was read is not written.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use key0_core::chain::rpc::RpcChain;
use key0_core::config::Config;
use key0_core::settlement::wallet::{
    Change, GasWallet, JobKey, Sent, WalletCommand, WalletEnv, WalletFault, WalletOperation,
    WalletStore,
};
use key0_core::types::WalletKey;
use key0_core::types::{Address, B256, Network, UnixMillis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use worker::{
    DurableObject, Env, Request, Response, SqlStorage, SqlStorageValue, State, durable_object,
};

use super::{command, reply};
use crate::outbound::{self, FetchHttp};
use crate::platform;
use crate::settings::settings;
use crate::storage::{self, Schema};

/// When an alarm that failed is handled again.
const RETRY_MILLIS: u64 = 10_000;

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
    /// A purchase asks.
    Purchase(WalletCommand),
    /// The operator asks.
    Operator(Address, WalletOperation),
}

#[durable_object(alarm)]
pub struct GasWalletObject {
    state: State,
    env: Env,
    wallet: AssertUnwindSafe<GasWallet>,
    has_tables: AssertUnwindSafe<Cell<bool>>,
}

impl DurableObject for GasWalletObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            wallet: AssertUnwindSafe(GasWallet::default()),
            has_tables: AssertUnwindSafe(Cell::new(false)),
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
        let config = settings(&self.env);
        let Ok(config) = &config else {
            storage::set_alarm(&self.state.storage(), Some(platform::now().plus(60_000)))?;
            return Response::empty();
        };
        let woken = match self.jobs().open_jobs(None, 1) {
            Ok(open) => match open.first() {
                None => self.wallet.tidy(&self.jobs(), platform::now()),
                Some(sent) => match key_of(config, sent.job.sender) {
                    Some(key) => self.wallet.wake(&self.outside(config, key)).await,
                    None => Err(WalletFault("the sender's key is not set".to_owned())),
                },
            },
            Err(fault) => Err(fault),
        };
        if let Err(fault) = woken {
            log("alarm_failed", &fault.0);
            // It may have failed before the next alarm was set. Without one nobody would ever look again.
            storage::set_alarm(
                &self.state.storage(),
                Some(platform::now().plus(RETRY_MILLIS)),
            )?;
        }
        Response::empty()
    }
}

/// The key of a job's sender. Jobs that name none are the gas wallet's.
fn key_of(config: &Config, sender: Option<Address>) -> Option<&WalletKey> {
    match sender {
        Some(sender) => config.sender(sender),
        None => config.settlement.gas_wallet(),
    }
}

fn log(event: &str, detail: &str) {
    platform::log(event, json!({"object": "gas_wallet", "detail": detail}));
}

impl GasWalletObject {
    fn jobs(&self) -> Jobs<'_> {
        Jobs {
            state: &self.state,
            has_tables: &self.has_tables,
        }
    }

    fn outside<'a>(&'a self, config: &'a Config, key: &'a WalletKey) -> Outside<'a> {
        Outside {
            jobs: self.jobs(),
            key,
            network: config.network,
            chain: outbound::chain(config),
        }
    }
}

struct Outside<'a> {
    jobs: Jobs<'a>,
    key: &'a WalletKey,
    network: Network,
    chain: RpcChain<'a, FetchHttp>,
}

impl<'a> WalletEnv for Outside<'a> {
    type Store = Jobs<'a>;
    type Chain = RpcChain<'a, FetchHttp>;

    fn store(&self) -> &Jobs<'a> {
        &self.jobs
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
        log(event, detail);
    }
}

struct Jobs<'a> {
    state: &'a State,
    has_tables: &'a Cell<bool>,
}

impl Jobs<'_> {
    fn sql(&self) -> SqlStorage {
        self.state.storage().sql()
    }

    fn has_tables(&self) -> worker::Result<bool> {
        if !self.has_tables.get() {
            self.has_tables.set(SCHEMA.open(&self.sql())?);
        }
        Ok(self.has_tables.get())
    }

    fn bodies<T: DeserializeOwned>(
        &self,
        query: &str,
        bindings: Vec<SqlStorageValue>,
    ) -> worker::Result<Vec<T>> {
        if !self.has_tables()? {
            return Ok(Vec::new());
        }
        storage::bodies(&self.sql(), query, bindings)
    }

    fn read_hashes(&self, key: &JobKey) -> worker::Result<Option<Vec<B256>>> {
        if let Some(sent) = self.read_job(key)? {
            return Ok(Some(sent.hashes()));
        }
        let query = "SELECT body FROM done WHERE key = ?";
        let done = self.bodies(query, vec![key.0.as_str().into()])?;
        Ok(done.into_iter().next())
    }

    fn read_job(&self, key: &JobKey) -> worker::Result<Option<Sent>> {
        let query = "SELECT body FROM jobs WHERE key = ?";
        let jobs = self.bodies(query, vec![key.0.as_str().into()])?;
        Ok(jobs.into_iter().next())
    }

    fn read_floor(&self) -> worker::Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Row {
            floor: u64,
        }
        if !self.has_tables()? {
            return Ok(None);
        }
        let rows: Vec<Row> = storage::rows(&self.sql(), "SELECT floor FROM wallet", vec![])?;
        Ok(rows.into_iter().next().map(|row| row.floor))
    }

    fn change(&self, change: &Change<'_>) -> worker::Result<()> {
        let storage = self.state.storage();
        let sql = storage.sql();
        let has_tables = self.has_tables()?;
        storage::transaction(&storage, || {
            if !has_tables {
                SCHEMA.create(&sql)?;
            }
            if let Some(sent) = change.put {
                let body = serde_json::to_string(sent)?;
                storage::run(
                    &sql,
                    "INSERT OR REPLACE INTO jobs (key, body) VALUES (?, ?)",
                    vec![sent.key.0.as_str().into(), body.into()],
                )?;
            }
            if let Some(sent) = change.close {
                let key = sent.key.0.as_str();
                storage::run(&sql, "DELETE FROM jobs WHERE key = ?", vec![key.into()])?;
                let body = serde_json::to_string(&sent.hashes())?;
                storage::run(
                    &sql,
                    "INSERT OR REPLACE INTO done (key, closed_at, body) VALUES (?, ?, ?)",
                    vec![key.into(), integer(platform::now().0)?, body.into()],
                )?;
            }
            if let Some(floor) = change.floor {
                storage::run(
                    &sql,
                    "INSERT OR REPLACE INTO wallet (id, floor) VALUES (1, ?)",
                    vec![integer(floor)?],
                )?;
            }
            match change.wake_at {
                Some(at) => storage::set_alarm(&storage, Some(at)),
                None => Ok(()),
            }
        })
    }

    fn remove_done(&self, before: UnixMillis, limit: usize) -> worker::Result<usize> {
        if !self.has_tables()? {
            return Ok(0);
        }
        let removed: Vec<serde::de::IgnoredAny> = storage::rows(
            &self.sql(),
            "DELETE FROM done WHERE key IN (SELECT key FROM done WHERE closed_at < ? ORDER BY closed_at LIMIT ?)
             RETURNING key",
            vec![integer(before.0)?, count(limit)],
        )?;
        Ok(removed.len())
    }
}

impl WalletStore for Jobs<'_> {
    fn hashes(&self, key: &JobKey) -> Result<Option<Vec<B256>>, WalletFault> {
        self.read_hashes(key).map_err(fault)
    }

    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault> {
        self.read_job(key).map_err(fault)
    }

    fn open_jobs(&self, after: Option<&JobKey>, limit: usize) -> Result<Vec<Sent>, WalletFault> {
        let after = after.map_or("", |key| key.0.as_str());
        self.bodies(
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
        storage::set_alarm(&self.state.storage(), at).map_err(fault)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn fault(error: worker::Error) -> WalletFault {
    WalletFault(error.to_string())
}

fn integer(number: u64) -> worker::Result<SqlStorageValue> {
    let number = i64::try_from(number).map_err(|_| "a number is too large to be stored")?;
    SqlStorageValue::try_from_i64(number)
}

fn count(limit: usize) -> SqlStorageValue {
    i32::try_from(limit).unwrap_or(i32::MAX).into()
}
