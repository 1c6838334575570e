//! Every pause and deadline, with its reason. All are in milliseconds unless the name says otherwise. A comment "Before
//! …" or "After …" means: the pause before or after that.

use serde::{Deserialize, Serialize};

/// Pauses between repetitions: each is twice as long as the one before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub first: u64,
    /// The longest pause.
    pub cap: u64,
}

impl Backoff {
    /// The next pause, after `others` earlier ones.
    pub fn after(self, others: u32) -> u64 {
        let factor = 1_u64.checked_shl(others).unwrap_or(u64::MAX);
        self.first.saturating_mul(factor).min(self.cap)
    }
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// One day.
pub const DAY: u64 = 24 * HOUR;

// --- A buyer's request ---

/// How long a request waits for an outcome before its client is told to come back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Patience(u64);

impl Patience {
    /// The request is answered with what is known now, and carries out no effect. Only before the answer "nothing was
    /// charged" the chain is asked, at most every ten seconds.
    pub const NONE: Self = Self(0);
    /// The request begins the purchase and does not wait for its outcome; the purchase's alarm carries on.
    pub const BEGIN: Self = Self(1);
    /// The patience of an HTTP request: long enough for a payment to be settled on Base, short enough for clients and
    /// proxies.
    pub const REQUEST: Self = Self(20 * SECOND);

    /// How long a request waits that carries a call: as long as the seller's API may take, and then as long as a
    /// payment takes.
    pub const fn of_call(timeout_millis: u32) -> Self {
        Self(timeout_millis as u64 + CALL_MARGIN)
    }

    /// Whether a request that has waited for `millis` milliseconds has waited long enough.
    pub const fn is_over_after(self, millis: u64) -> bool {
        millis >= self.0
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::REQUEST
    }
}

/// How long a client should wait before it repeats a request whose purchase is unfinished.
pub const COME_BACK_SECONDS: u64 = 2;
/// The pause between two reads of the record by a request that waits.
pub const LOOK: Backoff = Backoff {
    first: 250,
    cap: SECOND,
};
/// How long the result of one chain query answers requests of [`Patience::NONE`].
pub const GLANCE: u64 = 10 * SECOND;
/// The pauses before a request checks again whether the payer's balance covers the price. A purchase that was just
/// delivered may still count as under way, because the payer's book is told of its end only after the buyer was
/// answered.
pub const UNCOVERED: [u64; 2] = [700, 2 * SECOND];

// --- A call ---

/// For a call that is charged after its answer: a buyer who has sent no request for this long is gone. Then nothing is
/// called or charged.
pub const CONTACT: u64 = MINUTE;
/// The time of the buyer's last request is stored again only when the stored time is this old.
pub const CONTACT_STEP: u64 = 5 * SECOND;
/// By how much longer than the answer may take the authorization and the offer must last when a call begins.
pub const CALL_MARGIN: u64 = 20 * SECOND;
/// How often the alarm looks at an answer that is being passed on. If the process dies, that is noticed after this
/// long at most.
pub const STREAM: u64 = 30 * SECOND;
/// If an answer is cut, the buyer is to blame if it has let arrived bytes wait for this long in total.
pub const BUYER_SLOW: u64 = 30 * SECOND;
/// A buyer that lets arrived bytes wait for this long without a break has left.
pub const BUYER_GONE: u64 = MINUTE;
/// An API that sends nothing of an answer for this long has cut it.
pub const ORIGIN_SILENT: u64 = MINUTE;
/// An answer that is being passed on counts as lost this long after it had to end.
pub const STREAM_OVERDUE: u64 = MINUTE;
/// The shortest time for which a paid answer is stored: every request that waits for the answer has it by then.
pub const ANSWER_KEPT: u64 = MINUTE;

// --- A call that is counted ---

/// By how much longer than the answer's head may take a call holds what was set aside for it, without news of it.
pub const METER_LEASE: u64 = 30 * SECOND;
/// How often it is told that an answer is still being passed on: several times in each lease.
pub const METER_NEWS: u64 = 12 * SECOND;
/// How long an answer may go on before it is told that it has begun. Most end before, and are told once.
pub const METER_ONCE: u64 = 25;
/// How long one telling may take. Before, the call is not told of again.
pub const METER_TELL: u64 = 5 * SECOND;
/// A first telling that is older than the memory that hears it by more than this may have been followed by a second, which
/// an earlier memory may have heard.
pub const METER_LATE: u64 = 2 * SECOND;
const _: () = assert!(METER_LATE < METER_TELL);
/// The pauses before the end of a call is told again.
pub const METER_AGAIN: [u64; 7] = [
    500,
    2 * SECOND,
    8 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
];
/// After how long a call is asked for again whose unit or place may come back, or that could not be counted.
pub const METER_RETRY_SECONDS: u64 = 1;
/// How long the name of a call is known that a backend has had counted.
pub const METER_NAMED: u64 = 10 * MINUTE;
/// The pause before further names are forgotten, if there are many.
pub const METER_PURGE: u64 = SECOND;

// --- A purchase's alarm ---

/// The pause after an effect that had no result, before the alarm tries again.
pub const EFFECT: Backoff = Backoff {
    first: 3 * SECOND,
    cap: MINUTE,
};
/// The pause after a failed delivery.
pub const DELIVERY: Backoff = Backoff {
    first: 2 * SECOND,
    cap: MINUTE,
};
/// The pause before the backend is called again within one delivery attempt.
pub const BACKEND_CALL: Backoff = Backoff {
    first: 500,
    cap: BACKEND_CALLS,
};
/// How long one delivery attempt starts further calls of the backend. After that the buyer gets the error, and the
/// alarm begins the next attempt.
pub const BACKEND_CALLS: u64 = 20 * SECOND;
/// The pause between checks of an authorization that was given up and that a third party may still broadcast. After
/// [`WATCH_DOUBLINGS`] checks there is one a day.
pub const WATCH: Backoff = Backoff {
    first: MINUTE,
    cap: MINUTE << WATCH_DOUBLINGS,
};
/// How often the pause of [`WATCH`] doubles.
pub const WATCH_DOUBLINGS: u32 = 10;
/// The pause before the last check of [`WATCH`] is repeated, if that check failed.
pub const LATE_WATCH: Backoff = Backoff {
    first: 3 * SECOND,
    cap: HOUR,
};
/// The last check comes at most this long after the authorization was given up. No client lets an
/// authorization be valid for longer.
pub const WATCH_END: u64 = 30 * DAY;
/// The last check comes this long after the authorization has expired: the chain's clock may be behind.
pub const CHAIN_LAG: u64 = MINUTE;
/// The pause before a report to the ledger is repeated. While the ledger is down every purchase repeats its report, so
/// each must do so seldom.
pub const REPORT: Backoff = Backoff {
    first: 6 * SECOND,
    cap: DAY,
};
/// The pause before a notification is sent to the backend again. It is longer than one call can take, so that no
/// repetition overtakes the call before it.
pub const NOTICE: Backoff = Backoff {
    first: 15 * SECOND,
    cap: NOTICE_END,
};
/// A notification is given up after this long, counted from when the notification before it was accepted or given up.
pub const NOTICE_END: u64 = 2 * DAY;
/// The pause before a purchase on another network than the configured one checks whether its network is configured
/// again.
pub const OTHER_NETWORK: u64 = HOUR;
/// An alarm is set at most this far ahead: a credential may last until the year 9999, and the platform accepts no such
/// alarm.
pub const SLEEP: u64 = 366 * DAY;
/// How long a purchase's alarm must be overdue to count as lost.
pub const LOST_ALARM: u64 = MINUTE;

// --- Who settles ---

/// How long a purchase waits for a facilitator that was told to settle, before it tries the next settlement route. This
/// is longer than the facilitator's answer and a few blocks may take.
pub const ANSWER: u64 = 30 * SECOND;
/// The pause before a facilitator whose answer was unclear is asked again whether it would settle.
pub const VERIFY_AGAIN: u64 = 500;
/// A facilitator that was told to settle and answers "no" is believed after this long: a transaction that it sent
/// nevertheless is in a block by then (Base has one every two seconds).
pub const DOUBT: u64 = 5 * SECOND;
/// The pause before the first settlement route is tried again, after the last one has failed.
pub const ROUTES: u64 = 5 * SECOND;
/// After this long without a receipt, a purchase asks the gas wallet for the hashes of replacement transactions; or, if
/// a facilitator settles, asks the chain whether the authorization was used.
pub const RECEIPT: u64 = 5 * SECOND;
/// A refund that is in no block after this long is tried again in another transaction.
pub const REFUND_RECEIPT: u64 = 10 * MINUTE;

// --- What keeps failing ---

/// After several deliveries have failed in a row no purchase begins for this long. Then one may begin, as a probe.
pub const DELIVERIES: Backoff = Backoff {
    first: 30 * SECOND,
    cap: 5 * MINUTE,
};
/// After several calls of a route have failed in a row, none begins for this long. Then one may begin, as a probe.
pub const ROUTE_REST: Backoff = DELIVERIES;
/// Two failures of a route's calls that are at least this far apart are not failures in a row: too few calls lie
/// between them to tell.
pub const ROUTE_FAILURES: u64 = 10 * MINUTE;
/// After a facilitator has failed several times in a row it is not asked for this long. The pause is short because
/// buyers wait meanwhile.
pub const FACILITATOR: Backoff = Backoff {
    first: 5 * SECOND,
    cap: 5 * SECOND,
};
/// For how long an RPC endpoint that failed is used only after all others.
pub const ENDPOINT: Backoff = Backoff {
    first: 10 * SECOND,
    cap: 320 * SECOND,
};
/// How long a payer must wait after several of its transfers have reverted: the gas wallet has paid their gas.
pub const REVERTS: u64 = HOUR;

/// The period in which a payer's uncharged calls are counted against its limit.
pub const UNCHARGED_CALLS: u64 = 10 * MINUTE;
/// The period in which a payer's refunded calls are counted against its limit.
pub const RETURNED_CALLS: u64 = HOUR;
/// How long a payer that has as many purchases under way as it may have must wait before it begins another call.
pub const CROWDED_CALLS: u64 = 2 * SECOND;

// --- The gas wallet's alarm ---

/// The pause before the gas wallet checks its transactions that are in no block yet.
pub const NOT_INCLUDED: u64 = 4 * SECOND;
/// The pause before the gas wallet checks its transactions that are in a block but not deep enough yet.
pub const NOT_DEEP: u64 = 8 * SECOND;
/// A transaction that is next in line and in no block after this long may get a higher fee.
pub const STUCK: u64 = 15 * SECOND;
/// How long a gas wallet's alarm must be overdue to count as lost.
pub const LOST_WALLET_ALARM: u64 = 10 * SECOND;

// --- An alarm that failed ---

/// The pause before a failed alarm is handled again. The alarm may have failed before it set the next one, and without
/// a next alarm the object would never wake again.
pub const FAILED_ALARM: u64 = 10 * SECOND;
/// The pause before an object checks again whether wrong settings were corrected. While they are wrong it can do
/// nothing.
pub const MISCONFIGURED: u64 = MINUTE;

// --- The backend's access token ---

/// The pause before a request checks again whether another request has renewed the token.
pub const RENEWAL: u64 = 50;

// --- Conversations ---

/// How long an unpaid A2A task is kept after the end of its offer.
pub const UNPAID_TASK: u64 = HOUR;
/// How long a paid A2A task is kept after its last change.
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
