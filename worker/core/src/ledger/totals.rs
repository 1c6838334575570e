//! Sums by day and state, exact to the micro-unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::day::UtcDay;
use crate::types::UsdcAmount;

/// The purchases of one day that are in one state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The day of their offers.
    pub day: UtcDay,
    /// Their state.
    pub status: String,
    /// How many.
    pub count: u64,
    /// Their amounts together.
    pub amount: UsdcAmount,
}

/// Adds up the shards' totals: one for each day and state, oldest day first.
pub fn merge(parts: impl IntoIterator<Item = Total>) -> Vec<Total> {
    let mut sums: BTreeMap<(UtcDay, String), (u64, u64)> = BTreeMap::new();
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
