//! Sums by day and state, exact to the micro-unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::day::UtcDay;
use super::entry::LedgerEntry;
use crate::types::{Status, UsdcAmount};

/// The purchases of one day that are in one state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The day on which the purchases began.
    pub day: UtcDay,
    /// The state of the purchases.
    pub status: Status,
    /// How many purchases there are.
    pub count: u64,
    /// The amounts of these purchases together.
    pub amount: UsdcAmount,
}

/// The removed purchases of one day and one target that were in one state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The day on which the purchases began.
    pub day: UtcDay,
    /// What was bought, as in [`LedgerEntry::target`].
    pub target: String,
    /// The state of the purchases.
    pub status: Status,
    /// How many.
    pub count: u64,
    /// Their amounts together.
    pub amount: UsdcAmount,
}

impl Removed {
    /// The removed purchase of this entry.
    pub(super) fn of(entry: &LedgerEntry) -> Self {
        Self {
            day: UtcDay::of(entry.created_at),
            target: entry.target.clone(),
            status: entry.status,
            count: 1,
            amount: entry.amount,
        }
    }

    pub(super) const fn total(&self) -> Total {
        Total {
            day: self.day,
            status: self.status,
            count: self.count,
            amount: self.amount,
        }
    }
}

/// Adds up sums of removed purchases. Returns one for each day, target and state, oldest day first.
pub(super) fn merge_removed(parts: impl IntoIterator<Item = Removed>) -> Vec<Removed> {
    let mut sums: BTreeMap<(UtcDay, String, Status), (u64, u64)> = BTreeMap::new();
    for part in parts {
        let key = (part.day, part.target, part.status);
        let (count, units) = sums.entry(key).or_default();
        *count = count.saturating_add(part.count);
        *units = units.saturating_add(part.amount.units());
    }
    sums.into_iter()
        .map(|((day, target, status), (count, units))| Removed {
            day,
            target,
            status,
            count,
            amount: UsdcAmount::from_units(units),
        })
        .collect()
}

/// Adds up the shards' totals. Returns one total for each day and state, oldest day first.
pub fn merge(parts: impl IntoIterator<Item = Total>) -> Vec<Total> {
    let mut sums: BTreeMap<(UtcDay, Status), (u64, u64)> = BTreeMap::new();
    for part in parts {
        let (count, units) = sums.entry((part.day, part.status)).or_default();
        *count = count.saturating_add(part.count);
        *units = units.saturating_add(part.amount.units());
    }
    sums.into_iter()
        .map(|((day, status), (count, units))| Total {
            day,
            status,
            count,
            amount: UsdcAmount::from_units(units),
        })
        .collect()
}

/// The purchases that are in one state, of all days that were asked for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct StatusTotal {
    /// The state.
    pub status: Status,
    /// How many purchases there are.
    pub count: u64,
    /// The amounts of these purchases together.
    pub amount: UsdcAmount,
}

/// Adds up the days' totals. Returns one sum for each state.
pub fn by_status(days: &[Total]) -> Vec<StatusTotal> {
    let mut sums: BTreeMap<Status, (u64, u64)> = BTreeMap::new();
    for day in days {
        let (count, units) = sums.entry(day.status).or_default();
        *count = count.saturating_add(day.count);
        *units = units.saturating_add(day.amount.units());
    }
    sums.into_iter()
        .map(|(status, (count, units))| StatusTotal {
            status,
            count,
            amount: UsdcAmount::from_units(units),
        })
        .collect()
}
