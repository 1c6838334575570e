//! Seeded randomness: the same seed gives the same run, step by step.

use core::cell::Cell;

/// A small generator (splitmix64), good enough to choose faults and delays.
#[derive(Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        let random = Self(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        random.next();
        random
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&self, low: u64, high: u64) -> u64 {
        low + self.next() % (high.saturating_sub(low) + 1)
    }

    /// `true` in `per_mille` of a thousand cases.
    pub fn chance(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.next() % 1000 < per_mille
    }

    /// Picks one of the choices.
    pub fn pick<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.range(0, choices.len() as u64 - 1) as usize]
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        core::array::from_fn(|_| self.next() as u8)
    }
}
