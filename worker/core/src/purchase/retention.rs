//! What is kept of a purchase that is over, and for how long.
//!
//! The history for a week; the grant until its token has expired; and for ever what keeps the purchase from being charged
//! again and tells how it ended: its terms, its payer, its state, its transactions.
//!
//! Nothing is taken from a purchase that is not over, nor from one that the ledger has not been told of, or the backend.

/// How long the history is kept once nothing can be added to it any more.
pub const HISTORY_MILLIS: u64 = 7 * 24 * 3_600_000;
/// How long a grant is kept at least, however short its token lasts. It goes after the history, so this holds by itself.
const GRANT_MILLIS: u64 = 12 * 3_600_000;
const _: () = assert!(GRANT_MILLIS <= HISTORY_MILLIS);

/// A backend may be told to take a token for this long after its end: the validator's longest leeway.
pub(super) const LEEWAY_SECONDS: u64 = 120;
