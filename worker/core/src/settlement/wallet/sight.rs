//! Jobs whose nonce is used: whether the chain has shown their receipts.

use std::collections::BTreeMap;

use super::job::JobKey;
use crate::types::UnixMillis;

/// Another program is assumed to have used a nonce when, for this long, all answers call the nonce used and none has a
/// receipt of ours.
pub(super) const LOST_MILLIS: u64 = 20_000;
/// Another program is assumed only after this long, if the job's receipt was seen before, or if the job would then be
/// closed instead of sent again.
pub(super) const GONE_MILLIS: u64 = 60_000;
/// The longest average time between these answers; with fewer answers, it takes longer until they are believed.
const ANSWER_MILLIS: u64 = 8_000;
/// Two answers that are further apart say nothing about the time between them.
const LONGEST_PAUSE_MILLIS: u64 = 45_000;

/// The chain's latest answers to the question for the receipts of open jobs. One answer without a receipt proves nothing: some
/// nodes show receipts seconds after others.
#[derive(Debug, Default)]
pub(super) struct Sights(BTreeMap<JobKey, Sight>);

#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    was_seen: bool,
    missing: Option<Missing>,
}

/// Answers without a receipt, one directly after the other.
#[derive(Clone, Copy, Debug)]
struct Missing {
    since: UnixMillis,
    last: UnixMillis,
    answers: u64,
}

impl Sights {
    /// Notes that the job's receipt was shown.
    pub(super) fn seen(&mut self, key: &JobKey) {
        let sight = Sight {
            was_seen: true,
            missing: None,
        };
        self.0.insert(key.clone(), sight);
    }

    /// Notes that no receipt of the job was shown. Returns whether that has lasted so long that there is none.
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

    /// Forgets a job that is done, or that goes on with another nonce.
    pub(super) fn forget(&mut self, key: &JobKey) {
        self.0.remove(key);
    }
}
