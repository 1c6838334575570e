//! Questions to the whole ledger: all shards are asked at once, and their replies become one.

use core::future::Future;

use futures_util::future::try_join_all;

use super::cursor::{Cursor, Order};
use super::entry::LedgerEntry;
use super::layout::{Layout, SHARDS, Shard};
use super::shard::{LedgerCommand, LedgerReply};
use super::totals::{self, Removed, Total};
use crate::types::CallFault;

/// The way to the ledger's shards of this deployment.
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

/// A page of entries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// The entries, in order.
    pub entries: Vec<LedgerEntry>,
    /// The place after which the next page begins; `None` at the end.
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

/// Has the shard of a purchase remove its entry, and count it among the removed ones.
pub async fn remove<L: Ledgers>(ledgers: &L, entry: &LedgerEntry) -> Result<(), CallFault> {
    let request_id = entry.request_id.clone();
    let shard = ledgers.layout().shard(&request_id, entry.created_at);
    match ledgers
        .ask(shard, &LedgerCommand::Remove { request_id })
        .await?
    {
        LedgerReply::Kept => Ok(()),
        _ => Err(wrong_answer()),
    }
}

/// Asks all shards at once. If one of them does not answer, the result is an error.
pub async fn ask_all<L: Ledgers>(
    ledgers: &L,
    command: &LedgerCommand,
) -> Result<Vec<LedgerReply>, CallFault> {
    let layout = ledgers.layout();
    try_join_all(layout.shards().map(|shard| ledgers.ask(shard, command))).await
}

/// How many entries each shard is asked for, for a page of `limit` entries: twice its share. To ask each shard for a
/// whole page would read 16 pages to make one.
pub const fn share(limit: usize) -> usize {
    limit / (SHARDS as usize / 2) + 2
}

/// Puts the shards' entries into one order and returns at most `limit` of them. Even a shorter page may not be the
/// last.
pub fn page(replies: Vec<LedgerReply>, order: Order, limit: usize) -> Result<Page, CallFault> {
    let mut entries = Vec::new();
    // After this place a shard has entries that it has not sent, so the order after it is not known.
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

/// Adds up the shards' sums: of everything, and of what was removed.
pub fn totals(replies: Vec<LedgerReply>) -> Result<(Vec<Total>, Vec<Removed>), CallFault> {
    let (mut parts, mut removed_parts) = (Vec::new(), Vec::new());
    for reply in replies {
        let LedgerReply::Totals { days, removed } = reply else {
            return Err(wrong_answer());
        };
        parts.extend(days);
        removed_parts.extend(removed);
    }
    Ok((totals::merge(parts), totals::merge_removed(removed_parts)))
}

pub(crate) fn wrong_answer() -> CallFault {
    CallFault("the ledger gave a wrong answer".to_owned())
}

#[cfg(test)]
mod tests;
