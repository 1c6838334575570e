//! The ledger: the real `execute` over one shard of the model's storage.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use key0_core::ledger::Progress;
use key0_core::ledger::{
    Cursor, Days, LedgerCommand, LedgerEntry, LedgerReply, LedgerStore, Order, Removed, Total,
    execute,
};
use key0_core::types::{B256, RequestId};

use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::world::{Owner, World};

/// The storage of the ledger. A ledger keeps nothing in memory, so a crash only means calls without an answer.
#[derive(Debug, Default)]
pub struct LedgerObject {
    /// What each purchase last reported.
    pub entries: RefCell<BTreeMap<RequestId, LedgerEntry>>,
    /// The entries that were removed.
    pub removed: RefCell<Vec<Removed>>,
    /// The purchases whose entries were removed.
    pub taken: RefCell<BTreeSet<RequestId>>,
    /// The entries of reports that came only after their purchase's entry had been removed.
    pub late: RefCell<Vec<LedgerEntry>>,
    swept: RefCell<Option<Progress>>,
    gone_until: Cell<u64>,
}

impl LedgerStore for LedgerObject {
    type Error = Infallible;

    fn version(&self, request_id: &RequestId) -> Result<Option<u64>, Infallible> {
        let entries = self.entries.borrow();
        Ok(entries.get(request_id).map(|entry| entry.version))
    }

    fn put(&self, entry: &LedgerEntry) -> Result<(), Infallible> {
        if self.taken.borrow().contains(&entry.request_id) {
            self.late.borrow_mut().push(entry.clone());
        }
        self.entries
            .borrow_mut()
            .insert(entry.request_id.clone(), entry.clone());
        Ok(())
    }

    fn take(&self, request_id: &RequestId) -> Result<Option<LedgerEntry>, Infallible> {
        self.taken.borrow_mut().insert(request_id.clone());
        Ok(self.entries.borrow_mut().remove(request_id))
    }

    fn count_removed(&self, removed: &Removed) -> Result<(), Infallible> {
        self.removed.borrow_mut().push(removed.clone());
        Ok(())
    }

    fn removed(&self, _: Days) -> Result<Vec<Removed>, Infallible> {
        Ok(self.removed.borrow().clone())
    }

    fn of_status(
        &self,
        status: key0_core::types::Status,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, Infallible> {
        let order = Order::Urgency;
        let entries = self.entries.borrow();
        let is_behind = |entry: &&LedgerEntry| {
            after.is_none_or(|after| order.compare(&order.place(entry), after).is_gt())
        };
        let of_status = entries.values().filter(|entry| entry.status == status);
        let mut found: Vec<LedgerEntry> = of_status.filter(is_behind).cloned().collect();
        found.sort_by(|a, b| order.compare(&order.place(a), &order.place(b)));
        found.truncate(limit);
        Ok(found)
    }

    fn paid(&self, transaction: B256) -> Result<u32, Infallible> {
        let entries = self.entries.borrow();
        let paid = entries
            .values()
            .filter(|entry| entry.paid_by() == Some(transaction));
        Ok(u32::try_from(paid.count()).unwrap_or(u32::MAX))
    }

    fn swept(&self) -> Result<Option<Progress>, Infallible> {
        Ok(self.swept.borrow().clone())
    }

    fn set_swept(&self, progress: &Progress) -> Result<(), Infallible> {
        self.swept.replace(Some(progress.clone()));
        Ok(())
    }

    // The model reads neither pages nor sums by day.

    fn of_days(
        &self,
        _: Days,
        _: Option<&Cursor>,
        _: usize,
    ) -> Result<Vec<LedgerEntry>, Infallible> {
        Ok(Vec::new())
    }

    fn totals(&self, _: Days) -> Result<Vec<Total>, Infallible> {
        Ok(Vec::new())
    }
}

/// Reports to the ledger; its answer goes to `sender`.
pub fn ask(
    world: &Rc<World>,
    command: LedgerCommand,
    sender: Sender<Answer<LedgerReply>>,
) -> TaskId {
    let task = Rc::clone(world);
    world.executor.spawn(Owner::World, async move {
        let world = task;
        if world.strikes(Fault::LedgerGone) {
            let span = world.random.pick(&[4_000, 30_000, 200_000]);
            world.objects.ledger.gone_until.set(world.now().0 + span);
        }
        let is_gone = world.now().0 < world.objects.ledger.gone_until.get();
        if (is_gone && world.faults.are_active()) || world.strikes(Fault::StoreError) {
            return sender.send(Err("storage fails".to_owned()));
        }
        let Ok(reply) = execute(&world.objects.ledger, &command);
        world.trace(|| format!("ledger: {command:?} -> {reply:?}"));
        sender.send(Ok(reply));
    })
}
