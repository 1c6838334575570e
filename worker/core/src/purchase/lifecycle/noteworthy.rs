//! Which states of a purchase the backend is told of.

use super::super::outbox::{Notice, NoticeKind, Outbox, Tries};
use super::super::state::State;
use crate::types::UnixMillis;

impl Outbox {
    /// A purchase has come into this state.
    pub(super) fn note(&mut self, state: &State, now: UnixMillis) {
        let (kind, transaction, reason) = match state {
            State::Delivered { .. } => (NoticeKind::Delivered, None, None),
            State::Refunded { transaction, .. } => (NoticeKind::Refunded, Some(*transaction), None),
            State::RefundFailed { .. } | State::RefundBlocked { retried: false, .. } => {
                (NoticeKind::RefundFailed, None, state.refund_fault())
            }
            _ => return,
        };
        if self.open.is_empty() {
            (self.since, self.notice) = (now, Tries::due(now));
        }
        self.open.push(Notice {
            kind,
            at: now,
            transaction,
            reason,
        });
    }
}
