//! Meters that reply as a test says.

use std::cell::RefCell;

use crate::meter::{MeterCommand, MeterReply, Meters};
use crate::types::CallFault;

/// Replies with each of these once, in this order.
#[derive(Debug, Default)]
pub(crate) struct ScriptedMeters {
    replies: RefCell<Vec<MeterReply>>,
    /// What was asked of which grant.
    pub(crate) asked: RefCell<Vec<(String, MeterCommand)>>,
}

impl ScriptedMeters {
    pub(crate) fn new(replies: impl IntoIterator<Item = MeterReply>) -> Self {
        let mut replies: Vec<_> = replies.into_iter().collect();
        replies.reverse();
        Self {
            replies: RefCell::new(replies),
            asked: RefCell::default(),
        }
    }
}

impl Meters for ScriptedMeters {
    async fn ask(&self, grant: &str, command: &MeterCommand) -> Result<MeterReply, CallFault> {
        let asked = (grant.to_owned(), command.clone());
        self.asked.borrow_mut().push(asked);
        let reply = self.replies.borrow_mut().pop();
        reply.ok_or_else(|| CallFault("no reply".to_owned()))
    }
}
