//! A ledger in memory for tests of this crate.

use core::cell::RefCell;
use core::convert::Infallible;
use std::collections::BTreeMap;

use futures_util::FutureExt as _;

use super::cursor::{Cursor, Order};
use super::day::{Days, UtcDay};
use super::entry::LedgerEntry;
use super::layout::{Layout, Shard};
use super::progress::Progress;
use super::query::{Ledgers, put};
use super::shard::{LedgerCommand, LedgerReply, LedgerStore, execute};
use super::totals::{Removed, Total, merge_removed};
use crate::types::{
    Address, B256, CallFault, Network, RequestId, ResourceId, Status, UnixMillis, UsdcAmount,
};

/// An entry of a purchase that began and last changed at the same time.
pub(crate) fn entry(number: u16, status: &str, at: u64) -> LedgerEntry {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    LedgerEntry {
        request_id: RequestId::from_random(id),
        challenge_id: format!("offer-{number}"),
        status: status.parse().unwrap(),
        target: "plan:basic".to_owned(),
        resource: ResourceId::default(),
        amount: UsdcAmount::from_units(15_000),
        payer: Address::repeat_byte(1),
        network: Network::BaseSepolia,
        transaction: None,
        refund: None,
        reason: None,
        created_at: UnixMillis(at),
        changed_at: UnixMillis(at),
        version: 1,
    }
}

/// One shard's entries.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    entries: RefCell<BTreeMap<RequestId, LedgerEntry>>,
    removed: RefCell<Vec<Removed>>,
    swept: RefCell<Option<Progress>>,
}

impl Entries {
    fn select(
        &self,
        order: Order,
        after: Option<&Cursor>,
        limit: usize,
        fits: impl Fn(&LedgerEntry) -> bool,
    ) -> Vec<LedgerEntry> {
        let mut found: Vec<LedgerEntry> =
            self.all().into_iter().filter(|entry| fits(entry)).collect();
        found.sort_by(|a, b| order.compare(&order.place(a), &order.place(b)));
        found.retain(|entry| {
            after.is_none_or(|after| order.compare(&order.place(entry), after).is_gt())
        });
        found.truncate(limit);
        found
    }

    /// Everything that is kept.
    pub(crate) fn all(&self) -> Vec<LedgerEntry> {
        self.entries.borrow().values().cloned().collect()
    }
}

fn within(days: Days, entry: &LedgerEntry) -> bool {
    let (from, end) = days.millis();
    (from..end).contains(&entry.created_at)
}

impl LedgerStore for Entries {
    type Error = Infallible;

    fn version(&self, request_id: &RequestId) -> Result<Option<u64>, Infallible> {
        Ok(self
            .entries
            .borrow()
            .get(request_id)
            .map(|entry| entry.version))
    }
    fn put(&self, entry: &LedgerEntry) -> Result<(), Infallible> {
        self.entries
            .borrow_mut()
            .insert(entry.request_id.clone(), entry.clone());
        Ok(())
    }
    fn take(&self, request_id: &RequestId) -> Result<Option<LedgerEntry>, Infallible> {
        Ok(self.entries.borrow_mut().remove(request_id))
    }
    fn count_removed(&self, removed: &Removed) -> Result<(), Infallible> {
        self.removed.borrow_mut().push(removed.clone());
        Ok(())
    }
    fn removed(&self, days: Days) -> Result<Vec<Removed>, Infallible> {
        let removed = self.removed.borrow();
        let within = |removed: &&Removed| days.from <= removed.day && removed.day <= days.to;
        Ok(merge_removed(removed.iter().filter(within).cloned()))
    }
    fn of_status(
        &self,
        status: Status,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, Infallible> {
        Ok(self.select(Order::Urgency, after, limit, |entry| entry.status == status))
    }
    fn of_days(
        &self,
        days: Days,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, Infallible> {
        Ok(self.select(Order::Age, after, limit, |entry| within(days, entry)))
    }
    fn totals(&self, days: Days) -> Result<Vec<Total>, Infallible> {
        Ok(crate::ledger::totals::merge(
            self.all()
                .into_iter()
                .filter(|entry| within(days, entry))
                .map(|entry| Total {
                    day: UtcDay::of(entry.created_at),
                    status: entry.status,
                    count: 1,
                    amount: entry.amount,
                }),
        ))
    }
    fn paid(&self, transaction: B256) -> Result<u32, Infallible> {
        let all = self.all();
        let paid = all
            .iter()
            .filter(|entry| entry.paid_by() == Some(transaction));
        Ok(u32::try_from(paid.count()).unwrap())
    }
    fn swept(&self) -> Result<Option<Progress>, Infallible> {
        Ok(self.swept.borrow().clone())
    }
    fn set_swept(&self, progress: &Progress) -> Result<(), Infallible> {
        self.swept.replace(Some(progress.clone()));
        Ok(())
    }
}

/// All shards.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    /// Which shards there are.
    pub(crate) layout: Layout,
    /// Each shard's entries by its name.
    pub(crate) shards: BTreeMap<String, Entries>,
    /// A shard that gives no answer.
    pub(crate) silent: Option<Shard>,
}

impl Shards {
    /// Shards that keep these entries.
    pub(crate) fn with(entries: impl IntoIterator<Item = LedgerEntry>) -> Self {
        let mut shards = Self::default();
        shards.grow(Layout::default());
        for entry in entries {
            put(&shards, entry).now_or_never().unwrap().unwrap();
        }
        shards
    }

    /// From now on, new entries go to the shards of this layout. Entries that are stored stay where they are.
    pub(crate) fn grow(&mut self, layout: Layout) {
        for shard in layout.shards() {
            self.shards.entry(shard.name()).or_default();
        }
        self.layout = layout;
    }
}

impl Ledgers for Shards {
    fn layout(&self) -> Layout {
        self.layout.clone()
    }
    async fn ask(&self, shard: Shard, command: &LedgerCommand) -> Result<LedgerReply, CallFault> {
        if self.silent == Some(shard) {
            return Err(CallFault("no answer".to_owned()));
        }
        let Ok(reply) = execute(&self.shards[&shard.name()], command);
        Ok(reply)
    }
}
