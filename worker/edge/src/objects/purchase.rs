//! `PurchaseObject`, one per request id: the life of one purchase.
//!
//! Stored: `record` (one row: version, status, the record as JSON) and `audit` (one row for each change, written in the
//! same transaction; the whole table goes a week after the purchase is over). Nothing is stored, not even the tables,
//! before the first payment has passed all checks. The record stays for ever: a request id is never sold twice.
//!
//! Calls: `Call::Buyer` → `PayReply`, `Call::Operator(OperatorCommand)` → `OperatorReply`; the alarm carries on what
//! was interrupted, and removes what is not needed any more.
//!
//! Why no interleaving breaks it: while a call waits for the chain, a payer's book, a facilitator or a wallet, other calls
//! get in. Each change is therefore one `UPDATE … WHERE version = ?` on the version that was read; of several callers exactly one
//! wins, and the others read again.

mod tables;

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use key0_core::backend::authentication::{BackendAnswer, BackendCall};
use key0_core::book::{PayerCommand, PayerReply};
use key0_core::chain::rpc::RpcChain;
use key0_core::config::Config;
use key0_core::goods::DeliveryFault;
use key0_core::ledger::LedgerEntry;
use key0_core::purchase::{
    AuditLine, AuditRow, Call, Driver, History, Purchase, PurchaseEnv, PurchaseStore, Rest, Shared,
    StoreFault, Versioned, nudge, operate,
};
use key0_core::settlement::facilitator::{FacilitatorAnswer, FacilitatorCall};
use key0_core::settlement::wallet::{WalletCommand, WalletReply};
use key0_core::types::{Address, CallFault, UnixMillis};
use serde_json::json;
use worker::{DurableObject, Env, Request, Response, SqlStorage, State, durable_object};

use super::{Objects, command, reply};
use crate::backend;
use crate::outbound::{self, FetchHttp};
use crate::platform;
use crate::settings::settings;
use crate::storage;

/// When an alarm that failed is handled again.
const RETRY_MILLIS: u64 = 10_000;

#[durable_object(alarm)]
pub struct PurchaseObject {
    state: State,
    env: Env,
    driver: AssertUnwindSafe<Driver>,
    has_tables: AssertUnwindSafe<Cell<bool>>,
}

impl DurableObject for PurchaseObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            driver: AssertUnwindSafe(Driver::default()),
            has_tables: AssertUnwindSafe(Cell::new(false)),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let call: Call = command(&mut request).await?;
        let Ok(config) = settings(&self.env) else {
            return reply::<(), _>("purchase", Err("misconfigured"));
        };
        match call {
            Call::Buyer { ask, patience } => reply(
                "purchase",
                self.driver
                    .ask(&self.outside(&config), &ask, patience)
                    .await,
            ),
            Call::Operator(command) => reply(
                "purchase",
                operate(self, command, platform::now(), &config.policy()),
            ),
            Call::Nudge => reply(
                "purchase",
                nudge(self, platform::now(), &config.policy()).await,
            ),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        let config = settings(&self.env);
        let Ok(config) = &config else {
            // Nothing can be driven now. Looking again later is all that can be done.
            storage::set_alarm(&self.state.storage(), Some(platform::now().plus(60_000)))?;
            return Response::empty();
        };
        let outside = self.outside(config);
        if let Err(fault) = self.driver.wake(&outside).await {
            outside.log("alarm_failed", &fault.0);
            // It may have failed before the next alarm was set. Without one nobody would ever look again.
            storage::set_alarm(
                &self.state.storage(),
                Some(platform::now().plus(RETRY_MILLIS)),
            )?;
        }
        Response::empty()
    }
}

impl PurchaseObject {
    fn outside<'a>(&'a self, config: &'a Config) -> Outside<'a> {
        Outside {
            object: self,
            config,
            chain: outbound::chain(config),
        }
    }

    fn sql(&self) -> SqlStorage {
        self.state.storage().sql()
    }

    fn has_tables(&self) -> worker::Result<bool> {
        if !self.has_tables.get() {
            self.has_tables.set(tables::SCHEMA.open(&self.sql())?);
        }
        Ok(self.has_tables.get())
    }

    fn read(&self) -> worker::Result<Option<Versioned>> {
        if !self.has_tables()? {
            return Ok(None);
        }
        tables::record(&self.sql())
    }

    fn read_history(&self) -> worker::Result<Vec<AuditLine>> {
        if !self.has_tables()? {
            return Ok(Vec::new());
        }
        tables::history(&self.sql())
    }

    fn write(
        &self,
        expected: Option<u64>,
        record: &Purchase,
        audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> worker::Result<bool> {
        let body = serde_json::to_string(record)?;
        let storage = self.state.storage();
        let sql = storage.sql();
        storage::transaction(&storage, || {
            // What was paid by a transfer goes on also after its history was removed.
            if expected.is_none() || audit.is_some_and(|row| row.event == "proven") {
                tables::create(&sql)?;
            }
            if !tables::put_record(&sql, expected, record.state.status().as_str(), body)? {
                return Ok(false);
            }
            if let Some(row) = audit {
                tables::put_audit(&sql, row)?;
            }
            if record.rest == Rest::WithoutHistory {
                tables::remove_history(&sql)?;
            }
            storage::set_alarm(&storage, wake_at)?;
            Ok(true)
        })
    }
}

/// The purchase's outside world.
struct Outside<'a> {
    object: &'a PurchaseObject,
    config: &'a Config,
    chain: RpcChain<'a, FetchHttp>,
}

impl PurchaseStore for PurchaseObject {
    fn load(&self) -> Result<Option<Versioned>, StoreFault> {
        self.read().map_err(|error| StoreFault(error.to_string()))
    }

    fn commit(
        &self,
        expected: Option<u64>,
        record: &Purchase,
        audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> Result<bool, StoreFault> {
        let written = self
            .write(expected, record, audit, wake_at)
            .map_err(|error| StoreFault(error.to_string()))?;
        if written && let Some(row) = audit {
            platform::log(
                "purchase",
                json!({"requestId": record.terms.request_id, "change": row.event, "status": row.status, "transaction": row.transaction}),
            );
        }
        Ok(written)
    }

    async fn alarm(&self) -> Result<Option<UnixMillis>, StoreFault> {
        storage::alarm(&self.state.storage())
            .await
            .map_err(|error| StoreFault(error.to_string()))
    }

    fn set_alarm(&self, at: UnixMillis) -> Result<(), StoreFault> {
        storage::set_alarm(&self.state.storage(), Some(at))
            .map_err(|error| StoreFault(error.to_string()))
    }
}

impl History for PurchaseObject {
    fn history(&self) -> Result<Vec<AuditLine>, StoreFault> {
        self.read_history()
            .map_err(|error| StoreFault(error.to_string()))
    }
}

impl<'a> PurchaseEnv for Outside<'a> {
    type Store = PurchaseObject;
    type Chain = RpcChain<'a, FetchHttp>;

    fn config(&self) -> &Config {
        self.config
    }

    fn store(&self) -> &PurchaseObject {
        self.object
    }

    fn chain(&self) -> &Self::Chain {
        &self.chain
    }

    fn shared(&self) -> &Shared {
        outbound::shared()
    }

    fn now(&self) -> UnixMillis {
        platform::now()
    }

    async fn sleep(&self, millis: u64) {
        platform::sleep(millis).await;
    }

    async fn payer(&self, payer: Address, command: PayerCommand) -> Result<PayerReply, CallFault> {
        let objects = Objects::new(&self.object.env);
        objects.payer(self.config.network, payer, &command).await
    }

    async fn wallet(
        &self,
        sender: Address,
        command: WalletCommand,
    ) -> Result<WalletReply, CallFault> {
        let objects = Objects::new(&self.object.env);
        objects.wallet(self.config.network, sender, command).await
    }

    async fn facilitator(&self, call: FacilitatorCall<'_>) -> Result<FacilitatorAnswer, CallFault> {
        outbound::facilitator(call).await
    }

    async fn backend(&self, call: BackendCall) -> Result<BackendAnswer, DeliveryFault> {
        backend::call(&self.object.env, self.config, &call).await
    }

    async fn ledger(&self, entry: LedgerEntry) -> Result<(), CallFault> {
        Objects::new(&self.object.env).ledger_put(&entry).await
    }

    fn log(&self, event: &str, detail: &str) {
        platform::log(event, json!({"object": "purchase", "detail": detail}));
    }
}
