//! How long purchases, refunds and messages wait before they are done, or done again. In milliseconds, where the name says nothing
//! else.

use serde::{Deserialize, Serialize};

/// Pauses that double.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// The first.
    pub first: u64,
    /// The longest.
    pub cap: u64,
}

impl Backoff {
    /// The pause after as many others.
    pub fn after(self, others: u32) -> u64 {
        let factor = 1_u64.checked_shl(others).unwrap_or(u64::MAX);
        self.first.saturating_mul(factor).min(self.cap)
    }
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// A day.
pub const DAY: u64 = 24 * HOUR;

// --- A buyer's request ---

/// How long a request waits for an outcome before its client is told to come back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Patience(u64);

impl Patience {
    /// A look: what is known now. Nothing is driven on. Before it is said that nothing was charged, the chain is asked once more,
    /// at most every ten seconds.
    pub const NONE: Self = Self(0);
    /// For a payment that is not waited for: it begins, and its alarm goes on.
    pub const BEGIN: Self = Self(1);
    /// What an HTTP request waits: long enough for a payment to be settled on Base, short enough for
    /// clients and proxies.
    pub const REQUEST: Self = Self(20 * SECOND);

    /// Whether so many milliseconds are too many.
    pub const fn is_over_after(self, millis: u64) -> bool {
        millis >= self.0
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::REQUEST
    }
}

/// How long a client should wait before it repeats what is not over.
pub const COME_BACK_SECONDS: u64 = 2;
/// Between the looks of a request at the record.
pub const LOOK: Backoff = Backoff {
    first: 250,
    cap: SECOND,
};
/// For how long a request that only looks in is answered by the last look at the chain.
pub const GLANCE: u64 = 10 * SECOND;
/// Before it looks again whether the balance covers the price. What was delivered a moment ago may
/// still count as under way: its release follows its answer.
pub const UNCOVERED: [u64; 2] = [700, 2 * SECOND];

// --- A purchase's alarm ---

/// After an effect without a result.
pub const EFFECT: Backoff = Backoff {
    first: 3 * SECOND,
    cap: MINUTE,
};
/// After a failed delivery.
pub const DELIVERY: Backoff = Backoff {
    first: 2 * SECOND,
    cap: MINUTE,
};
/// Before the backend is called again within one try to deliver.
pub const BACKEND_CALL: Backoff = Backoff {
    first: 500,
    cap: BACKEND_CALLS,
};
/// Calls within one try begin for this long; then the buyer is told, and the alarm tries again.
pub const BACKEND_CALLS: u64 = 20 * SECOND;
/// When an authorization that was given up is looked at, counted from then: somebody else may
/// broadcast it. After [`WATCH_DOUBLINGS`] looks one follows every day.
pub const WATCH: Backoff = Backoff {
    first: MINUTE,
    cap: MINUTE << WATCH_DOUBLINGS,
};
/// How often that time doubles.
pub const WATCH_DOUBLINGS: u32 = 10;
/// After a look that failed and was the last one due.
pub const LATE_WATCH: Backoff = Backoff {
    first: 3 * SECOND,
    cap: HOUR,
};
/// The last look comes at most this long after the authorization was given up. Longer than any
/// client lets one be valid.
pub const WATCH_END: u64 = 30 * DAY;
/// The last look comes this long after the authorization's end: the chain's clock may be behind.
pub const CHAIN_LAG: u64 = MINUTE;
/// A ledger that does not answer is told again. Every purchase waits for it then, so each must ring
/// seldom.
pub const REPORT: Backoff = Backoff {
    first: 6 * SECOND,
    cap: DAY,
};
/// A backend that has not taken a notice is told again. Longer than a try can take, so that none
/// overtakes another.
pub const NOTICE: Backoff = Backoff {
    first: 15 * SECOND,
    cap: NOTICE_END,
};
/// A notice is given up after this long, counted from when those before it were done with.
pub const NOTICE_END: u64 = 2 * DAY;
/// Before a purchase on another network than the configured one looks whether that is back.
pub const OTHER_NETWORK: u64 = HOUR;
/// An alarm is set at most this far ahead: a credential may last until the year 9999, and there is
/// no alarm for that.
pub const SLEEP: u64 = 366 * DAY;
/// An alarm that is this late was lost.
pub const LOST_ALARM: u64 = MINUTE;

// --- Who settles ---

/// How long a facilitator that was asked to settle is waited for, before the next route is tried.
/// Longer than its answer may take and a few blocks.
pub const ANSWER: u64 = 30 * SECOND;
/// Before a facilitator is asked once more that did not say whether it would settle.
pub const VERIFY_AGAIN: u64 = 500;
/// How long the last "no" of a facilitator that was told to settle is doubted: what it may have
/// broadcast is in a block by then (Base has one every two seconds).
pub const DOUBT: u64 = 5 * SECOND;
/// Before all routes are tried again.
pub const ROUTES: u64 = 5 * SECOND;
/// Without a receipt for this long the gas wallet is asked whether it sends under other hashes by
/// now; or the chain, whether a facilitator does.
pub const RECEIPT: u64 = 5 * SECOND;
/// A refund that is not included for this long is tried again in another transaction.
pub const REFUND_RECEIPT: u64 = 10 * MINUTE;

// --- What keeps failing ---

/// Before one purchase may begin again after deliveries have failed in a row.
pub const DELIVERIES: Backoff = Backoff {
    first: 30 * SECOND,
    cap: 5 * MINUTE,
};
/// The same of a facilitator. Short: whoever can pay waits for it meanwhile.
pub const FACILITATOR: Backoff = Backoff {
    first: 5 * SECOND,
    cap: 5 * SECOND,
};
/// For how long an RPC endpoint is asked last after a failure.
pub const ENDPOINT: Backoff = Backoff {
    first: 10 * SECOND,
    cap: 320 * SECOND,
};
/// How long a payer must wait after its transfers have reverted: the gas wallet pays for them.
pub const REVERTS: u64 = HOUR;

// --- The gas wallet's alarm ---

/// Before it looks again at what is not included.
pub const NOT_INCLUDED: u64 = 4 * SECOND;
/// The same at what is included and not deep enough yet.
pub const NOT_DEEP: u64 = 8 * SECOND;
/// A transaction that is next in line and not included for this long may get a higher fee.
pub const STUCK: u64 = 15 * SECOND;
/// An alarm that is this late was lost.
pub const LOST_WALLET_ALARM: u64 = 10 * SECOND;

// --- An alarm that failed ---

/// Before it is handled again. It may have failed before the next one was set, and without one nobody
/// would ever look again.
pub const FAILED_ALARM: u64 = 10 * SECOND;
/// Before it is looked again whether wrong settings were corrected: with them nothing can be driven.
pub const MISCONFIGURED: u64 = MINUTE;

// --- The backend's access token ---

/// Before it is looked again whether another request has renewed it.
pub const RENEWAL: u64 = 50;

// --- Conversations ---

/// For how long after its offer's end an A2A task is kept that nobody has paid.
pub const UNPAID_TASK: u64 = HOUR;
/// For how long after its last change one is kept that was paid.
pub const PAID_TASK: u64 = 35 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_however_many_there_were() {
        let pauses = Backoff { first: 3, cap: 20 };
        let all = [0, 1, 2, 3, 63, 64, u32::MAX].map(|others| pauses.after(others));
        assert_eq!(all, [3, 6, 12, 20, 20, 20, 20]);
    }
}
