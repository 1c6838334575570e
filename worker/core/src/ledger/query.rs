//! Questions to the whole ledger: asked of all shards at once, answered as one.

use core::future::Future;

use futures_util::future::try_join_all;

use super::cursor::{Cursor, Order};
use super::entry::LedgerEntry;
use super::layout::{Layout, SHARDS, Shard};
use super::shard::{LedgerCommand, LedgerReply};
use super::totals::{self, Total};
use crate::types::CallFault;

/// The shards of this deployment.
pub trait Ledgers {
    /// Which shards there are.
    fn layout(&self) -> Layout;
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

/// Reports an entry to its shard.
pub async fn put<L: Ledgers>(ledgers: &L, entry: LedgerEntry) -> Result<(), CallFault> {
    let shard = ledgers.layout().shard(&entry.request_id, entry.created_at);
    match ledgers.ask(shard, &LedgerCommand::Put(entry)).await? {
        LedgerReply::Kept => Ok(()),
        _ => Err(wrong_answer()),
    }
}

/// Asks all shards at once. Without one of them there is no answer.
pub async fn ask_all<L: Ledgers>(
    ledgers: &L,
    command: &LedgerCommand,
) -> Result<Vec<LedgerReply>, CallFault> {
    let layout = ledgers.layout();
    try_join_all(layout.shards().map(|shard| ledgers.ask(shard, command))).await
}

/// How many entries each shard is asked for, for a page of `limit`. Twice its share: asking each for a whole page would
/// read 16 pages for one.
pub const fn share(limit: usize) -> usize {
    limit / (SHARDS as usize / 2) + 2
}

/// Puts the shards' entries into one order: at most `limit` of them, and there may be more behind a shorter page, too.
pub fn page(replies: Vec<LedgerReply>, order: Order, limit: usize) -> Result<Page, CallFault> {
    let mut entries = Vec::new();
    // Behind this place a shard has entries that it was not asked for, so nothing is known about the order there.
    let mut known_until: Option<Cursor> = None;
    for reply in replies {
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

/// Adds up the shards' sums.
pub fn totals(replies: Vec<LedgerReply>) -> Result<Vec<Total>, CallFault> {
    let mut parts = Vec::new();
    for reply in replies {
        let LedgerReply::Totals(totals) = reply else {
            return Err(wrong_answer());
        };
        parts.extend(totals);
    }
    Ok(totals::merge(parts))
}

pub(crate) fn wrong_answer() -> CallFault {
    CallFault("the ledger gave a wrong answer".to_owned())
}

#[cfg(test)]
mod tests;
