//! `PurchaseObject`, one per request id: the life of one purchase.
//!
//! Stored: `record` (one row: version, status, the record as JSON) and `audit` (one row for each change, written in the
//! same transaction; the whole table goes a week after the purchase is over). Nothing is stored, not even the tables,
//! before the first payment has passed all checks. The record of a plan stays for ever: its request id is never sold twice.
//! That of a call goes 35 days after its end; or, if nothing was charged, when its authorization is over.
//!
//! Calls: `Call::Buyer` → `PayReply`, `Call::Operator(OperatorCommand)` → `OperatorReply`, `Call::Granted` → what was sold
//! with limits, for the grant's meter; the alarm carries on what
//! was interrupted, and removes what is not needed any more.
//!
//! Why no interleaving breaks it: while a call waits for the chain, a payer's book, a facilitator or a wallet, other calls
//! get in. Each change is therefore one `UPDATE … WHERE version = ?` on the version that was read; of several callers exactly one
//! wins, and the others read again.
//!
//! An answer that is passed on while it arrives goes through the object itself, which therefore outlives the request. If
//! the object dies, so does the stream, and the next one finds a record that says so.

mod tables;

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use js_sys::Uint8Array;

use key0_core::backend::authentication::{BackendAnswer, BackendCall};
use key0_core::backend::origin::{Account, said_by_us};
use key0_core::book::{PayerCommand, PayerReply};
use key0_core::chain::rpc::RpcChain;
use key0_core::config::Config;
use key0_core::goods::{AnswerHead, DeliveryFault, OriginFault};
use key0_core::json;
use key0_core::ledger::LedgerEntry;
use key0_core::meter::{MeterCommand, MeterReply, Meters};
use key0_core::offer::CallDigest;
use key0_core::purchase::{
    Arrived, AuditLine, AuditRow, Call, Driver, History, OriginCall, PayReply, Purchase,
    PurchaseEnv, PurchaseStore, Rest, Shared, StoreFault, StreamEnd, Versioned, granted, nudge,
    operate,
};
use key0_core::settlement::facilitator::{FacilitatorAnswer, FacilitatorCall};
use key0_core::settlement::wallet::{WalletCommand, WalletReply};
use key0_core::types::{Address, CallFault, RequestId, UnixMillis};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{
    CarriedHead, Objects, alarm_failed, misconfigured_alarm, parcel, reply, reply_streaming,
    reply_with,
};
use crate::backend;
use crate::origin::{Answered, Begun, Held, Whole};
use crate::outbound::{self, FetchHttp};
use crate::platform;
use crate::settings::settings;
use crate::stream::Passing;
use crate::tables::Tables;

#[durable_object(alarm)]
pub struct PurchaseObject {
    state: State,
    keeper: AssertUnwindSafe<Rc<Keeper>>,
}

/// What an answer that is passed on still needs when the request that began it is done.
struct Keeper {
    env: Env,
    tables: Tables,
    /// The record as it was last read, until the next write.
    read: RefCell<Option<Versioned>>,
    driver: Driver,
    /// The body of the last answer from the seller's API, with its number. The body is kept as long as there is a
    /// request that may get it.
    answer: RefCell<Option<(u32, Held)>>,
    /// The answer that is about to be passed on while it arrives, with its number.
    begun: RefCell<Option<(u32, Begun)>>,
    requests: Cell<u32>,
}

/// A request that may get the body of an answer from memory. The last such request drops the body.
struct Inside<'a>(&'a Keeper);

impl<'a> Inside<'a> {
    fn new(object: &'a Keeper) -> Self {
        object.requests.set(object.requests.get().saturating_add(1));
        Self(object)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let left = self.0.requests.get().saturating_sub(1);
        self.0.requests.set(left);
        if left == 0 {
            self.0.answer.replace(None);
            self.0.begun.replace(None);
        }
    }
}

impl DurableObject for PurchaseObject {
    fn new(state: State, env: Env) -> Self {
        let keeper = Keeper {
            env,
            tables: Tables::new(&state, &tables::SCHEMA),
            read: RefCell::new(None),
            driver: Driver::default(),
            answer: RefCell::new(None),
            begun: RefCell::new(None),
            requests: Cell::new(0),
        };
        Self {
            state,
            keeper: AssertUnwindSafe(Rc::new(keeper)),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let ((call, carried), body): ((Call, Option<CarriedHead>), _) =
            parcel(&mut request).await?;
        let keeper: &Keeper = &self.keeper;
        let Ok(config) = settings(&keeper.env) else {
            return reply::<(), _>("purchase", Err("misconfigured"));
        };
        match call {
            Call::Buyer { ask, patience } => {
                let _inside = Inside::new(keeper);
                let mut outside = keeper.outside(&config);
                outside.carried = carried.map(|head| (head, body));
                let outcome = keeper.driver.ask(&outside, &ask, patience).await;
                if let Ok(told @ PayReply::Streaming { goods, .. }) = &outcome {
                    let number = goods.answer().map(|head| head.number);
                    return self.passed_on(told, number.unwrap_or_default(), &config);
                }
                let number = outcome.as_ref().ok().and_then(answer_number);
                let bytes = match number.map(|number| keeper.body_of(number)).transpose() {
                    Ok(bytes) => bytes,
                    Err(fault) => return reply::<(), _>("purchase", Err(fault)),
                };
                reply_with("purchase", outcome, |_| bytes)
            }
            Call::Operator(command) => reply(
                "purchase",
                operate(keeper, command, platform::now(), &config.policy()),
            ),
            Call::Granted => {
                let stored = keeper.load();
                let told = stored.map(|stored| {
                    stored.and_then(|stored| granted(&stored.record, config.network))
                });
                reply("purchase", told)
            }
            Call::Nudge => reply(
                "purchase",
                nudge(keeper, platform::now(), &config.policy()).await,
            ),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        let keeper: &Keeper = &self.keeper;
        keeper.tables.rang();
        let Ok(config) = settings(&keeper.env) else {
            return misconfigured_alarm(&keeper.tables);
        };
        match keeper.driver.wake(&keeper.outside(&config)).await {
            Ok(()) => Response::empty(),
            Err(fault) => alarm_failed("purchase", &keeper.tables, &fault.0),
        }
    }
}

impl PurchaseObject {
    /// Answers with the head of the answer that has begun, and has its body passed on while it arrives.
    fn passed_on(
        &self,
        told: &PayReply,
        number: u32,
        config: &Rc<Config>,
    ) -> worker::Result<Response> {
        let (keeper, config) = (Rc::clone(&self.keeper), Rc::clone(config));
        let begun = keeper.begun.take().filter(|(begun, _)| *begun == number);
        let passing = begun
            .ok_or_else(|| "the answer is gone".into())
            .and_then(|(_, begun)| Passing::begin(begun))
            .and_then(|(passing, stream)| Ok((passing, reply_streaming(told, &stream)?)));
        match passing {
            Ok((passing, response)) => {
                // The object stays alive for as long as this takes, even when the buyer is gone.
                self.state
                    .wait_until(async move { keeper.pass_on(passing, number, &config).await });
                Ok(response)
            }
            Err(fault) => {
                keeper.ended(number, StreamEnd::Lost, 0, &config);
                reply::<(), _>("purchase", Err(fault))
            }
        }
    }
}

impl Keeper {
    /// Passes an answer on, and records how that has ended before the buyer sees the end.
    async fn pass_on(&self, passing: Passing, number: u32, config: &Config) {
        let millis = u64::from(config.gateway.stream_seconds).saturating_mul(1_000);
        let (end, waited) = passing.run(millis).await;
        if end != StreamEnd::Whole {
            passing.cut().await;
        }
        let is_delivered = self.ended(number, end, waited, config);
        match (end, is_delivered) {
            // What is recorded is on disk before the buyer sees the end.
            (StreamEnd::Whole, true) if self.tables.sync().await.is_ok() => passing.close().await,
            (StreamEnd::Whole, _) => passing.cut().await,
            _ => {}
        }
    }

    /// Records how an answer ended that was passed on. Returns whether it counts as delivered.
    fn ended(&self, number: u32, end: StreamEnd, waited: u64, config: &Config) -> bool {
        let outside = self.outside(config);
        let recorded = self.driver.stream_ended(&outside, number, end, waited);
        if let Err(fault) = &recorded {
            outside.log("stream_end_not_stored", &fault.0);
        }
        recorded.unwrap_or_default()
    }

    fn outside<'a>(&'a self, config: &'a Config) -> Outside<'a> {
        Outside {
            object: self,
            config,
            chain: outbound::chain(config),
            carried: None,
        }
    }

    /// The body of the answer with this number, from memory or from storage.
    fn body_of(&self, number: u32) -> worker::Result<Uint8Array> {
        let held = self.answer.borrow();
        match held.as_ref().filter(|(held, _)| *held == number) {
            Some((_, body)) => Ok(body.bytes().clone()),
            None => {
                let stored = tables::answer(&self.tables, number)?;
                stored.ok_or_else(|| "the answer is not kept".into())
            }
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
        self.read.take();
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

/// Everything outside the purchase.
struct Outside<'a> {
    object: &'a Keeper,
    config: &'a Config,
    chain: RpcChain<'a, FetchHttp>,
    /// The call that the request brings along, and its body.
    carried: Option<(CarriedHead, Option<Uint8Array>)>,
}

/// The number of the answer that a reply hands out.
fn answer_number(reply: &PayReply) -> Option<u32> {
    match reply {
        PayReply::Granted { goods, .. } => goods.answer().map(|head| head.number),
        _ => None,
    }
}

impl PurchaseStore for Keeper {
    fn load(&self) -> Result<Option<Versioned>, StoreFault> {
        let mut read = self.read.borrow_mut();
        if read.is_none() {
            *read = tables::record(&self.tables).map_err(|error| StoreFault(error.to_string()))?;
        }
        Ok(read.clone())
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

    fn keep_answer(&self, number: u32) -> Result<bool, StoreFault> {
        let held = self.answer.borrow();
        let Some((_, body)) = held.as_ref().filter(|(held, _)| *held == number) else {
            return Ok(false);
        };
        let write = || tables::put_answer(&self.tables, number, body.bytes());
        let written = self.tables.transaction(write);
        written.map_err(|error| StoreFault(error.to_string()))?;
        Ok(true)
    }

    fn remove_all(&self) -> Result<(), StoreFault> {
        self.read.take();
        let removed = self.tables.transaction(|| {
            self.tables.drop_all(&tables::ALL)?;
            self.tables.set_alarm(None)
        });
        removed.map_err(|error| StoreFault(error.to_string()))
    }

    fn remove_answer(&self) -> Result<(), StoreFault> {
        let remove = || tables::remove_answer(&self.tables);
        let removed = self.tables.transaction(remove);
        removed.map_err(|error| StoreFault(error.to_string()))
    }
}

impl History for Keeper {
    fn history(&self) -> Result<Vec<AuditLine>, StoreFault> {
        tables::history(&self.tables).map_err(|error| StoreFault(error.to_string()))
    }
}

impl<'a> PurchaseEnv for Outside<'a> {
    type Store = Keeper;
    type Chain = RpcChain<'a, FetchHttp>;

    fn config(&self) -> &Config {
        self.config
    }

    fn store(&self) -> &Keeper {
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

    fn call(&self) -> Option<CallDigest> {
        self.carried.as_ref().map(|(head, _)| head.digest)
    }

    async fn origin(&self, call: OriginCall) -> Result<Arrived, OriginFault> {
        let settings = &self.config.gateway;
        let (Some((head, body)), Some(base)) = (&self.carried, &settings.base) else {
            return Err(OriginFault::Unreachable);
        };
        let account = Account::Bought {
            purchase: &call.request_id,
            payer: call.payer,
            transaction: call.transaction,
        };
        let said = said_by_us(call.route.as_str(), &account, settings.secret.as_ref());
        let outgoing = head.outgoing.clone().saying(said);
        let body = body.as_ref().filter(|body| body.length() > 0);
        let limit = head.most.map_or(call.limit, |most| most.min(call.limit));
        // A request that can take only so much takes no answer of unknown length.
        let streams = call.streams.as_ref().filter(|_| head.most.is_none());
        let millis = call.timeout_millis;
        let answered = outgoing
            .answered(body, base, limit, streams, millis)
            .await?;
        let number = call.number;
        Ok(match answered {
            Answered::Whole(Whole {
                status,
                headers,
                body,
            }) => {
                let head = AnswerHead {
                    number,
                    status,
                    headers,
                    length: body.bytes().length().into(),
                };
                self.object.answer.replace(Some((number, body)));
                Arrived::Whole(head)
            }
            Answered::Begun(begun) => {
                let head = AnswerHead {
                    number,
                    status: begun.status,
                    headers: begun.headers.clone(),
                    length: begun.length(),
                };
                self.object.begun.replace(Some((number, begun)));
                Arrived::Begun(head)
            }
        })
    }

    async fn grant(
        &self,
        grant: &RequestId,
        command: &MeterCommand,
    ) -> Result<MeterReply, CallFault> {
        let objects = Objects::new(&self.object.env);
        Meters::ask(&objects, grant.as_str(), command).await
    }

    async fn ledger(&self, entry: LedgerEntry) -> Result<(), CallFault> {
        Objects::new(&self.object.env).ledger_put(&entry).await
    }

    async fn unlist(&self, entry: LedgerEntry) -> Result<(), CallFault> {
        Objects::new(&self.object.env).ledger_remove(&entry).await
    }

    fn log(&self, event: &str, detail: &str) {
        platform::log(event, json!({"object": "purchase", "detail": detail}));
    }
}
