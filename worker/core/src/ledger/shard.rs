//! One shard of the ledger: what it is asked, and how it answers from its store.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Order, rank};
use super::day::Days;
use super::entry::LedgerEntry;
use super::progress::Progress;
use super::totals::Total;
use crate::types::{RequestId, Status};

/// What a shard is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LedgerCommand {
    /// Keep this entry, unless a newer one of the same purchase is kept already. Repeating it changes nothing.
    Put(LedgerEntry),
    /// Entries by urgency.
    List {
        /// Only those in this state.
        status: Option<Status>,
        /// Only those behind this place.
        after: Option<Cursor>,
        /// At most so many.
        limit: usize,
    },
    /// Entries by age.
    Book {
        /// Only those of these days.
        days: Days,
        /// Only those behind this place.
        after: Option<Cursor>,
        /// At most so many.
        limit: usize,
    },
    /// Sums by day and state.
    Totals {
        /// Only of these days.
        days: Days,
    },
    /// How many purchases does each of these transactions pay?
    Paid {
        /// The transactions.
        transactions: Vec<B256>,
    },
    /// How far has the sweep come?
    Swept,
    /// Keep how far the sweep has come.
    KeepSwept(Progress),
}

/// What a shard answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LedgerReply {
    /// It is kept.
    Kept,
    /// Entries in the order asked for.
    Entries {
        /// At most as many as asked for.
        entries: Vec<LedgerEntry>,
        /// Whether there are more behind them.
        more: bool,
    },
    /// Sums by day and state.
    Totals(Vec<Total>),
    /// How many purchases each transaction pays, in the order asked for.
    Paid(Vec<u32>),
    /// How far the sweep has come.
    Swept(Progress),
}

/// Where a shard keeps its entries. One command runs inside one transaction.
pub trait LedgerStore {
    /// The store's own error.
    type Error;

    /// The version of the entry that is kept of a purchase.
    fn version(&self, request_id: &RequestId) -> Result<Option<u64>, Self::Error>;
    /// Writes an entry in place of the purchase's former one.
    fn put(&self, entry: &LedgerEntry) -> Result<(), Self::Error>;
    /// Entries in one state, the latest change first, then by request id.
    fn of_status(
        &self,
        status: Status,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, Self::Error>;
    /// Entries of these days, the oldest offer first, then by request id.
    fn of_days(
        &self,
        days: Days,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, Self::Error>;
    /// Sums of these days.
    fn totals(&self, days: Days) -> Result<Vec<Total>, Self::Error>;
    /// How many entries say that this transaction has paid ([`LedgerEntry::paid_by`]).
    fn paid(&self, transaction: B256) -> Result<u32, Self::Error>;
    /// How far the sweep has come.
    fn swept(&self) -> Result<Option<Progress>, Self::Error>;
    /// Writes how far it has come.
    fn set_swept(&self, progress: &Progress) -> Result<(), Self::Error>;
}

/// Carries out one command. The caller wraps it in a transaction.
pub fn execute<S: LedgerStore>(
    store: &S,
    command: &LedgerCommand,
) -> Result<LedgerReply, S::Error> {
    match command {
        LedgerCommand::Put(entry) => {
            let newest = store.version(&entry.request_id)?;
            // The same version is written again, so that reporting mends whatever is wrong with an entry.
            if newest.is_none_or(|newest| newest <= entry.version) {
                store.put(entry)?;
            }
            Ok(LedgerReply::Kept)
        }
        LedgerCommand::List {
            status,
            after,
            limit,
        } => by_urgency(store, *status, after.as_ref(), *limit),
        LedgerCommand::Book { days, after, limit } => {
            let entries = store.of_days(*days, after.as_ref(), limit.saturating_add(1))?;
            Ok(page(entries, *limit))
        }
        LedgerCommand::Totals { days } => Ok(LedgerReply::Totals(store.totals(*days)?)),
        LedgerCommand::Paid { transactions } => {
            let counts = transactions.iter().map(|hash| store.paid(*hash));
            Ok(LedgerReply::Paid(counts.collect::<Result<_, _>>()?))
        }
        LedgerCommand::Swept => Ok(LedgerReply::Swept(store.swept()?.unwrap_or_default())),
        LedgerCommand::KeepSwept(progress) => {
            store.set_swept(progress)?;
            Ok(LedgerReply::Kept)
        }
    }
}

/// States of the same rank are read one by one and put into order here, so that the store needs one index only.
fn by_urgency<S: LedgerStore>(
    store: &S,
    wanted: Option<Status>,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<LedgerReply, S::Error> {
    let enough = limit.saturating_add(1);
    let reached = after.map_or(0, |place| place.rank);
    let mut entries = Vec::new();
    let mut of_rank = None;
    for status in Status::ALL {
        let rank = rank(status);
        if wanted.is_some_and(|wanted| wanted != status) || rank < reached {
            continue;
        }
        if of_rank.is_some_and(|before| before < rank) && entries.len() >= enough {
            break;
        }
        of_rank = Some(rank);
        let after = after.filter(|place| place.rank == rank);
        entries.extend(store.of_status(status, after, enough)?);
    }
    entries
        .sort_by(|a, b| Order::Urgency.compare(&Order::Urgency.place(a), &Order::Urgency.place(b)));
    Ok(page(entries, limit))
}

fn page(mut entries: Vec<LedgerEntry>, limit: usize) -> LedgerReply {
    let more = entries.len() > limit;
    entries.truncate(limit);
    LedgerReply::Entries { entries, more }
}

#[cfg(test)]
mod tests;
