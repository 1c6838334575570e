//! A grant in memory: the real meter and the real additions, over a map.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::meter::{
    Addition, GrantStore, Meter, MeterCommand, MeterReply, Stored, extend, withdraw,
};
use crate::types::{CallFault, RequestId, UnixMillis};

/// The one grant that there is, if there is one.
#[derive(Debug, Default)]
pub(crate) struct MemoryGrant {
    pub(crate) meter: RefCell<Option<Meter>>,
    rows: RefCell<BTreeMap<RequestId, Addition>>,
    /// Whether no command arrives.
    pub(crate) is_gone: Cell<bool>,
    /// Whether commands arrive, and their replies are lost.
    pub(crate) loses_replies: Cell<bool>,
}

impl GrantStore for MemoryGrant {
    type Error = Infallible;

    fn addition(&self, purchase: &RequestId) -> Result<Option<Addition>, Infallible> {
        Ok(self.rows.borrow().get(purchase).cloned())
    }

    fn put(&self, purchase: &RequestId, row: &Addition, _: &Stored) -> Result<(), Infallible> {
        self.rows.borrow_mut().insert(purchase.clone(), row.clone());
        Ok(())
    }
}

impl MemoryGrant {
    pub(crate) fn ask(
        &self,
        command: &MeterCommand,
        now: UnixMillis,
    ) -> Result<MeterReply, CallFault> {
        if self.is_gone.get() {
            return Err(CallFault("gone".to_owned()));
        }
        let mut meter = self.meter.borrow_mut();
        let reply = match (meter.as_mut(), command) {
            (None, MeterCommand::Withdraw { .. }) => MeterReply::Withdrawn,
            (None, _) => MeterReply::NotGranted,
            (Some(meter), MeterCommand::MayExtend(top_up)) => meter
                .bars(top_up)
                .map_or(MeterReply::MayExtend, MeterReply::Barred),
            (Some(meter), MeterCommand::Extend(top_up)) => {
                let Ok(reply) = extend(meter, self, top_up, now);
                reply
            }
            (Some(meter), MeterCommand::Withdraw { purchase }) => {
                let Ok(reply) = withdraw(meter, self, purchase, now);
                reply
            }
            (Some(_), _) => MeterReply::Heard,
        };
        match self.loses_replies.get() {
            true => Err(CallFault("the reply is lost".to_owned())),
            false => Ok(reply),
        }
    }
}
