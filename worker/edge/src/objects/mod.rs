//! The Durable Objects, each a thin layer around its part of the core, and the calls between them.
//!
//! A call is JSON over the object's `fetch`. A refusal is an ordinary reply; a status other than 200 is a fault.

mod backend_token;
mod brought;
mod context;
mod gas_wallet;
mod grant;
mod ledger;
mod parcel;
mod payer;
mod purchase;
mod revocation;

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use futures_util::future::{Either, select};
use js_sys::Uint8Array;
use key0_core::backend::oauth::HeldToken;
use key0_core::book::{Look, PayerCommand, PayerReply};
use key0_core::breaker::Observed;
use key0_core::chain::Chain as _;
use key0_core::chain::base::Receipt;
use key0_core::checkout::Books;
use key0_core::config::Config;
use key0_core::doors::a2a::{ContextKey, Conversations, TaskCommand, TaskReply};
use key0_core::doors::admin::Transfers;
use key0_core::ledger::{
    self as core_ledger, Layout, LedgerCommand, LedgerEntry, LedgerReply, Ledgers, Shard,
};
use key0_core::meter::{Granted, ListCommand, MeterCommand, MeterReply, Meters, RevokedList};
use key0_core::offer::CallDigest;
use key0_core::pauses::{FAILED_ALARM, METER_TELL, MISCONFIGURED, Patience};
use key0_core::purchase::{
    Ask, Call, OperatorCommand, OperatorReply, Operators, PayReply, Purchases,
};
use key0_core::settlement::wallet::{
    WalletCommand, WalletOperation, WalletReply, WalletView, Wallets,
};
use key0_core::types::{Address, B256, CallFault, Network, RequestId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use web_sys::RequestInit;
use worker::{Delay, Env, Headers, Request, Response, ResponseBody};

use crate::counted;
use crate::json;
use crate::origin::Outgoing;
use crate::outbound;
use crate::platform;
use crate::settings::settings;
use crate::tables::Tables;
use gas_wallet::WalletCall;
use parcel::Parcel;

/// Longer than a purchase's patience, plus one facilitator's time for `verify` and `settle`.
const PURCHASE_DEADLINE: Duration = Duration::from_secs(60);
/// How much longer than two calls to the seller's API a purchase may take to answer a request that carries a call: long
/// enough for a settlement before or after the call. Until the request's patience is over ([`Patience::of_call`], long
/// enough for one call), the purchase may begin a second call. The second call's answer may be passed on while it
/// arrives, so this request must still be waiting for it.
const CALL_DEADLINE: Duration = Duration::from_secs(40);
const NUDGE_DEADLINE: Duration = Duration::from_secs(10);
const PAYER_DEADLINE: Duration = Duration::from_secs(5);
/// Longer than the authorization server's deadline.
const BACKEND_TOKEN_DEADLINE: Duration = Duration::from_secs(15);
const LEDGER_DEADLINE: Duration = Duration::from_secs(5);
/// Longer than a purchase takes to say what it has granted.
const METER_DEADLINE: Duration = Duration::from_secs(15);
const TELL_DEADLINE: Duration = Duration::from_millis(METER_TELL);
/// The list of revoked grants.
const LIST_DEADLINE: Duration = Duration::from_secs(5);
const CONTEXT_DEADLINE: Duration = Duration::from_secs(5);
/// Longer than the few RPC calls before a transaction is stored and broadcast.
const GAS_WALLET_DEADLINE: Duration = Duration::from_secs(20);

/// The objects of this deployment, for one request.
pub(crate) struct Objects<'a> {
    env: &'a Env,
    /// The call that the request brings to its purchase, if a call of a route is bought.
    call: RefCell<Option<Rc<Carried>>>,
    /// The body of the last answer, and the request id of its purchase or free call.
    answer: RefCell<Option<(String, Uint8Array)>>,
    /// The body of the answer that the purchase passes on while it arrives.
    streamed: RefCell<Option<web_sys::ReadableStream>>,
}

/// A call that a request brings to its purchase.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) head: CarriedHead,
    /// How long the purchase may take to answer.
    pub(crate) deadline: Duration,
    pub(crate) body: Uint8Array,
}

/// The part of a [`Carried`] call that is written as JSON: all but its body and its deadline.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CarriedHead {
    pub(crate) digest: CallDigest,
    /// The most bytes of an answer that the request can take; `None` when there is no such limit.
    pub(crate) most: Option<usize>,
    pub(crate) outgoing: Outgoing,
}

impl<'a> Objects<'a> {
    pub(crate) const fn new(env: &'a Env) -> Self {
        Self {
            env,
            call: RefCell::new(None),
            answer: RefCell::new(None),
            streamed: RefCell::new(None),
        }
    }

    /// How long a purchase that makes a call may take, if the seller's API may take `timeout_millis` milliseconds.
    pub(crate) fn call_deadline(timeout_millis: u32) -> Duration {
        let twice = u64::from(timeout_millis).saturating_mul(2);
        CALL_DEADLINE.saturating_add(Duration::from_millis(twice))
    }

    /// The objects, for a request that brings a call.
    pub(crate) fn bringing(env: &'a Env, call: Carried) -> Self {
        let objects = Self::new(env);
        objects.call.replace(Some(Rc::new(call)));
        objects
    }

    /// The body of the answer that the purchase has given, if it has given one.
    pub(crate) fn answer(&self) -> Option<Uint8Array> {
        self.answer.take().map(|(_, body)| body)
    }

    /// The body of the answer that the purchase passes on while it arrives, if it does so.
    pub(crate) fn streamed(&self) -> Option<web_sys::ReadableStream> {
        self.streamed.take()
    }

    /// Sends a command to the book of one payer.
    pub(crate) async fn payer(
        &self,
        network: Network,
        payer: Address,
        command: &PayerCommand,
    ) -> Result<PayerReply, CallFault> {
        let name = format!("{}:{payer:#x}", network.caip2());
        self.call("PAYERS", &name, command, PAYER_DEADLINE).await
    }

    /// Sends a command to one of our wallets.
    pub(crate) async fn wallet(
        &self,
        network: Network,
        sender: Address,
        command: WalletCommand,
    ) -> Result<WalletReply, CallFault> {
        let call = WalletCall::Purchase(command);
        self.call_wallet(network, sender, &call).await
    }

    async fn call_wallet<T: DeserializeOwned>(
        &self,
        network: Network,
        wallet: Address,
        call: &WalletCall,
    ) -> Result<T, CallFault> {
        let name = format!("{}:{wallet:#x}", network.caip2());
        self.call("GAS_WALLETS", &name, call, GAS_WALLET_DEADLINE)
            .await
    }

    /// The purchase that a payment counts for, according to the payer's book.
    pub(crate) async fn owner(
        &self,
        network: Network,
        payer: Address,
        payment: B256,
    ) -> Result<Option<RequestId>, CallFault> {
        let look = PayerCommand::Look(Look {
            payments: vec![payment],
            identifier: None,
        });
        let seen = self.payer(network, payer, &look).await?.seen()?;
        Ok(seen.owner())
    }

    /// Asks a purchase to set its alarm again if the alarm was lost.
    pub(crate) async fn nudge(&self, request_id: &RequestId) -> Result<bool, CallFault> {
        let nudge = (&Call::Nudge, None::<CarriedHead>);
        self.call("PURCHASES", request_id.as_str(), &nudge, NUDGE_DEADLINE)
            .await
    }

    /// The name of a grant's object: test money adds to no grant of the main network, and the reverse.
    fn grant_name(&self, grant: &str) -> Result<String, CallFault> {
        let config = settings(self.env);
        let config = config.map_err(|_| CallFault("the settings have faults".to_owned()))?;
        Ok(format!("{}:{grant}", config.network.caip2()))
    }

    /// What a purchase has granted, for the grant's meter.
    pub(crate) async fn granted(
        &self,
        request_id: &RequestId,
    ) -> Result<Option<Granted>, CallFault> {
        let question = (&Call::Granted, None::<CarriedHead>);
        self.call("PURCHASES", request_id.as_str(), &question, NUDGE_DEADLINE)
            .await
    }

    /// Sends a command to the list of revoked grants.
    pub(crate) async fn list(&self, command: &ListCommand) -> Result<RevokedList, CallFault> {
        self.call("REVOCATIONS", "revoked", command, LIST_DEADLINE)
            .await
    }

    /// The grants that were taken back.
    pub(crate) async fn revoked(&self) -> Result<RevokedList, CallFault> {
        logged(self.list(&ListCommand::Read).await)
    }

    /// Asks a purchase. The request's call is sent along, and the body of the answer is kept.
    async fn ask_purchase<T: DeserializeOwned>(
        &self,
        request_id: &RequestId,
        call: &Call,
    ) -> Result<T, CallFault> {
        let fault = |error: serde_json::Error| CallFault(format!("PURCHASES: {error}"));
        let carried = self.call.borrow().clone();
        let carried = carried.as_deref();
        let command = (call, carried.map(|carried| &carried.head));
        let command = Parcel {
            text: serde_json::to_vec(&command).map_err(fault)?,
            bytes: carried.map(|carried| carried.body.clone()),
        };
        let deadline = carried.map_or(PURCHASE_DEADLINE, |carried| carried.deadline);
        let id = request_id.as_str();
        let reply = self.exchange("PURCHASES", id, command, deadline).await?;
        let bytes = reply.bytes.map(|bytes| (id.to_owned(), bytes));
        self.answer.replace(bytes);
        json::read(&reply.text).map_err(fault)
    }

    /// Reports a purchase to its shard of the ledger.
    pub(crate) async fn ledger_put(&self, entry: &LedgerEntry) -> Result<(), CallFault> {
        core_ledger::put(self, entry.clone()).await
    }

    /// Has the ledger remove the entry of a purchase that is removed itself.
    pub(crate) async fn ledger_remove(&self, entry: &LedgerEntry) -> Result<(), CallFault> {
        core_ledger::remove(self, entry).await
    }

    /// The OAuth token for the backend; `None` if the authorization server gives none. `refused` is the number of an earlier token that the backend has refused.
    pub(crate) async fn backend_token(&self, refused: Option<u64>) -> Option<HeldToken> {
        let command = refused.map(|number| number.to_string()).unwrap_or_default();
        let deadline = BACKEND_TOKEN_DEADLINE;
        let command = Parcel::text(command.into_bytes());
        let reply = self
            .exchange("BACKEND_TOKENS", "oauth", command, deadline)
            .await;
        let text = String::from_utf8(logged(reply).ok()?.text).ok()?;
        HeldToken::from_text(&text)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        binding: &str,
        name: &str,
        command: &impl Serialize,
        deadline: Duration,
    ) -> Result<T, CallFault> {
        let fault = |error: serde_json::Error| CallFault(format!("{binding}: {error}"));
        let command = Parcel::text(serde_json::to_vec(command).map_err(fault)?);
        let answer = self.exchange(binding, name, command, deadline).await?;
        json::read(&answer.text).map_err(fault)
    }

    /// Sends one parcel and returns the parcel of the reply. The function is not generic, so that it is compiled only
    /// once.
    async fn exchange(
        &self,
        binding: &str,
        name: &str,
        command: Parcel,
        deadline: Duration,
    ) -> Result<Parcel, CallFault> {
        let fault = |what: &str| CallFault(format!("{binding}: {what}"));
        let request = request(&command).map_err(|error| fault(&error.to_string()))?;
        let stub = self
            .env
            .durable_object(binding)
            .and_then(|namespace| namespace.get_by_name(name))
            .map_err(|error| fault(&error.to_string()))?;
        let answer = Box::pin(async {
            let response = stub.fetch_with_request(request).await?;
            hear(response.headers());
            if let Some(text) = parcel::text_beside_stream(response.headers())?
                && let ResponseBody::Stream(stream) = response.body()
            {
                self.streamed.replace(Some(stream.clone()));
                return Ok((response.status_code(), Parcel::text(text)));
            }
            let body = platform::whole_body(&response).await?;
            let reply = Parcel::open(response.headers(), &body)?;
            Ok::<_, worker::Error>((response.status_code(), reply))
        });
        match select(answer, Box::pin(Delay::from(deadline))).await {
            Either::Left((Ok((200, reply)), _)) => Ok(reply),
            Either::Left((Ok((status, _)), _)) => Err(fault(&format!("status {status}"))),
            Either::Left((Err(error), _)) => Err(fault(&error.to_string())),
            Either::Right(_) => Err(fault("no answer in time")),
        }
    }
}

impl Purchases for Objects<'_> {
    async fn ask(
        &self,
        request_id: &RequestId,
        ask: &Ask,
        patience: Patience,
    ) -> Result<PayReply, CallFault> {
        let ask = ask.clone();
        logged(
            self.ask_purchase(request_id, &Call::Buyer { ask, patience })
                .await,
        )
    }
}

impl Operators for Objects<'_> {
    async fn ask(
        &self,
        request_id: &RequestId,
        command: OperatorCommand,
    ) -> Result<OperatorReply, CallFault> {
        let call = Call::Operator(command);
        logged(self.ask_purchase(request_id, &call).await)
    }
}

impl Transfers for Objects<'_> {
    async fn receipt(
        &self,
        config: &Config,
        transaction: B256,
    ) -> Result<Option<Receipt>, CallFault> {
        let receipt = outbound::chain(config).receipt(transaction).await;
        logged(receipt.map_err(|error| CallFault(error.0)))
    }

    async fn book(
        &self,
        network: Network,
        payer: Address,
        command: &PayerCommand,
    ) -> Result<PayerReply, CallFault> {
        logged(self.payer(network, payer, command).await)
    }
}

impl Books for Objects<'_> {
    async fn ask_book(
        &self,
        network: Network,
        payer: Address,
        command: &PayerCommand,
    ) -> Result<PayerReply, CallFault> {
        logged(self.payer(network, payer, command).await)
    }
}

impl Conversations for Objects<'_> {
    async fn ask(
        &self,
        context: ContextKey,
        command: &TaskCommand,
    ) -> Result<TaskReply, CallFault> {
        let reply = self
            .call("CONTEXTS", &context.name(), command, CONTEXT_DEADLINE)
            .await;
        logged(reply)
    }
}

impl Meters for Objects<'_> {
    async fn ask(&self, grant: &str, command: &MeterCommand) -> Result<MeterReply, CallFault> {
        if let Some(refusal) = counted::lately(grant, command) {
            return Ok(refusal);
        }
        let command = (grant, command);
        let deadline = match command.1 {
            MeterCommand::Tell(_) => TELL_DEADLINE,
            _ => METER_DEADLINE,
        };
        let name = self.grant_name(grant)?;
        let reply = logged(self.call("GRANTS", &name, &command, deadline).await)?;
        if let (MeterCommand::Reserve(_), MeterReply::NotGranted) = (command.1, &reply) {
            platform::log("grant_not_found", key0_core::json!({"grant": grant}));
        }
        counted::note(grant, &reply);
        Ok(reply)
    }
}

impl Wallets for Objects<'_> {
    async fn ask_wallet(
        &self,
        network: Network,
        wallet: Address,
        operation: WalletOperation,
    ) -> Result<WalletView, CallFault> {
        let call = WalletCall::Operator(wallet, operation);
        logged(self.call_wallet(network, wallet, &call).await)
    }
}

impl Ledgers for Objects<'_> {
    fn layout(&self) -> Layout {
        settings(self.env)
            .map(|config| config.ledger.clone())
            .unwrap_or_default()
    }

    async fn ask(&self, shard: Shard, command: &LedgerCommand) -> Result<LedgerReply, CallFault> {
        let reply = self
            .call("LEDGERS", &shard.name(), command, LEDGER_DEADLINE)
            .await;
        logged(reply)
    }
}

/// Logs a fault between objects. The caller learns only that the call failed.
fn logged<T>(reply: Result<T, CallFault>) -> Result<T, CallFault> {
    if let Err(fault) = &reply {
        platform::log("object_call_failed", key0_core::json!({"detail": fault.0}));
    }
    reply
}

/// The headers in which each call and each reply between objects tells what its sender has observed of deliveries, and
/// of the calls of routes. Objects live in many isolates, and in this way each of them learns of an outage without an
/// extra call.
const SEEN: &str = "x-key0-deliveries";
const SEEN_ROUTES: &str = "x-key0-routes";

fn hear(headers: &Headers) {
    let shared = outbound::shared();
    let told = |name| headers.get(name).ok().flatten();
    if let Some(seen) = told(SEEN).as_deref().and_then(Observed::from_text) {
        shared.deliveries.hear(seen);
    }
    if let Some(routes) = told(SEEN_ROUTES) {
        shared.routes.hear(&routes);
    }
}

/// Headers that tell what this isolate has observed.
fn telling() -> worker::Result<Headers> {
    let (headers, shared) = (Headers::new(), outbound::shared());
    headers.set(SEEN, &shared.deliveries.observed().to_text())?;
    let routes = shared.routes.to_text();
    if !routes.is_empty() {
        headers.set(SEEN_ROUTES, &routes)?;
    }
    Ok(headers)
}

fn request(command: &Parcel) -> worker::Result<Request> {
    let headers = telling()?;
    let body = command.pack(&headers)?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(headers.as_ref());
    init.set_body(&body);
    platform::request("http://object/", &init)
}

/// Reads the command of a call.
async fn command<T: DeserializeOwned>(request: &mut Request) -> worker::Result<T> {
    Ok(json::read(&body(request).await?)?)
}

/// Reads the command of a call, and the bytes that came with it.
async fn parcel<T: DeserializeOwned>(
    request: &mut Request,
) -> worker::Result<(T, Option<Uint8Array>)> {
    hear(request.headers());
    let packed = platform::whole_request(request).await?;
    let Parcel { text, bytes } = Parcel::open(request.headers(), &packed)?;
    Ok((json::read(&text)?, bytes))
}

async fn body(request: &mut Request) -> worker::Result<Vec<u8>> {
    hear(request.headers());
    request.bytes().await
}

/// Handles an alarm that failed.
fn alarm_failed(object: &str, tables: &Tables, fault: &str) -> worker::Result<Response> {
    let detail = key0_core::json!({"object": object, "detail": fault});
    platform::log("alarm_failed", detail);
    tables.set_alarm(Some(platform::now().plus(FAILED_ALARM)))?;
    Response::empty()
}

/// Handles an alarm that cannot run because the settings are wrong.
fn misconfigured_alarm(tables: &Tables) -> worker::Result<Response> {
    tables.set_alarm(Some(platform::now().plus(MISCONFIGURED)))?;
    Response::empty()
}

/// Answers a call. The details of a fault go to the log only.
fn reply<T: Serialize, E: core::fmt::Debug>(
    object: &str,
    outcome: Result<T, E>,
) -> worker::Result<Response> {
    reply_with(object, outcome, |_| None)
}

/// Answers a call with the bytes that belong to the reply.
fn reply_with<T: Serialize, E: core::fmt::Debug>(
    object: &str,
    outcome: Result<T, E>,
    bytes: impl FnOnce(&T) -> Option<Uint8Array>,
) -> worker::Result<Response> {
    let answer = match &outcome {
        Ok(reply) => serde_json::to_vec(reply)
            .map(|text| Parcel {
                text,
                bytes: bytes(reply),
            })
            .map_err(|error| error.to_string()),
        Err(fault) => Err(format!("{fault:?}")),
    };
    send(object, answer)
}

/// Answers a call with a stream that belongs to the reply.
fn reply_streaming<T: Serialize>(
    reply: &T,
    stream: &web_sys::ReadableStream,
) -> worker::Result<Response> {
    let headers = telling()?;
    parcel::put_text(&serde_json::to_vec(reply)?, &headers)?;
    platform::streamed(200, &headers, stream)
}

fn send(object: &str, answer: Result<Parcel, String>) -> worker::Result<Response> {
    match answer {
        Ok(parcel) => {
            let headers = telling()?;
            let Some(_) = &parcel.bytes else {
                let response = worker::ResponseBuilder::new().with_headers(headers);
                return Ok(response.fixed(parcel.text));
            };
            let packed = parcel.pack(&headers)?;
            platform::response_of(200, &headers, Some(&packed))
        }
        Err(fault) => {
            platform::log(
                "object_fault",
                key0_core::json!({"object": object, "detail": fault}),
            );
            Ok(worker::ResponseBuilder::new().with_status(500).empty())
        }
    }
}
