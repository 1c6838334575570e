//! Jobs whose nonce is used: has the chain shown their receipt?

use std::collections::BTreeMap;

use super::job::JobKey;
use crate::types::UnixMillis;

/// A nonce that all answers of this time call used, without a receipt of ours, was used by another program.
pub(super) const LOST_MILLIS: u64 = 20_000;
/// The same of a receipt that was seen before, and of a job that is closed then: nothing of it is sent again.
pub(super) const GONE_MILLIS: u64 = 60_000;
/// How far apart these answers are at most, on average; with fewer of them it takes longer.
const ANSWER_MILLIS: u64 = 8_000;
/// Answers further apart say nothing about the time between them.
const LONGEST_PAUSE_MILLIS: u64 = 45_000;

/// What the chain has answered lately when it was asked for the receipts of open jobs. One answer without a receipt proves
/// nothing: some nodes show receipts seconds after others.
#[derive(Debug, Default)]
pub(super) struct Sights(BTreeMap<JobKey, Sight>);

#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    was_seen: bool,
    missing: Option<Missing>,
}

/// Answers without a receipt, one after the other.
#[derive(Clone, Copy, Debug)]
struct Missing {
    since: UnixMillis,
    last: UnixMillis,
    answers: u64,
}

impl Sights {
    /// A receipt was shown.
    pub(super) fn seen(&mut self, key: &JobKey) {
        let sight = Sight {
            was_seen: true,
            missing: None,
        };
        self.0.insert(key.clone(), sight);
    }

    /// No receipt was shown. Tells whether that has lasted so long that there is none.
    pub(super) fn missing(&mut self, key: &JobKey, now: UnixMillis, closes: bool) -> bool {
        let sight = self.0.entry(key.clone()).or_default();
        let before = sight
            .missing
            .filter(|before| now.since(before.last) <= LONGEST_PAUSE_MILLIS);
        let missing = Missing {
            since: before.map_or(now, |before| before.since),
            last: now,
            answers: before.map_or(1, |before| before.answers.saturating_add(1)),
        };
        sight.missing = Some(missing);
        let wanted = match sight.was_seen || closes {
            true => GONE_MILLIS,
            false => LOST_MILLIS,
        };
        now.since(missing.since) >= wanted && missing.answers > wanted / ANSWER_MILLIS
    }

    /// The job is done, or goes on with another nonce.
    pub(super) fn forget(&mut self, key: &JobKey) {
        self.0.remove(key);
    }
}
