//! Views of the ledger for the operator: a list, sums, an export.

use http::{StatusCode, header};
use serde::Serialize;

use super::path::PREFIX;
use super::query::Query;
use crate::error::Error;
use crate::ledger::{
    self, CSV_HEADER, LedgerCommand, LedgerEntry, LedgerReply, Order, Removed, StatusTotal, Total,
};
use crate::response::{self, Response};
use crate::types::CallFault;

const USUAL_LIST: usize = 50;
const USUAL_EXPORT: usize = 500;

/// A way to look at the ledger.
#[derive(Clone, Copy, Debug)]
pub(super) enum View {
    /// The entries; those that wait for the operator come first.
    List,
    /// Sums by state and day.
    Totals,
    /// All entries as CSV, the oldest first.
    Export,
}

#[derive(Serialize)]
struct Listed {
    purchases: Vec<LedgerEntry>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Totals<'a> {
    totals: Vec<StatusTotal>,
    days: &'a [Total],
    /// What the days include although it is not in the export any more.
    removed: &'a [Removed],
}

impl View {
    /// Reads the parameters that this view understands.
    pub(super) fn query(self, text: &str) -> Result<Query, Error> {
        let understood: &[&str] = match self {
            Self::List => &["status", "limit", "cursor"],
            Self::Totals => &["from", "to"],
            Self::Export => &["from", "to", "limit", "cursor"],
        };
        Query::parse(text, understood)
    }

    /// The command that each shard of the ledger gets for this view.
    pub(super) fn command(self, query: &Query) -> LedgerCommand {
        let (after, limit) = (query.cursor(), ledger::share(self.limit(query)));
        match self {
            Self::List => LedgerCommand::List {
                status: query.status(),
                after,
                limit,
            },
            Self::Totals => LedgerCommand::Totals { days: query.days() },
            Self::Export => LedgerCommand::Book {
                days: query.days(),
                after,
                limit,
            },
        }
    }

    /// The answer, made from the answers of all shards.
    pub(super) fn answer(
        self,
        query: &Query,
        replies: Vec<LedgerReply>,
    ) -> Result<Response, Error> {
        let limit = self.limit(query);
        let answer = match self {
            Self::List => ledger::page(replies, Order::Urgency, limit).map(|page| {
                let listed = Listed {
                    purchases: page.entries,
                    next: page.next.map(|cursor| cursor.to_string()),
                };
                response::json(StatusCode::OK, &listed)
            }),
            Self::Totals => ledger::totals(replies).map(|(days, removed)| {
                let totals = Totals {
                    totals: ledger::by_status(&days),
                    days: &days,
                    removed: &removed,
                };
                response::json(StatusCode::OK, &totals)
            }),
            Self::Export => {
                ledger::page(replies, Order::Age, limit).map(|page| export(query, limit, &page))
            }
        };
        answer.map_err(|CallFault(_)| Error::internal())
    }

    fn limit(self, query: &Query) -> usize {
        query.limit_or(match self {
            Self::List | Self::Totals => USUAL_LIST,
            Self::Export => USUAL_EXPORT,
        })
    }
}

/// One page of the export. Only the first page has a header row, so that all pages together form one file.
fn export(query: &Query, limit: usize, page: &ledger::Page) -> Response {
    let (head, content_type) = match query.cursor() {
        None => (CSV_HEADER, "text/csv; charset=utf-8; header=present"),
        Some(_) => ("", "text/csv; charset=utf-8; header=absent"),
    };
    let text = format!("{head}{}", ledger::csv(&page.entries));
    let mut answer = Response::new(text.into_bytes());
    response::set(&mut answer, header::CONTENT_TYPE, content_type);
    if let Some(next) = &page.next {
        let (from, to) = (query.days().from, query.days().to);
        let link = format!(
            "<{PREFIX}/export.csv?from={from}&to={to}&limit={limit}&cursor={next}>; rel=\"next\""
        );
        response::set(&mut answer, header::LINK, &link);
    }
    answer
}
