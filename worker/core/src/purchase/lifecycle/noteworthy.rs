//! The states of a purchase of which the backend is notified.

use super::super::outbox::{Notice, NoticeKind, Outbox, Tries};
use super::super::state::{Purchase, State};
use crate::types::UnixMillis;

/// Whether the backend is notified of the record's state. There may be a hundred calls each second, so of calls only
/// refunds are notified, unless the route asks for deliveries, too.
pub(super) fn is_told(record: &Purchase) -> bool {
    let is_wanted = record.call().is_some_and(|call| call.notify);
    let is_delivered = matches!(record.state, State::Delivered { .. } | State::Closed { .. });
    !(record.is_of_a_call() && is_delivered) || is_wanted
}

impl Outbox {
    /// Adds the notification of this state, which the purchase has just entered, if the backend is notified of it.
    pub(super) fn note(&mut self, state: &State, now: UnixMillis) {
        let (kind, transaction, reason) = match state {
            // What was passed on while it arrived is delivered, and nothing of it is stored.
            State::Delivered { .. } | State::Closed { .. } => (NoticeKind::Delivered, None, None),
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
