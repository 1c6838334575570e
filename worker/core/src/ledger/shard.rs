//! One shard of the ledger: its commands, and how it answers them from its store.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Order, rank};
use super::day::Days;
use super::entry::LedgerEntry;
use super::progress::Progress;
use super::totals::{self, Removed, Total};
use crate::types::{RequestId, Status};

/// A command for a shard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LedgerCommand {
    /// Keep this entry, unless a newer one of the same purchase is kept already. A repetition changes nothing.
    Put(LedgerEntry),
    /// Remove the entry of a purchase that is removed itself, and count it among the removed ones. A repetition changes
    /// nothing.
    Remove {
        /// The purchase.
        request_id: RequestId,
    },
    /// List entries by urgency.
    List {
        /// Only entries in this state.
        status: Option<Status>,
        /// Only entries after this place.
        after: Option<Cursor>,
        /// The most entries that the answer may have.
        limit: usize,
    },
    /// List entries by age.
    Book {
        /// Only entries of these days.
        days: Days,
        /// Only entries after this place.
        after: Option<Cursor>,
        /// The most entries that the answer may have.
        limit: usize,
    },
    /// Sums by day and state.
    Totals {
        /// Only of these days.
        days: Days,
    },
    /// Count how many purchases each of these transactions pays.
    Paid {
        /// The transactions.
        transactions: Vec<B256>,
    },
    /// Tell how far the sweep has come.
    Swept,
    /// Store how far the sweep has come.
    KeepSwept(Progress),
}

/// The answer of a shard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LedgerReply {
    /// The entry is stored.
    Kept,
    /// A page of entries, in the order of the command.
    Entries {
        /// The entries, at most `limit` of them.
        entries: Vec<LedgerEntry>,
        /// Whether the shard has more entries after these.
        more: bool,
    },
    /// Sums of everything, and of what was removed.
    Totals {
        /// Sums by day and state.
        days: Vec<Total>,
        /// Sums of the entries that were removed, by day, target and state. They are part of `days`.
        #[serde(default)]
        removed: Vec<Removed>,
    },
    /// How many purchases each transaction pays, in the order of the command.
    Paid(Vec<u32>),
    /// How far the sweep has come.
    Swept(Progress),
}

/// Where a shard keeps its entries. One command runs inside one storage transaction.
pub trait LedgerStore {
    /// The store's own error.
    type Error;

    /// The version of the entry that is kept of a purchase.
    fn version(&self, request_id: &RequestId) -> Result<Option<u64>, Self::Error>;
    /// Writes an entry in place of the purchase's former one.
    fn put(&self, entry: &LedgerEntry) -> Result<(), Self::Error>;
    /// Removes the entry of a purchase, and returns it.
    fn take(&self, request_id: &RequestId) -> Result<Option<LedgerEntry>, Self::Error>;
    /// Adds to the sums of removed entries.
    fn count_removed(&self, removed: &Removed) -> Result<(), Self::Error>;
    /// Sums of the removed entries of these days.
    fn removed(&self, days: Days) -> Result<Vec<Removed>, Self::Error>;
    /// Entries in one state, the latest change first, then by request id.
    fn of_status(
        &self,
        status: Status,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, Self::Error>;
    /// Entries of these days, the oldest purchase first, then by request id.
    fn of_days(
        &self,
        days: Days,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, Self::Error>;
    /// Sums of the entries of these days.
    fn totals(&self, days: Days) -> Result<Vec<Total>, Self::Error>;
    /// How many entries say that this transaction has paid ([`LedgerEntry::paid_by`]).
    fn paid(&self, transaction: B256) -> Result<u32, Self::Error>;
    /// How far the sweep has come.
    fn swept(&self) -> Result<Option<Progress>, Self::Error>;
    /// Writes how far the sweep has come.
    fn set_swept(&self, progress: &Progress) -> Result<(), Self::Error>;
}

/// Carries out one command. The caller wraps it in a storage transaction.
pub fn execute<S: LedgerStore>(
    store: &S,
    command: &LedgerCommand,
) -> Result<LedgerReply, S::Error> {
    match command {
        LedgerCommand::Put(entry) => {
            let newest = store.version(&entry.request_id)?;
            // An entry of the same version is written again, so that another report mends whatever is wrong with the
            // stored entry.
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
        LedgerCommand::Remove { request_id } => {
            // If the answer is lost, and before the command comes again a delayed report makes the entry anew, the entry is
            // counted twice. To remember what was removed would cost a row for each call; the sums decide nothing.
            if let Some(entry) = store.take(request_id)? {
                store.count_removed(&Removed::of(&entry))?;
            }
            Ok(LedgerReply::Kept)
        }
        LedgerCommand::Totals { days } => {
            let removed = store.removed(*days)?;
            let both = store.totals(*days)?;
            let days = totals::merge(both.into_iter().chain(removed.iter().map(Removed::total)));
            Ok(LedgerReply::Totals { days, removed })
        }
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

/// A page of entries by urgency. States of the same rank are read one by one and sorted here, so that the store needs
/// only one index.
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
