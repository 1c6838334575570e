//! The payers' books.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::book::memory::MemoryBook;
use crate::book::{PayerCommand, PayerReply, execute};
use crate::types::{Address, CallFault, UnixMillis};

/// All payers' books, which answer by the real rules.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) of: RefCell<BTreeMap<Address, MemoryBook>>,
    /// Whether they give no answer.
    pub(crate) are_gone: Cell<bool>,
}

impl Books {
    pub(crate) fn ask(
        &self,
        payer: Address,
        command: &PayerCommand,
        now: UnixMillis,
    ) -> Result<PayerReply, CallFault> {
        if self.are_gone.get() {
            return Err(CallFault("gone".to_owned()));
        }
        let mut books = self.of.borrow_mut();
        let Ok(reply) = execute(books.entry(payer).or_default(), command, now);
        Ok(reply)
    }
}
