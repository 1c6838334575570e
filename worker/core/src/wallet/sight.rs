//! Jobs whose nonce is used: has the chain shown their receipt?

use std::collections::BTreeMap;

use super::job::JobKey;
use crate::types::UnixMillis;

/// A nonce that all answers of this time call used, without a receipt of ours, was used by another program.
pub(super) const LOST_MILLIS: u64 = 20_000;
/// A receipt that was seen before counts as gone after this time without it.
pub(super) const GONE_MILLIS: u64 = 60_000;
/// Answers further apart say nothing about the time between them.
const LONGEST_PAUSE_MILLIS: u64 = 45_000;

/// What the chain has answered lately when it was asked for the receipts of open jobs. One answer without a receipt proves
/// nothing: some nodes show receipts seconds after others.
#[derive(Debug, Default)]
pub(super) struct Sights(BTreeMap<JobKey, Sight>);

#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    was_seen: bool,
    /// The first and the last answer without a receipt since then.
    missing: Option<(UnixMillis, UnixMillis)>,
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
    pub(super) fn missing(&mut self, key: &JobKey, now: UnixMillis) -> bool {
        let sight = self.0.entry(key.clone()).or_default();
        let since = sight
            .missing
            .filter(|(_, last)| now.since(*last) <= LONGEST_PAUSE_MILLIS)
            .map_or(now, |(since, _)| since);
        sight.missing = Some((since, now));
        let wanted = match sight.was_seen {
            true => GONE_MILLIS,
            false => LOST_MILLIS,
        };
        now.since(since) >= wanted
    }

    /// The job is done, or goes on with another nonce.
    pub(super) fn forget(&mut self, key: &JobKey) {
        self.0.remove(key);
    }
}
