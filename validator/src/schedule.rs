//! When keys are fetched again. Pure: the time is passed in, as the time since the start.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::FetchOutcome;

/// Called with the outcome of each fetch.
pub(crate) type Observer = Arc<dyn Fn(&FetchOutcome<'_>) + Send + Sync>;

/// How fresh keys are kept.
#[derive(Clone)]
pub struct Refresh {
    pub(crate) floor: Duration,
    pub(crate) max_age: Duration,
    pub(crate) max_stale: Duration,
    pub(crate) observer: Option<Observer>,
}

impl Refresh {
    /// The defaults: at least 10 seconds between fetches, keys at most 10 minutes old, and old keys used for a day while none
    /// can be fetched.
    #[must_use]
    pub fn new() -> Self {
        Self {
            floor: Duration::from_secs(10),
            max_age: Duration::from_secs(600),
            max_stale: LONGEST_AGE,
            observer: None,
        }
    }

    /// The shortest time between the beginnings of two fetches, whatever tokens arrive: 10 seconds unless set.
    #[must_use]
    pub fn floor(self, floor: Duration) -> Self {
        Self { floor, ..self }
    }

    /// Keys older than this are fetched again: 10 minutes unless set. Sooner if the server's `Cache-Control: max-age` says so; and
    /// at half of [`max_stale`](Self::max_stale), so that there is time to try again.
    ///
    /// If a gateway publishes a new key for this long before it signs with it, no backend refuses a token, not even one that
    /// cannot wait for a fetch.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }

    /// How long keys stay in use while no others can be fetched: a day unless set.
    #[must_use]
    pub fn max_stale(self, max_stale: Duration) -> Self {
        Self { max_stale, ..self }
    }

    /// Tells this function how each fetch ended, on the thread that fetches: for a log or a metric.
    #[must_use]
    pub fn observe(self, observer: impl Fn(&FetchOutcome<'_>) + Send + Sync + 'static) -> Self {
        Self {
            observer: Some(Arc::new(observer)),
            ..self
        }
    }
}

impl Default for Refresh {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh")
            .field("floor", &self.floor)
            .field("max_age", &self.max_age)
            .field("max_stale", &self.max_stale)
            .field("observed", &self.observer.is_some())
            .finish()
    }
}

const LONGEST_AGE: Duration = Duration::from_secs(86_400);
/// Failures without a pause would keep a core and the server busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The fetches so far and the next one.
#[derive(Debug)]
pub(crate) struct Schedule {
    policy: Refresh,
    last_begin: Option<Duration>,
    failures: u32,
    /// When the current keys become too old.
    due: Duration,
    /// Whether a token named an unknown key.
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

    /// The time at which the next fetch begins.
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

    /// Whether a fetch was already requested.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Requests a fetch as soon as the floor allows. Returns whether that is at once.
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
        let own = self.policy.max_age;
        let age = max_age.map_or(own, |age| age.min(own));
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
        let mut schedule = Schedule::new(Refresh::new().floor(s(30)));
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
        assert_eq!(
            schedule.next(),
            s(662 + 600),
            "a server may shorten the time, not lengthen it"
        );
        let long = Refresh::new().max_age(Duration::MAX);
        let mut schedule = Schedule::new(long);
        schedule.begin(s(0));
        schedule.succeeded(s(0), None);
        assert_eq!(schedule.next(), s(43_200), "half of max_stale");
    }

    #[test]
    fn without_a_floor_failures_are_not_repeated_without_a_pause() {
        let mut schedule = Schedule::new(Refresh::new().floor(Duration::ZERO));
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
