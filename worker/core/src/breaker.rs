//! A circuit breaker: a service that keeps failing is left alone for a while, and then one caller tries it.

use core::cell::Cell;

use crate::pauses::Backoff;
use crate::types::UnixMillis;

/// The number of failures in a row that opens a breaker.
const OPENS_AFTER: u32 = 3;

/// Counts consecutive failures of one service. While the service keeps failing, the breaker lets only one probe through
/// at a time, at growing intervals. The count lives in memory: a new isolate learns anew, from `OPENS_AFTER` failures.
#[derive(Debug)]
pub struct Breaker {
    pauses: Backoff,
    state: Cell<Observed>,
}

/// What a breaker has observed. Isolates tell each other their observations.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// How many failures there were since the last success.
    pub failures: u32,
    /// How many probes were let through since the breaker opened.
    pub probes: u32,
    /// When the last failure, success or probe was.
    pub at: UnixMillis,
}

impl Breaker {
    /// A closed breaker.
    pub const fn new(pauses: Backoff) -> Self {
        Self {
            pauses,
            state: Cell::new(Observed {
                failures: 0,
                probes: 0,
                at: UnixMillis(0),
            }),
        }
    }

    /// Records a failure.
    pub fn failed(&self, now: UnixMillis) {
        let before = self.state.get();
        self.state.set(Observed {
            failures: before.failures.saturating_add(1),
            at: now,
            ..before
        });
    }

    /// Records a success.
    pub fn worked(&self, now: UnixMillis) {
        self.state.set(Observed {
            failures: 0,
            probes: 0,
            at: now,
        });
    }

    /// For how many more milliseconds nothing is let through. `None` if something may be let through now.
    pub fn pause(&self, now: UnixMillis) -> Option<u64> {
        let Observed {
            failures,
            probes,
            at,
        } = self.state.get();
        if failures < OPENS_AFTER {
            return None;
        }
        let end = at.plus(self.pauses.after(probes));
        (now < end).then(|| end.since(now))
    }

    /// Lets one call through, or returns for how many more milliseconds no call is let through. While the breaker is
    /// open, the call that is let through is a probe.
    pub fn admit(&self, now: UnixMillis) -> Result<(), u64> {
        if let Some(pause) = self.pause(now) {
            return Err(pause);
        }
        let before = self.state.get();
        if before.failures >= OPENS_AFTER {
            self.state.set(Observed {
                probes: before.probes.saturating_add(1),
                at: now,
                ..before
            });
        }
        Ok(())
    }

    /// What was observed, if the breaker is open.
    pub fn is_open(&self) -> Option<Observed> {
        Some(self.state.get()).filter(|seen| seen.failures >= OPENS_AFTER)
    }

    /// The observations of this isolate, for another one.
    pub fn observed(&self) -> Observed {
        self.state.get()
    }

    /// Takes over the observations of another isolate, if they are newer.
    pub fn hear(&self, other: Observed) {
        if other.at > self.state.get().at {
            self.state.set(other);
        }
    }
}

impl Observed {
    /// The text in which isolates send observations to each other.
    pub fn to_text(self) -> String {
        format!("{} {} {}", self.failures, self.probes, self.at.0)
    }

    /// Reads a text that [`to_text`](Self::to_text) wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let seen = Self {
            failures: parts.next()?.parse().ok()?,
            probes: parts.next()?.parse().ok()?,
            at: UnixMillis(parts.next()?.parse().ok()?),
        };
        parts.next().is_none().then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const SECOND: u64 = 1_000;
    const PAUSES: Backoff = Backoff {
        first: 30 * SECOND,
        cap: 300 * SECOND,
    };

    fn open() -> Breaker {
        let breaker = Breaker::new(PAUSES);
        for _ in 0..OPENS_AFTER {
            assert_eq!(breaker.admit(NOW), Ok(()));
            breaker.failed(NOW);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_after_as_many_in_all() {
        let breaker = Breaker::new(PAUSES);
        for _ in 0..10 {
            breaker.failed(NOW);
            breaker.failed(NOW);
            breaker.worked(NOW);
        }
        assert_eq!((breaker.admit(NOW), breaker.is_open()), (Ok(()), None));
        assert_eq!(open().admit(NOW), Err(30 * SECOND));
    }

    #[test]
    fn one_is_let_through_at_a_time_in_growing_distances() {
        let breaker = open();
        let mut now = NOW;
        for pause in [30, 60, 120, 240, 300, 300, 300] {
            assert_eq!(breaker.admit(now), Err(pause * SECOND));
            now = now.plus(pause * SECOND);
            assert_eq!(breaker.pause(now), None);
            assert_eq!(breaker.admit(now), Ok(()));
            assert!(breaker.admit(now).is_err(), "two at a time");
            breaker.failed(now);
        }
    }

    #[test]
    fn one_that_works_closes_it() {
        let breaker = open();
        breaker.worked(NOW);
        for _ in 0..10 {
            assert_eq!(breaker.admit(NOW), Ok(()));
        }
    }

    #[test]
    fn a_probe_of_which_nothing_is_heard_leaves_the_next_one_its_turn() {
        let breaker = open();
        let later = NOW.plus(30 * SECOND);
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later.plus(60 * SECOND)), Ok(()));
    }

    #[test]
    fn who_saw_something_last_is_believed() {
        let (knows, learns) = (open(), Breaker::new(PAUSES));
        learns.hear(Observed::from_text(&knows.observed().to_text()).unwrap());
        assert_eq!(learns.pause(NOW), Some(30 * SECOND));
        learns.worked(NOW.plus(1));
        learns.hear(knows.observed());
        assert_eq!(learns.pause(NOW), None);
        for text in ["", "1", "1 2", "1 2 x", "1 2 3 4", "-1 0 0"] {
            assert_eq!(Observed::from_text(text), None, "{text}");
        }
    }
}
