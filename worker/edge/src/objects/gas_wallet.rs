//! `GasWalletObject`, one per chain and wallet of ours: the pipeline of that wallet's transactions. (Without a gas wallet the
//! seller's own wallet sends the refunds.)
//!
//! Stored: `jobs` (each payment to be included, with everything that was signed for it) and `wallet` (the next nonce).
//! Jobs that are done are forgotten after a week; by then the authorization's own nonce protects against a repeat.
//!
//! Calls: `WalletCommand` → `WalletReply`; the alarm looks after what is not included yet.
//!
//! Why no interleaving breaks it: between reading the next nonce and storing the job that takes it nothing is awaited;
//! and only the alarm, which the platform never runs twice at a time, changes a job that exists.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use key0_core::config::Config;
use key0_core::payment::rpc::RpcChain;
use key0_core::types::{Address, Network, UnixMillis};
use key0_core::wallet::{
    GasWallet, JobKey, Sent, WalletCommand, WalletEnv, WalletFault, WalletKey, WalletStore,
};
use serde::Deserialize;
use serde_json::json;
use worker::{
    DurableObject, Env, Request, Response, SqlStorage, SqlStorageValue, State, durable_object,
};

use super::{command, reply};
use crate::outbound::{self, FetchHttp};
use crate::platform;
use crate::settings::settings;
use crate::storage;

/// When an alarm that failed is handled again.
const RETRY_MILLIS: u64 = 10_000;
const KEEP_DONE_MILLIS: u64 = 7 * 24 * 3_600_000;

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
        let command: WalletCommand = command(&mut request).await?;
        let Ok(config) = settings(&self.env) else {
            return reply::<(), _>("gas_wallet", Err("misconfigured"));
        };
        let WalletCommand::Submit { job, .. } = &command;
        let Some(key) = key_of(&config, job.sender) else {
            return reply::<(), _>("gas_wallet", Err("no such wallet"));
        };
        reply(
            "gas_wallet",
            self.wallet
                .execute(&self.outside(&config, key), command)
                .await,
        )
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.wallet.rang();
        let config = settings(&self.env);
        let Ok(config) = &config else {
            storage::set_alarm(&self.state.storage(), Some(platform::now().plus(60_000)))?;
            return Response::empty();
        };
        let woken = match self.jobs().open_jobs(1) {
            Ok(open) => match open.first() {
                None => return Response::empty(),
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

/// The key of a job's sender. Jobs of the first version name none: they are the gas wallet's.
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
            self.has_tables
                .set(storage::has_table(&self.sql(), "jobs")?);
        }
        Ok(self.has_tables.get())
    }

    fn sent(&self, query: &str, bindings: Vec<SqlStorageValue>) -> worker::Result<Vec<Sent>> {
        if !self.has_tables()? {
            return Ok(Vec::new());
        }
        storage::bodies(&self.sql(), query, bindings)
    }

    fn read_next_nonce(&self) -> worker::Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Row {
            next_nonce: u64,
        }
        if !self.has_tables()? {
            return Ok(None);
        }
        let rows: Vec<Row> = storage::rows(&self.sql(), "SELECT next_nonce FROM wallet", vec![])?;
        Ok(rows.into_iter().next().map(|row| row.next_nonce))
    }

    fn write(
        &self,
        sent: &Sent,
        next_nonce: Option<u64>,
        wake_at: UnixMillis,
    ) -> worker::Result<()> {
        let body = serde_json::to_string(sent)?;
        let storage = self.state.storage();
        let sql = storage.sql();
        let now = platform::now();
        let has_tables = self.has_tables()?;
        storage::transaction(&storage, || {
            if !has_tables {
                create_tables(&sql)?;
            }
            storage::run(
                &sql,
                "INSERT INTO jobs (key, done, first_nonce, changed_at, body) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (key) DO UPDATE SET done = excluded.done, first_nonce = excluded.first_nonce,
                    changed_at = excluded.changed_at, body = excluded.body",
                vec![
                    sent.key.0.as_str().into(),
                    i32::from(sent.done).into(),
                    integer(sent.first_nonce())?,
                    integer(now.0)?,
                    body.into(),
                ],
            )?;
            if let Some(nonce) = next_nonce {
                storage::run(
                    &sql,
                    "INSERT OR REPLACE INTO wallet (id, next_nonce) VALUES (1, ?)",
                    vec![integer(nonce)?],
                )?;
            }
            storage::run(
                &sql,
                "DELETE FROM jobs WHERE done = 1 AND changed_at < ?",
                vec![integer(now.0.saturating_sub(KEEP_DONE_MILLIS))?],
            )?;
            storage::set_alarm(&storage, Some(wake_at))
        })
    }
}

impl WalletStore for Jobs<'_> {
    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault> {
        self.sent(
            "SELECT body FROM jobs WHERE key = ?",
            vec![key.0.as_str().into()],
        )
        .map(|jobs| jobs.into_iter().next())
        .map_err(fault)
    }

    fn open_jobs(&self, limit: usize) -> Result<Vec<Sent>, WalletFault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).into();
        self.sent(
            "SELECT body FROM jobs WHERE done = 0 ORDER BY first_nonce LIMIT ?",
            vec![limit],
        )
        .map_err(fault)
    }

    fn next_nonce(&self) -> Result<Option<u64>, WalletFault> {
        self.read_next_nonce().map_err(fault)
    }

    fn put(
        &self,
        sent: &Sent,
        next_nonce: Option<u64>,
        wake_at: UnixMillis,
    ) -> Result<(), WalletFault> {
        self.write(sent, next_nonce, wake_at).map_err(fault)
    }

    fn wake_at(&self, at: UnixMillis) -> Result<(), WalletFault> {
        storage::set_alarm(&self.state.storage(), Some(at)).map_err(fault)
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

fn create_tables(sql: &SqlStorage) -> worker::Result<()> {
    for statement in [
        "CREATE TABLE IF NOT EXISTS jobs (
            key TEXT PRIMARY KEY,
            done INTEGER NOT NULL,
            first_nonce INTEGER NOT NULL,
            changed_at INTEGER NOT NULL,
            body TEXT NOT NULL
        ) STRICT",
        "CREATE INDEX IF NOT EXISTS jobs_open ON jobs (done, first_nonce)",
        "CREATE TABLE IF NOT EXISTS wallet (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            next_nonce INTEGER NOT NULL
        ) STRICT",
    ] {
        storage::run(sql, statement, vec![])?;
    }
    Ok(())
}
