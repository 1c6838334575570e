//! What is kept of a purchase that is over, and for how long.
//!
//! The history for a week; the grant until its token has expired; and for ever what keeps the purchase from being charged
//! again and tells how it ended: its terms, its payer, its state, its transactions.
//!
//! Nothing is taken from a purchase that is not over, nor from one that the ledger has not been told of, or the backend.

use super::record::{Record, Rest, State};
use super::schedule::{Effect, at};
use crate::types::{UnixMillis, UnixSeconds};

/// How long the history is kept once nothing can be added to it any more.
pub const HISTORY_MILLIS: u64 = 7 * 24 * 3_600_000;
/// How long a grant is kept at least, however short its token lasts. It goes after the history, so this holds by itself.
const GRANT_MILLIS: u64 = 12 * 3_600_000;
const _: () = assert!(GRANT_MILLIS <= HISTORY_MILLIS);

/// A backend may be told to take a token for this long after its end: the validator's longest leeway.
pub(super) const LEEWAY_SECONDS: u64 = 120;

/// Whether nothing can happen to the purchase any more.
pub(super) const fn is_over(record: &Record) -> bool {
    !record.holds_target
        && match &record.state {
            State::Delivered { .. } | State::Closed { .. } | State::Refunded { .. } => true,
            State::Expired { .. } | State::Cancelled { .. } => record.state.watch().is_none(),
            State::Pending { .. }
            | State::Proving { .. }
            | State::Paid { .. }
            | State::RefundPending { .. }
            | State::RefundFailed { .. }
            | State::RefundBlocked { .. } => false,
        }
}

/// Whether its state is one of those that the ledger counts as over.
pub(super) const fn is_end(record: &Record) -> bool {
    matches!(
        record.state,
        State::Delivered { .. }
            | State::Closed { .. }
            | State::Expired { .. }
            | State::Cancelled { .. }
            | State::Refunded { .. }
    )
}

/// What is to be removed next of a purchase, if it is over.
pub(super) fn removal(record: &Record, now: UnixMillis) -> Effect {
    match (record.rest, &record.state) {
        _ if record.unreported.is_some() || record.outbox.due_at().is_some() => Effect::Rest,
        (Rest::Since(since), _) => at(since.plus(HISTORY_MILLIS), now, Effect::RemoveHistory),
        (Rest::WithoutHistory, State::Delivered { claims, .. }) => {
            let end = UnixSeconds(claims.exp).plus(LEEWAY_SECONDS);
            at(end.to_millis(), now, Effect::RemoveGrant)
        }
        (Rest::WithoutHistory | Rest::NotYet, _) => Effect::Rest,
    }
}
