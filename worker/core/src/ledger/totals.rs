//! Sums by day and state, exact to the micro-unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::day::UtcDay;
use crate::types::{Status, UsdcAmount};

/// The purchases of one day that are in one state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The day of their offers.
    pub day: UtcDay,
    /// Their state.
    pub status: Status,
    /// How many.
    pub count: u64,
    /// Their amounts together.
    pub amount: UsdcAmount,
}

/// Adds up the shards' totals: one for each day and state, oldest day first.
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
    /// How many.
    pub count: u64,
    /// Their amounts together.
    pub amount: UsdcAmount,
}

/// Adds the days up: one sum for each state.
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
