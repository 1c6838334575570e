//! Purchases that say what the test says.

use core::cell::RefCell;
use std::collections::VecDeque;

use crate::checkout::{Brought, Calls};
use crate::goods::{AnswerHead, OriginFault};
use crate::pauses::Patience;
use crate::purchase::{Ask, PayReply, Purchases};
use crate::types::{CallFault, RequestId};

/// Purchases that give these replies, one after the other and then none, and remember what they were asked.
pub(crate) struct ScriptedPurchases {
    replies: RefCell<VecDeque<PayReply>>,
    pub(crate) asked: RefCell<Vec<(RequestId, Ask)>>,
    /// The call that was brought last.
    pub(crate) brought: RefCell<Option<Brought>>,
    /// The calls that were made because they are free.
    pub(crate) made: RefCell<Vec<Brought>>,
    /// What the API answers to a free call.
    pub(crate) free: RefCell<Option<Result<AnswerHead, OriginFault>>>,
    /// The body of every answer.
    pub(crate) body: RefCell<Option<Vec<u8>>>,
}

impl ScriptedPurchases {
    pub(crate) fn new(replies: impl IntoIterator<Item = PayReply>) -> Self {
        Self {
            replies: RefCell::new(replies.into_iter().collect()),
            asked: RefCell::default(),
            brought: RefCell::default(),
            made: RefCell::default(),
            free: RefCell::default(),
            body: RefCell::default(),
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

impl Calls for ScriptedPurchases {
    fn bring(&self, call: Brought) {
        self.brought.replace(Some(call));
    }

    async fn make(&self, call: Brought, _: &RequestId) -> Result<AnswerHead, OriginFault> {
        self.made.borrow_mut().push(call);
        let answer = self.free.borrow().clone();
        answer.unwrap_or(Err(OriginFault::Unreachable))
    }

    fn body(&self, _: &str) -> Option<Vec<u8>> {
        self.body.borrow().clone()
    }
}
