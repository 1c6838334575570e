//! Reads what the operator asks for, and answers.

use crate::json;
use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use super::grants;
use super::page::page;
use super::path::PREFIX;
use super::query::Query;
use super::returned::{self, Transfers};
use super::view::View;
use super::wallets;
use crate::config::Config;
use crate::error::{Code, Error};
use crate::ledger::{self, Ledgers};
use crate::meter::Meters;
use crate::purchase::{AuditLine, OperatorCommand, OperatorReply, Operators};
use crate::response::{self, Response};
use crate::settlement::wallet::Wallets;
use crate::types::{RequestId, Status, UnixMillis};

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";
const READ_OR_REMOVE: &str = "GET, HEAD, DELETE";

/// A request to the operator's door. Request bodies are not read.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path.
    pub path: &'a str,
    /// The query string; empty if there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The time.
    pub now: UnixMillis,
}

/// What the operator asks for.
enum Question<'a> {
    Ledger(View),
    Purchase(&'a str, OperatorCommand),
    Returned(&'a str, Option<&'a str>),
    Wallets(wallets::Question<'a>),
    Grant(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inspected {
    request_id: RequestId,
    version: u64,
    status: Status,
    record: Value,
    audit: Vec<AuditLine>,
    history_removed: bool,
}

/// The answer to a request. Browsers may not let other sites read it, and caches may not store it.
pub async fn answer<O: Operators + Ledgers + Transfers + Wallets + Meters>(
    config: &Config,
    objects: &O,
    arrival: &Arrival<'_>,
) -> Response {
    let Some(secret) = &config.admin_secret else {
        return response::not_found();
    };
    let is_page = arrival.path.trim_end_matches('/') == PREFIX;
    if is_page && [Method::GET, Method::HEAD].contains(arrival.method) {
        return page();
    }
    if !secret.admits(arrival.headers) {
        let mut refusal = response::error(&Error::new(
            Code::Unauthorized,
            "Send the operator's secret as Authorization: Bearer <secret>.",
        ));
        response::set(
            &mut refusal,
            header::WWW_AUTHENTICATE,
            "Bearer realm=\"key0 admin\"",
        );
        return refusal;
    }
    let mut answer = route(config, objects, arrival)
        .await
        .unwrap_or_else(|error| response::error(&error));
    response::set(&mut answer, header::CACHE_CONTROL, "no-store");
    answer
}

async fn route<O: Operators + Ledgers + Transfers + Wallets + Meters>(
    config: &Config,
    objects: &O,
    arrival: &Arrival<'_>,
) -> Result<Response, Error> {
    let path = arrival.path.strip_prefix(PREFIX).unwrap_or_default();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (methods, question) = match *segments.as_slice() {
        ["purchases"] => (READ, Question::Ledger(View::List)),
        ["totals"] => (READ, Question::Ledger(View::Totals)),
        ["export.csv"] => (READ, Question::Ledger(View::Export)),
        ["purchases", id] => (READ, Question::Purchase(id, OperatorCommand::Inspect)),
        ["purchases", id, "retry-refund"] => {
            (WRITE, Question::Purchase(id, OperatorCommand::RetryRefund))
        }
        ["purchases", id, "cancel"] => (WRITE, Question::Purchase(id, OperatorCommand::Cancel)),
        ["purchases", id, "report"] => (WRITE, Question::Purchase(id, OperatorCommand::Report)),
        ["purchases", id, "returned", transaction] => {
            let Some(transaction) = returned::hash(transaction) else {
                return Err(Error::invalid_request(
                    "The last part of the path must be the transaction that returned the money: 0x and 64 hex digits.",
                ));
            };
            let command = OperatorCommand::Returned { transaction };
            (WRITE, Question::Purchase(id, command))
        }
        ["transfers", transaction, "returned"] => (WRITE, Question::Returned(transaction, None)),
        ["transfers", transaction, event, "returned"] => {
            (WRITE, Question::Returned(transaction, Some(event)))
        }
        ["grants", id] => (READ_OR_REMOVE, Question::Grant(id)),
        ["wallets"] => (READ, Question::Wallets(wallets::Question::All)),
        ["wallets", wallet, "repair"] => {
            (WRITE, Question::Wallets(wallets::Question::Repair(wallet)))
        }
        ["wallets", wallet, "nonces", nonce, "give-up"] => {
            let question = wallets::Question::GiveUp(wallet, nonce);
            (WRITE, Question::Wallets(question))
        }
        _ => return Ok(response::not_found()),
    };
    if !methods
        .split(", ")
        .any(|method| method == arrival.method.as_str())
    {
        return Ok(response::method_not_allowed(methods));
    }
    match question {
        Question::Ledger(view) => {
            let query = view.query(arrival.query)?;
            let replies = ledger::ask_all(objects, &view.command(&query))
                .await
                .map_err(|_| Error::internal())?;
            view.answer(&query, replies)
        }
        Question::Purchase(id, command) => {
            Query::parse(arrival.query, &[])?;
            purchase(objects, id, command).await
        }
        Question::Returned(transaction, event) => {
            Query::parse(arrival.query, &[])?;
            returned::mark(config, objects, transaction, event).await
        }
        Question::Wallets(question) => {
            Query::parse(arrival.query, &[])?;
            wallets::answer(config, objects, question).await
        }
        Question::Grant(id) => {
            Query::parse(arrival.query, &[])?;
            let revokes = *arrival.method == Method::DELETE;
            grants::answer(objects, id, revokes, arrival.now).await
        }
    }
}

async fn purchase<O: Operators>(
    objects: &O,
    id: &str,
    command: OperatorCommand,
) -> Result<Response, Error> {
    let unknown = || {
        Error::new(
            Code::NotFound,
            "Nothing was ever paid or begun under this request id.",
        )
    };
    let request_id: RequestId = id.parse().map_err(|_| unknown())?;
    let reply = Operators::ask(objects, &request_id, command)
        .await
        .map_err(|_| Error::internal())?;
    match reply {
        OperatorReply::Found {
            version,
            status,
            record,
            audit,
            history_removed,
        } => Ok(response::json(
            StatusCode::OK,
            &Inspected {
                request_id,
                version,
                status,
                record,
                audit,
                history_removed,
            },
        )),
        OperatorReply::Done { status } => Ok(response::json(
            StatusCode::OK,
            &json!({"requestId": request_id.as_str(), "status": status}),
        )),
        OperatorReply::NotFound => Err(unknown()),
        OperatorReply::NotPossible { status } => Err(Error::new(
            Code::RequestConflict,
            format!("This purchase is {status}, which does not allow that. Nothing was changed."),
        )
        .with_details(json!({"status": status}))),
    }
}

#[cfg(test)]
mod tests;
