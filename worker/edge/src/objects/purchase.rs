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
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{Objects, alarm_failed, command, misconfigured_alarm, reply};
use crate::backend;
use crate::outbound::{self, FetchHttp};
use crate::platform;
use crate::settings::settings;
use crate::tables::Tables;

#[durable_object(alarm)]
pub struct PurchaseObject {
    env: Env,
    tables: Tables,
    driver: AssertUnwindSafe<Driver>,
}

impl DurableObject for PurchaseObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            env,
            tables: Tables::new(&state, &tables::SCHEMA),
            driver: AssertUnwindSafe(Driver::default()),
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
        let Ok(config) = settings(&self.env) else {
            return misconfigured_alarm(&self.tables);
        };
        match self.driver.wake(&self.outside(&config)).await {
            Ok(()) => Response::empty(),
            Err(fault) => alarm_failed("purchase", &self.tables, &fault.0),
        }
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

    fn write(
        &self,
        expected: Option<u64>,
        record: &Purchase,
        audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> worker::Result<bool> {
        let body = serde_json::to_string(record)?;
        self.tables.transaction(|| {
            self.tables.create()?;
            if !tables::put_record(&self.tables, expected, record.state.status().as_str(), body)? {
                return Ok(false);
            }
            if let Some(row) = audit {
                tables::put_audit(&self.tables, row)?;
            }
            if record.rest == Rest::WithoutHistory {
                tables::remove_history(&self.tables)?;
            }
            self.tables.set_alarm(wake_at)?;
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
        tables::record(&self.tables).map_err(|error| StoreFault(error.to_string()))
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
            let Purchase { terms, payer, .. } = record;
            platform::log(
                "purchase",
                json!({"requestId": terms.request_id, "target": terms.target.id(), "amount": terms.amount, "payer": payer,
                       "change": row.event, "status": row.status, "transaction": row.transaction}),
            );
        }
        Ok(written)
    }

    async fn alarm(&self) -> Result<Option<UnixMillis>, StoreFault> {
        self.tables
            .alarm()
            .await
            .map_err(|error| StoreFault(error.to_string()))
    }

    fn set_alarm(&self, at: UnixMillis) -> Result<(), StoreFault> {
        self.tables
            .set_alarm(Some(at))
            .map_err(|error| StoreFault(error.to_string()))
    }
}

impl History for PurchaseObject {
    fn history(&self) -> Result<Vec<AuditLine>, StoreFault> {
        tables::history(&self.tables).map_err(|error| StoreFault(error.to_string()))
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
