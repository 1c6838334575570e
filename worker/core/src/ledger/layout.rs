//! Which shard keeps the entry of a purchase.
//!
//! A purchase belongs to the part of the day on which it began, and within the part to one of [`SHARDS`] by its request
//! id. Neither ever changes, so an entry never moves. A ledger that fills up gets a further part from some day on:
//! purchases of that day and later ones go there.

use sha2::{Digest, Sha256};

use super::day::UtcDay;
use crate::types::{RequestId, UnixMillis};

/// How many shards a part has.
pub const SHARDS: u8 = 16;

/// The parts of the ledger: a first part, and one more part from each of these days on. The days are in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Layout(Vec<UtcDay>);

/// One shard of the ledger: one of the [`SHARDS`] shards of a part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shard {
    /// The day on which the shard's part begins to take purchases; `None` for the first part.
    since: Option<UtcDay>,
    number: u8,
}

impl Layout {
    /// A layout with a first part, and one more part from each of these days on. `None` when the days are not in order.
    pub fn new(days: Vec<UtcDay>) -> Option<Self> {
        days.is_sorted_by(|earlier, later| earlier < later)
            .then_some(Self(days))
    }

    /// The shard that keeps the entry of a purchase that began at `created_at`.
    pub fn shard(&self, request_id: &RequestId, created_at: UnixMillis) -> Shard {
        let day = UtcDay::of(created_at);
        let digest = Sha256::digest(request_id.as_str());
        Shard {
            since: self.0.iter().rev().find(|since| **since <= day).copied(),
            number: digest.first().copied().unwrap_or_default() % SHARDS,
        }
    }

    /// Every shard of every part.
    pub fn shards(&self) -> impl Iterator<Item = Shard> {
        let parts = core::iter::once(None).chain(self.0.iter().copied().map(Some));
        parts.flat_map(|since| (0..SHARDS).map(move |number| Shard { since, number }))
    }
}

impl Shard {
    /// The shard that keeps what belongs to no purchase, such as the sweep's progress.
    pub const FIRST: Self = Self {
        since: None,
        number: 0,
    };

    /// The name of the shard's Durable Object.
    pub fn name(self) -> String {
        match self.since {
            None => format!("shard-{:02}", self.number),
            Some(day) => format!("shard-{day}-{:02}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400_000;

    fn layout(days: &[&str]) -> Option<Layout> {
        Layout::new(days.iter().map(|day| day.parse().unwrap()).collect())
    }

    #[test]
    fn the_names_of_shards_are_what_deployments_have() {
        let names: Vec<_> = Layout::default().shards().map(Shard::name).collect();
        assert_eq!(names.len(), usize::from(SHARDS));
        assert_eq!(
            (names[0].as_str(), names[15].as_str()),
            ("shard-00", "shard-15")
        );
        let grown = layout(&["2027-03-01"]).unwrap();
        let grown: Vec<_> = grown.shards().map(Shard::name).collect();
        assert_eq!(grown[..16], names);
        assert_eq!(grown[16], "shard-2027-03-01-00");
    }

    #[test]
    fn parts_are_in_order() {
        assert!(layout(&["2027-03-01", "2028-01-01"]).is_some());
        assert!(layout(&["2028-01-01", "2027-03-01"]).is_none());
        assert!(layout(&["2028-01-01", "2028-01-01"]).is_none());
    }

    proptest! {
        #[test]
        fn a_further_part_moves_no_purchase_of_an_earlier_day(id: [u8; 16], at in 0..40_000 * DAY) {
            let id = RequestId::from_random(id);
            let before = layout(&["2027-03-01"]).unwrap();
            let after = layout(&["2027-03-01", "2030-01-01"]).unwrap();
            let at = UnixMillis(at);
            let moved = after.shard(&id, at) != before.shard(&id, at);
            prop_assert_eq!(moved, UtcDay::of(at) >= "2030-01-01".parse().unwrap());
            let names: BTreeSet<_> = after.shards().map(Shard::name).collect();
            prop_assert!(names.contains(&after.shard(&id, at).name()));
        }
    }
}
