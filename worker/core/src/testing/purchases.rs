//! Purchases that say what the test says.

use core::cell::RefCell;
use std::collections::VecDeque;

use crate::pauses::Patience;
use crate::purchase::{Ask, PayReply, Purchases};
use crate::types::{CallFault, RequestId};

/// Purchases that give these replies, one after the other and then none, and remember what they were asked.
pub(crate) struct ScriptedPurchases {
    replies: RefCell<VecDeque<PayReply>>,
    pub(crate) asked: RefCell<Vec<(RequestId, Ask)>>,
}

impl ScriptedPurchases {
    pub(crate) fn new(replies: impl IntoIterator<Item = PayReply>) -> Self {
        Self {
            replies: RefCell::new(replies.into_iter().collect()),
            asked: RefCell::default(),
        }
    }
}

impl Purchases for ScriptedPurchases {
    async fn ask(&self, id: &RequestId, ask: &Ask, _: Patience) -> Result<PayReply, CallFault> {
        self.asked.borrow_mut().push((id.clone(), ask.clone()));
        let next = self.replies.borrow_mut().pop_front();
        next.ok_or_else(|| CallFault("no more replies".to_owned()))
    }
}
