//! The Durable Objects, each thin over its part of the core, and the calls between them.
//!
//! A call is JSON over the object's `fetch`. A refusal is an ordinary reply; a status other than 200 is a fault.

mod backend_token;
mod context;
mod gas_wallet;
mod ledger;
mod payer;
mod purchase;

use core::time::Duration;

use futures_util::future::{Either, select};
use key0_core::backend::oauth::HeldToken;
use key0_core::book::{Look, PayerCommand, PayerReply};
use key0_core::breaker::Observed;
use key0_core::chain::Chain as _;
use key0_core::chain::base::Receipt;
use key0_core::config::Config;
use key0_core::doors::a2a::{ContextKey, Conversations, TaskCommand, TaskReply};
use key0_core::doors::admin::Transfers;
use key0_core::ledger::{
    self as core_ledger, Layout, LedgerCommand, LedgerEntry, LedgerReply, Ledgers, Shard,
};
use key0_core::pauses::{FAILED_ALARM, MISCONFIGURED, Patience};
use key0_core::purchase::{
    Ask, Call, OperatorCommand, OperatorReply, Operators, PayReply, Purchases,
};
use key0_core::settlement::wallet::{
    WalletCommand, WalletOperation, WalletReply, WalletView, Wallets,
};
use key0_core::types::{Address, B256, CallFault, Network, RequestId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Delay, Env, Headers, Method, Request, RequestInit, Response};

use crate::outbound;
use crate::platform;
use crate::settings::settings;
use crate::tables::Tables;
use gas_wallet::WalletCall;

/// Longer than a purchase's patience, together with one facilitator's answers to `verify` and `settle`.
const PURCHASE_DEADLINE: Duration = Duration::from_secs(60);
const NUDGE_DEADLINE: Duration = Duration::from_secs(10);
const PAYER_DEADLINE: Duration = Duration::from_secs(5);
/// Longer than the authorization server may take.
const BACKEND_TOKEN_DEADLINE: Duration = Duration::from_secs(15);
const LEDGER_DEADLINE: Duration = Duration::from_secs(5);
const CONTEXT_DEADLINE: Duration = Duration::from_secs(5);
/// Longer than the few RPC calls before a transaction is stored and broadcast.
const GAS_WALLET_DEADLINE: Duration = Duration::from_secs(20);

/// The objects of this deployment.
pub(crate) struct Objects<'a> {
    env: &'a Env,
}

impl<'a> Objects<'a> {
    pub(crate) fn new(env: &'a Env) -> Self {
        Self { env }
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

    /// Has a purchase set its alarm again if the alarm was lost.
    pub(crate) async fn nudge(&self, request_id: &RequestId) -> Result<bool, CallFault> {
        let id = request_id.as_str();
        self.call("PURCHASES", id, &Call::Nudge, NUDGE_DEADLINE)
            .await
    }

    /// Reports a purchase to its shard of the ledger.
    pub(crate) async fn ledger_put(&self, entry: &LedgerEntry) -> Result<(), CallFault> {
        core_ledger::put(self, entry.clone()).await
    }

    /// The token for the backend, from the authorization server, if it gives any. `refused` is the number of a token that
    /// the backend has refused.
    pub(crate) async fn backend_token(&self, refused: Option<u64>) -> Option<HeldToken> {
        let command = refused.map(|number| number.to_string()).unwrap_or_default();
        let deadline = BACKEND_TOKEN_DEADLINE;
        let reply = self
            .exchange("BACKEND_TOKENS", "oauth", command, deadline)
            .await;
        let text = String::from_utf8(logged(reply).ok()?).ok()?;
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
        let command = serde_json::to_string(command).map_err(fault)?;
        let answer = self.exchange(binding, name, command, deadline).await?;
        serde_json::from_slice(&answer).map_err(fault)
    }

    /// Sends one text and returns the text of the reply. Not generic, so that it is compiled once.
    async fn exchange(
        &self,
        binding: &str,
        name: &str,
        command: String,
        deadline: Duration,
    ) -> Result<Vec<u8>, CallFault> {
        let fault = |what: &str| CallFault(format!("{binding}: {what}"));
        let deliveries = &outbound::shared().deliveries;
        let seen = deliveries.observed().to_text();
        let request = request(command, &seen).map_err(|error| fault(&error.to_string()))?;
        let stub = self
            .env
            .durable_object(binding)
            .and_then(|namespace| namespace.get_by_name(name))
            .map_err(|error| fault(&error.to_string()))?;
        let answer = Box::pin(async {
            let response = stub.fetch_with_request(request).await?;
            hear(response.headers());
            let body = platform::whole_body(&response).await?;
            Ok::<_, worker::Error>((response.status_code(), body))
        });
        match select(answer, Box::pin(Delay::from(deadline))).await {
            Either::Left((Ok((200, body)), _)) => Ok(body),
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
        let call = Call::Buyer { ask, patience };
        let reply = self
            .call("PURCHASES", request_id.as_str(), &call, PURCHASE_DEADLINE)
            .await;
        logged(reply)
    }
}

impl Operators for Objects<'_> {
    async fn ask(
        &self,
        request_id: &RequestId,
        command: OperatorCommand,
    ) -> Result<OperatorReply, CallFault> {
        let call = Call::Operator(command);
        let reply = self
            .call("PURCHASES", request_id.as_str(), &call, PURCHASE_DEADLINE)
            .await;
        logged(reply)
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
        platform::log("object_call_failed", serde_json::json!({"detail": fault.0}));
    }
    reply
}

/// Objects live in many isolates. Each call and each reply carries what the sender has seen of deliveries, so that every
/// isolate learns of an outage without an extra call.
const SEEN: &str = "x-key0-deliveries";

fn hear(headers: &Headers) {
    let seen = headers.get(SEEN).ok().flatten();
    if let Some(seen) = seen.as_deref().and_then(Observed::from_text) {
        outbound::shared().deliveries.hear(seen);
    }
}

fn request(body: String, seen: &str) -> worker::Result<Request> {
    let headers = Headers::new();
    headers.set(SEEN, seen)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(body.into()));
    Request::new_with_init("http://object/", &init)
}

/// Reads the command of a call.
async fn command<T: DeserializeOwned>(request: &mut Request) -> worker::Result<T> {
    Ok(serde_json::from_slice(&body(request).await?)?)
}

async fn body(request: &mut Request) -> worker::Result<Vec<u8>> {
    hear(request.headers());
    request.bytes().await
}

/// Handles an alarm that failed.
fn alarm_failed(object: &str, tables: &Tables, fault: &str) -> worker::Result<Response> {
    let detail = serde_json::json!({"object": object, "detail": fault});
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
    let answer = match &outcome {
        Ok(reply) => serde_json::to_vec(reply).map_err(|error| error.to_string()),
        Err(fault) => Err(format!("{fault:?}")),
    };
    send(object, answer)
}

fn send(object: &str, answer: Result<Vec<u8>, String>) -> worker::Result<Response> {
    match answer {
        Ok(body) => {
            let seen = outbound::shared().deliveries.observed().to_text();
            let response = worker::ResponseBuilder::new().with_header(SEEN, &seen)?;
            Ok(response.fixed(body))
        }
        Err(fault) => {
            platform::log(
                "object_fault",
                serde_json::json!({"object": object, "detail": fault}),
            );
            Ok(worker::ResponseBuilder::new().with_status(500).empty())
        }
    }
}
