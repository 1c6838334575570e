//! When keys are fetched again. Pure: time comes in as the time since the start.

use core::time::Duration;

/// How fresh keys are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refresh {
    /// No two fetches begin in less than this, whatever anybody sends: 10 seconds.
    pub floor: Duration,
    /// Keys older than this are fetched again: 10 minutes. The server's `Cache-Control: max-age` counts instead, up to a
    /// day; and both up to half of `max_stale`, so that there is time to fetch them again.
    pub max_age: Duration,
    /// Keys older than this are not used any more, when they cannot be fetched again: a day.
    pub max_stale: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            floor: Duration::from_secs(10),
            max_age: Duration::from_secs(600),
            max_stale: LONGEST_AGE,
        }
    }
}

const LONGEST_AGE: Duration = Duration::from_secs(86_400);
/// Failures without a pause would keep a core busy, and the server.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The fetches so far and the next one.
#[derive(Debug)]
pub(crate) struct Schedule {
    policy: Refresh,
    last_begin: Option<Duration>,
    failures: u32,
    /// When the keys that are there grow old.
    due: Duration,
    /// Somebody came with a key that is not there.
    wanted: bool,
}

impl Schedule {
    pub(crate) fn new(policy: Refresh) -> Self {
        Self {
            policy,
            last_begin: None,
            failures: 0,
            due: Duration::ZERO,
            wanted: false,
        }
    }

    /// The moment at which the next fetch begins.
    pub(crate) fn next(&self) -> Duration {
        let Some(last) = self.last_begin else {
            return Duration::ZERO;
        };
        let earliest = last.saturating_add(self.policy.floor);
        if self.wanted {
            return earliest;
        }
        if self.failures > 0 {
            let doubled = 1_u32.checked_shl(self.failures - 1).unwrap_or(u32::MAX);
            let pause = self.policy.floor.max(SHORTEST_PAUSE);
            let pause = pause.saturating_mul(doubled).min(LONGEST_PAUSE);
            return earliest.max(last.saturating_add(pause));
        }
        earliest.max(self.due)
    }

    /// Asks for a fetch as soon as the floor allows. Says whether that is at once.
    pub(crate) fn want(&mut self, now: Duration) -> bool {
        self.wanted = true;
        self.next() <= now
    }

    pub(crate) fn begin(&mut self, now: Duration) {
        self.last_begin = Some(now);
        self.wanted = false;
    }

    pub(crate) fn succeeded(&mut self, now: Duration, max_age: Option<Duration>) {
        self.failures = 0;
        let age = max_age.map_or(self.policy.max_age, |age| age.min(LONGEST_AGE));
        let age = age.min(self.policy.max_stale / 2);
        self.due = now.saturating_add(age);
    }

    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn started() -> Schedule {
        let mut schedule = Schedule::new(Refresh {
            floor: s(30),
            ..Refresh::default()
        });
        assert_eq!(schedule.next(), s(0), "the first fetch is at once");
        schedule.begin(s(0));
        schedule
    }

    #[test]
    fn keys_are_fetched_again_when_they_grow_old() {
        let mut schedule = started();
        schedule.succeeded(s(1), None);
        assert_eq!(schedule.next(), s(601));
        schedule.begin(s(601));
        schedule.succeeded(s(602), Some(s(60)));
        assert_eq!(schedule.next(), s(662));
        schedule.begin(s(662));
        schedule.succeeded(s(662), Some(s(0)));
        assert_eq!(
            schedule.next(),
            s(692),
            "the floor holds against the server too"
        );
        schedule.succeeded(s(662), Some(s(10_000_000)));
        assert_eq!(schedule.next(), s(662 + 43_200), "half of max_stale");
    }

    #[test]
    fn without_a_floor_failures_are_not_repeated_without_a_pause() {
        let mut schedule = Schedule::new(Refresh {
            floor: Duration::ZERO,
            ..Refresh::default()
        });
        schedule.begin(s(1));
        schedule.failed();
        assert_eq!(schedule.next(), s(1) + SHORTEST_PAUSE);
    }

    #[test]
    fn an_unknown_key_brings_the_next_fetch_forward_to_the_floor_and_no_further() {
        let mut schedule = started();
        schedule.succeeded(s(1), None);
        for now in 1..30 {
            assert!(!schedule.want(s(now)), "{now}");
            assert_eq!(schedule.next(), s(30));
        }
        assert!(schedule.want(s(30)));
        schedule.begin(s(30));
        schedule.succeeded(s(31), None);
        assert_eq!(
            schedule.next(),
            s(631),
            "a fetch answers all who asked before it"
        );
        assert!(
            schedule.want(s(100)),
            "long after the last fetch it is at once"
        );
    }

    #[test]
    fn failures_are_repeated_with_growing_pauses() {
        let mut schedule = started();
        let mut now = 0;
        for pause in [30, 60, 120, 240, 300, 300] {
            schedule.failed();
            assert_eq!(schedule.next(), s(now + pause));
            now += pause;
            schedule.begin(s(now));
        }
        schedule.failed();
        assert!(!schedule.want(s(now + 29)));
        assert!(
            schedule.want(s(now + 30)),
            "somebody who needs them need not wait so long"
        );
        for _ in 0..100 {
            schedule.failed();
        }
        assert!(schedule.next() <= s(now + 300));
    }
}
