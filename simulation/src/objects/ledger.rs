//! The ledger: the real `execute` over one shard of the model's storage.

use core::cell::RefCell;
use core::convert::Infallible;
use std::collections::BTreeMap;
use std::rc::Rc;

use key0_core::ledger::{
    Cursor, Days, LedgerCommand, LedgerEntry, LedgerReply, LedgerStore, Total, execute,
};
use key0_core::types::RequestId;

use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::world::{Owner, World};

/// What is kept. Its memory holds nothing, so its crashes are the calls that get no answer.
#[derive(Debug, Default)]
pub struct LedgerObject {
    /// What each purchase last reported.
    pub entries: RefCell<BTreeMap<RequestId, LedgerEntry>>,
}

impl LedgerStore for LedgerObject {
    type Error = Infallible;

    fn version(&self, request_id: &RequestId) -> Result<Option<u64>, Infallible> {
        let entries = self.entries.borrow();
        Ok(entries.get(request_id).map(|entry| entry.version))
    }

    fn put(&self, entry: &LedgerEntry) -> Result<(), Infallible> {
        self.entries
            .borrow_mut()
            .insert(entry.request_id.clone(), entry.clone());
        Ok(())
    }

    // Purchases only report; nobody here reads pages or sums.

    fn of_status(
        &self,
        _: &str,
        _: Option<&Cursor>,
        _: usize,
    ) -> Result<Vec<LedgerEntry>, Infallible> {
        Ok(Vec::new())
    }

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
        if world.strikes(Fault::StoreError) {
            return sender.send(Err("storage fails".to_owned()));
        }
        let Ok(reply) = execute(&world.objects.ledger, &command);
        world.trace(|| format!("ledger: {command:?} -> {reply:?}"));
        sender.send(Ok(reply));
    })
}
