//! The storage of one purchase.

use core::cell::{Cell, RefCell};

use crate::purchase::{
    AuditLine, AuditRow, History, Purchase, PurchaseStore, StoreFault, Versioned,
};
use crate::types::UnixMillis;

/// A storage in memory that keeps the promises of [`PurchaseStore`].
#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) stored: RefCell<Option<Versioned>>,
    audit: RefCell<Vec<AuditLine>>,
    /// When the alarm rings.
    pub(crate) alarm: Cell<Option<UnixMillis>>,
    /// How often a record was written.
    pub(crate) writes: Cell<u32>,
    /// How often the alarm was set without a record.
    pub(crate) rearmed: Cell<u32>,
    /// The numbers of the bodies that memory holds.
    pub(crate) in_memory: RefCell<Vec<u32>>,
    /// The number of the body that is stored.
    pub(crate) body: Cell<Option<u32>>,
    /// How many of the next commits are lost against another change.
    pub(crate) races: Cell<usize>,
}

impl MemoryStore {
    /// A store with this record.
    pub(crate) fn of(record: Purchase) -> Self {
        let store = Self::default();
        store.put(record);
        store
    }

    /// Replaces what is stored and nothing else.
    pub(crate) fn put(&self, record: Purchase) {
        self.stored.replace(Some(Versioned { version: 3, record }));
    }

    /// The record of a purchase that exists.
    pub(crate) fn record(&self) -> Purchase {
        let stored = self.stored.borrow();
        stored.as_ref().expect("nothing is stored").record.clone()
    }
}

impl PurchaseStore for MemoryStore {
    fn load(&self) -> Result<Option<Versioned>, StoreFault> {
        Ok(self.stored.borrow().clone())
    }
    fn commit(
        &self,
        expected: Option<u64>,
        record: &Purchase,
        audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> Result<bool, StoreFault> {
        if let Some(left) = self.races.get().checked_sub(1) {
            self.races.set(left);
            return Ok(false);
        }
        let mut stored = self.stored.borrow_mut();
        if stored.as_ref().map(|stored| stored.version) != expected {
            return Ok(false);
        }
        stored.replace(Versioned {
            version: expected.unwrap_or_default() + 1,
            record: record.clone(),
        });
        self.audit.borrow_mut().extend(audit.map(|row| AuditLine {
            at: row.at,
            event: row.event.to_owned(),
            status: row.status.to_owned(),
            transaction: row.transaction,
        }));
        self.alarm.set(wake_at);
        self.writes.set(self.writes.get() + 1);
        Ok(true)
    }
    async fn alarm(&self) -> Result<Option<UnixMillis>, StoreFault> {
        Ok(self.alarm.get())
    }
    fn set_alarm(&self, at: UnixMillis) -> Result<(), StoreFault> {
        self.rearmed.set(self.rearmed.get() + 1);
        self.alarm.set(Some(at));
        Ok(())
    }
    fn keep_answer(&self, number: u32) -> Result<bool, StoreFault> {
        let is_here = self.in_memory.borrow().contains(&number);
        if is_here {
            self.body.set(Some(number));
        }
        Ok(is_here)
    }
    fn remove_all(&self) -> Result<(), StoreFault> {
        self.stored.replace(None);
        self.audit.take();
        self.body.set(None);
        self.alarm.set(None);
        Ok(())
    }
    fn remove_answer(&self) -> Result<(), StoreFault> {
        self.body.set(None);
        Ok(())
    }
}

impl History for MemoryStore {
    fn history(&self) -> Result<Vec<AuditLine>, StoreFault> {
        Ok(self.audit.borrow().clone())
    }
}
