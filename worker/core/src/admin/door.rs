//! Which question the operator asks, and what is answered.

use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::query::Query;
use crate::challenge::{AuditLine, OperatorCommand, OperatorReply, Operators};
use crate::config::Config;
use crate::error::{Code, Error};
use crate::ledger::{self, CSV_HEADER, LedgerEntry, Ledgers, List, StatusTotal, Total};
use crate::response::{self, Response};
use crate::types::RequestId;

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";
const PREFIX: &str = "/admin";
const DEFAULT_LIST: usize = 50;
const DEFAULT_EXPORT: usize = 500;

/// A request to the operator's door. Bodies are not read.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path.
    pub path: &'a str,
    /// What stands behind the question mark, if anything does.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// What is asked.
enum Question<'a> {
    List,
    Totals,
    Export,
    Purchase(&'a str, OperatorCommand),
}

#[derive(Serialize)]
struct Listed {
    challenges: Vec<LedgerEntry>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Totals<'a> {
    totals: Vec<StatusTotal<'a>>,
    days: &'a [Total],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inspected {
    request_id: RequestId,
    version: u64,
    record: Value,
    audit: Vec<AuditLine>,
}

/// Whether a path belongs to this door.
pub fn serves(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer. Browsers are not allowed to read it, and nobody may keep it.
pub async fn answer<O: Operators + Ledgers>(
    config: &Config,
    objects: &O,
    arrival: &Arrival<'_>,
) -> Response {
    let Some(secret) = &config.admin_secret else {
        return response::not_found();
    };
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
    let mut answer = route(objects, arrival)
        .await
        .unwrap_or_else(|error| response::error(&error));
    response::set(&mut answer, header::CACHE_CONTROL, "no-store");
    answer
}

async fn route<O: Operators + Ledgers>(
    objects: &O,
    arrival: &Arrival<'_>,
) -> Result<Response, Error> {
    let path = arrival.path.strip_prefix(PREFIX).unwrap_or_default();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (methods, question) = match *segments.as_slice() {
        ["challenges"] => (READ, Question::List),
        ["totals"] => (READ, Question::Totals),
        ["export.csv"] => (READ, Question::Export),
        ["challenges", id] => (READ, Question::Purchase(id, OperatorCommand::Inspect)),
        ["challenges", id, "retry-refund"] => {
            (WRITE, Question::Purchase(id, OperatorCommand::RetryRefund))
        }
        ["challenges", id, "cancel"] => (WRITE, Question::Purchase(id, OperatorCommand::Cancel)),
        ["challenges", id, "report"] => (WRITE, Question::Purchase(id, OperatorCommand::Report)),
        _ => return Ok(response::not_found()),
    };
    if !methods
        .split(", ")
        .any(|method| method == arrival.method.as_str())
    {
        return Ok(response::method_not_allowed(methods));
    }
    match question {
        Question::List => list(objects, arrival.query).await,
        Question::Totals => totals(objects, arrival.query).await,
        Question::Export => export(objects, arrival).await,
        Question::Purchase(id, command) => {
            Query::parse(arrival.query, &[])?;
            purchase(objects, id, command).await
        }
    }
}

async fn list<L: Ledgers>(ledgers: &L, query: &str) -> Result<Response, Error> {
    let query = Query::parse(query, &["status", "limit", "cursor"])?;
    let list = List {
        status: query.status(),
        after: query.cursor(),
        limit: query.limit_or(DEFAULT_LIST),
    };
    let page = ledger::list(ledgers, list).await.map_err(|_| fault())?;
    Ok(response::json(
        StatusCode::OK,
        &Listed {
            challenges: page.entries,
            next: page.next.map(|cursor| cursor.to_string()),
        },
    ))
}

async fn totals<L: Ledgers>(ledgers: &L, query: &str) -> Result<Response, Error> {
    let query = Query::parse(query, &["from", "to"])?;
    let days = ledger::totals(ledgers, query.days())
        .await
        .map_err(|_| fault())?;
    Ok(response::json(
        StatusCode::OK,
        &Totals {
            totals: ledger::by_status(&days),
            days: &days,
        },
    ))
}

/// One page of the book. Only the first page has a header row, so that pages put one behind the other are one file.
async fn export<L: Ledgers>(ledgers: &L, arrival: &Arrival<'_>) -> Result<Response, Error> {
    let query = Query::parse(arrival.query, &["from", "to", "limit", "cursor"])?;
    let (days, cursor, limit) = (query.days(), query.cursor(), query.limit_or(DEFAULT_EXPORT));
    let is_first = cursor.is_none();
    let page = ledger::book(ledgers, days, cursor, limit)
        .await
        .map_err(|_| fault())?;
    let mut text = if is_first { CSV_HEADER } else { "" }.to_owned();
    text.push_str(&ledger::csv(&page.entries));
    let mut answer = Response::new(text.into_bytes());
    response::set(
        &mut answer,
        header::CONTENT_TYPE,
        if is_first {
            "text/csv; charset=utf-8; header=present"
        } else {
            "text/csv; charset=utf-8; header=absent"
        },
    );
    if let Some(next) = page.next {
        let (from, to) = (days.from, days.to);
        response::set(
            &mut answer,
            header::LINK,
            &format!(
                "<{PREFIX}/export.csv?from={from}&to={to}&limit={limit}&cursor={next}>; rel=\"next\""
            ),
        );
    }
    Ok(answer)
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
    let reply = objects
        .ask(&request_id, command)
        .await
        .map_err(|_| fault())?;
    match reply {
        OperatorReply::Found {
            version,
            record,
            audit,
        } => Ok(response::json(
            StatusCode::OK,
            &Inspected {
                request_id,
                version,
                record,
                audit,
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

/// The caller may ask again; what failed is in the log.
fn fault() -> Error {
    Error::internal()
}

#[cfg(test)]
mod tests;
