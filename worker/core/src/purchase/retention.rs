//! Which parts of a purchase that is over are kept, and for how long.
//!
//! The history is kept for a week, and the grant until its token has expired. What keeps the purchase from being
//! charged again and tells how it ended is kept for ever: its terms, its payer, its state, its transactions.
//!
//! Purchases of calls are many, so each is removed as a whole: one that was charged 35 days after its end, and any other
//! when its authorization can no longer be executed. The ledger then still counts it, by day, route and state.
//!
//! Nothing is removed from a purchase that is not over, or that still has a message for the ledger or the backend.

/// How long the history is kept once the purchase is over.
pub const HISTORY_MILLIS: u64 = 7 * 24 * 3_600_000;
/// How long a grant is kept at least, however short its token lasts. The grant is removed only after the history, so
/// this holds by itself.
const GRANT_MILLIS: u64 = 12 * 3_600_000;
const _: () = assert!(GRANT_MILLIS <= HISTORY_MILLIS);

/// How long the purchase of a call is kept once it is delivered or refunded. A task that has bought it is gone by then.
pub const CALL_KEPT_MILLIS: u64 = 35 * 24 * 3_600_000;
/// How long the purchase of a call that was not charged is kept at least once it is over. By then no report of it to the
/// ledger is on its way any more, and no uncharged or refunded call counts in the payer's book.
pub const UNCHARGED_KEPT_MILLIS: u64 = 3_600_000;

/// A grant is kept for this long after its token has expired: with the validator's longest leeway a backend still
/// accepts the token.
pub(super) const LEEWAY_SECONDS: u64 = 120;
