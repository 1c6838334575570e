//! How many bytes of answers an isolate holds.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::types::UnixMillis;

/// How long an answer counts at most after its call has begun, if nobody says that it is gone: longer than a call and
/// its settlement may take.
const COUNTS_MILLIS: u64 = 15 * 60_000;

/// Counts the bytes of answers that are held for calls. When the platform resets an object, nothing of its requests is
/// ever run again, so nobody says that their answers are gone; those stop counting after a while.
#[derive(Debug, Default)]
pub struct HeldBytes {
    next: Cell<u64>,
    answers: RefCell<BTreeMap<u64, (UnixMillis, usize)>>,
}

impl HeldBytes {
    /// Nothing is held.
    pub const fn new() -> Self {
        Self {
            next: Cell::new(0),
            answers: RefCell::new(BTreeMap::new()),
        }
    }

    /// Begins to count an answer, and returns its number.
    pub fn begin(&self, now: UnixMillis) -> u64 {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        self.answers.borrow_mut().insert(number, (now, 0));
        number
    }

    /// Counts further bytes of an answer.
    pub fn add(&self, number: u64, bytes: usize) {
        if let Some((_, count)) = self.answers.borrow_mut().get_mut(&number) {
            *count = count.saturating_add(bytes);
        }
    }

    /// The answer is gone.
    pub fn end(&self, number: u64) {
        self.answers.borrow_mut().remove(&number);
    }

    /// How many bytes are held.
    pub fn total(&self, now: UnixMillis) -> usize {
        let mut answers = self.answers.borrow_mut();
        answers.retain(|_, (since, _)| now.since(*since) < COUNTS_MILLIS);
        answers.values().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn what_is_held_counts_until_it_is_gone() {
        let held = HeldBytes::new();
        let (first, second) = (held.begin(NOW), held.begin(NOW));
        held.add(first, 5);
        held.add(second, 7);
        held.add(first, 1);
        assert_eq!(held.total(NOW), 13);
        held.end(first);
        held.add(first, 100);
        assert_eq!(held.total(NOW), 7);
    }

    #[test]
    fn what_a_reset_object_has_held_counts_no_more_after_a_while() {
        let held = HeldBytes::new();
        let (old, new) = (held.begin(NOW), held.begin(NOW.plus(1)));
        held.add(old, 5);
        held.add(new, 7);
        let end = NOW.plus(COUNTS_MILLIS);
        assert_eq!(held.total(UnixMillis(end.0 - 1)), 12);
        assert_eq!(held.total(end), 7);
        held.add(old, 100);
        assert_eq!(held.total(end), 7);
        assert_eq!(held.total(end.plus(1)), 0);
    }
}
