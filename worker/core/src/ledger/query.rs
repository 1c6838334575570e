//! Questions to the whole ledger: asked of all shards at once, answered as one.

use core::future::Future;

use futures_util::future::try_join_all;

use super::cursor::{Cursor, Order};
use super::day::Days;
use super::entry::LedgerEntry;
use super::shard::{LedgerCommand, LedgerReply, SHARDS, Shard};
use super::totals::{self, Total};
use crate::challenge::CallFault;

/// The shards of this deployment.
pub trait Ledgers {
    /// Asks one shard.
    fn ask(
        &self,
        shard: Shard,
        command: &LedgerCommand,
    ) -> impl Future<Output = Result<LedgerReply, CallFault>>;
}

/// A part of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// The entries, in order.
    pub entries: Vec<LedgerEntry>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// Which entries, in the order of [`Order::Urgency`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct List {
    /// Only those in this state.
    pub status: Option<String>,
    /// Only those behind this place.
    pub after: Option<Cursor>,
    /// At most so many; there may be more behind a shorter page, too.
    pub limit: usize,
}

/// Reports an entry to its shard.
pub async fn put<L: Ledgers>(ledgers: &L, entry: LedgerEntry) -> Result<(), CallFault> {
    let shard = Shard::of(&entry.request_id);
    match ledgers.ask(shard, &LedgerCommand::Put(entry)).await? {
        LedgerReply::Kept => Ok(()),
        _ => Err(wrong_answer()),
    }
}

/// One page of entries by urgency.
pub async fn list<L: Ledgers>(ledgers: &L, list: List) -> Result<Page, CallFault> {
    let command = LedgerCommand::List {
        status: list.status,
        after: list.after,
        limit: share(list.limit),
    };
    page(ledgers, &command, Order::Urgency, list.limit).await
}

/// One page of entries by age.
pub async fn book<L: Ledgers>(
    ledgers: &L,
    days: Days,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page, CallFault> {
    let command = LedgerCommand::Book {
        days,
        after,
        limit: share(limit),
    };
    page(ledgers, &command, Order::Age, limit).await
}

/// The sums of these days.
pub async fn totals<L: Ledgers>(ledgers: &L, days: Days) -> Result<Vec<Total>, CallFault> {
    let replies = ask_all(ledgers, &LedgerCommand::Totals { days }).await?;
    let mut parts = Vec::new();
    for reply in replies {
        let LedgerReply::Totals(totals) = reply else {
            return Err(wrong_answer());
        };
        parts.extend(totals);
    }
    Ok(totals::merge(parts))
}

/// How many entries each shard is asked for. Twice its share: asking each for a whole page would read 16 pages for one.
const fn share(limit: usize) -> usize {
    limit / (SHARDS as usize / 2) + 2
}

async fn page<L: Ledgers>(
    ledgers: &L,
    command: &LedgerCommand,
    order: Order,
    limit: usize,
) -> Result<Page, CallFault> {
    let mut entries = Vec::new();
    // Behind this place a shard has entries that it was not asked for, so nothing is known about the order there.
    let mut known_until: Option<Cursor> = None;
    for reply in ask_all(ledgers, command).await? {
        let LedgerReply::Entries {
            entries: part,
            more,
        } = reply
        else {
            return Err(wrong_answer());
        };
        if more && let Some(last) = part.last() {
            let place = order.place(last);
            if known_until
                .as_ref()
                .is_none_or(|until| order.compare(&place, until).is_lt())
            {
                known_until = Some(place);
            }
        }
        entries.extend(part.into_iter().map(|entry| (order.place(&entry), entry)));
    }
    if let Some(until) = &known_until {
        entries.retain(|(place, _)| order.compare(place, until).is_le());
    }
    entries.sort_by(|(a, _), (b, _)| order.compare(a, b));
    let more = known_until.is_some() || entries.len() > limit;
    entries.truncate(limit);
    Ok(Page {
        next: entries
            .last()
            .filter(|_| more)
            .map(|(place, _)| place.clone()),
        entries: entries.into_iter().map(|(_, entry)| entry).collect(),
    })
}

async fn ask_all<L: Ledgers>(
    ledgers: &L,
    command: &LedgerCommand,
) -> Result<Vec<LedgerReply>, CallFault> {
    try_join_all(Shard::all().map(|shard| ledgers.ask(shard, command))).await
}

fn wrong_answer() -> CallFault {
    CallFault("the ledger gave a wrong answer".to_owned())
}

#[cfg(test)]
mod tests;
