//! The state that every way to pay leads to.

use super::super::state::{Payment, State};
use crate::types::UnixMillis;

pub(super) const fn paid(payment: Payment, now: UnixMillis) -> State {
    State::Paid {
        payment,
        since: now,
        failure: None,
    }
}
