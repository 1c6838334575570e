//! Units that are lent to a backend, so that it serves many calls without asking for each.
//!
//! A backend tells how much of its lease it has used in all, a number that only grows. What was counted of it is stored in the
//! row in which the units are spent: so a report that is lost, repeated or late, and one to a memory that was lost, counts
//! each unit once. What is lent is stored before the backend hears of it, and is free again when nothing was reported for
//! [`LEASE_MILLIS`].

use serde::{Deserialize, Serialize};

use crate::types::UnixMillis;

/// How long a lease lasts without a report.
pub const LEASE_MILLIS: u64 = 60_000;
/// How many leases of a grant are remembered.
pub(super) const MOST_LEASES: usize = 128;

/// The id of a lease: random, chosen by the process that takes it. As text, 32 hex digits.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct LeaseId(u128);

impl TryFrom<String> for LeaseId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("must be 32 hex digits")
    }
}

impl From<LeaseId> for String {
    fn from(id: LeaseId) -> Self {
        format!("{:032x}", id.0)
    }
}

impl LeaseId {
    /// Reads an id: 32 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = is_hex.then(|| u128::from_str_radix(text, 16).ok())?;
        // Nobody draws this one at random.
        id.filter(|id| *id != 0).map(Self)
    }
}

/// A lease as it is stored.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    /// How much of what its backend has used is counted. Reports never count the same again.
    pub(super) counted: u64,
    /// How much its backend may use in all.
    pub(super) up_to: u64,
    /// Its end; zero when its backend has ended it, and then for good.
    pub(super) until: UnixMillis,
}

impl Lease {
    /// A lease that nothing is known of. What its backend says that it has used may have been counted, long ago: so that no
    /// buyer pays twice, it is not counted.
    pub(super) const fn unknown(id: LeaseId, used: u64, now: UnixMillis) -> Self {
        Self {
            id,
            counted: used,
            up_to: used,
            until: now,
        }
    }

    /// The units that are lent and may still be used.
    pub(super) fn outstanding(&self, now: UnixMillis) -> u64 {
        match now < self.until {
            true => self.up_to.saturating_sub(self.counted),
            false => 0,
        }
    }

    /// Whether its backend has ended it.
    pub(super) const fn is_over(&self) -> bool {
        self.until.0 == 0
    }
}

/// Remembers what has become of a lease. When there are too many, the one is forgotten that ended first. Returns whether there
/// was room.
pub(super) fn remember(leases: &mut Vec<Lease>, lease: Lease, now: UnixMillis) -> bool {
    if let Some(known) = leases.iter_mut().find(|known| known.id == lease.id) {
        *known = lease;
        return true;
    }
    if leases.len() >= MOST_LEASES {
        let ended = leases.iter().filter(|lease| lease.outstanding(now) == 0);
        let Some(first) = ended.min_by_key(|lease| lease.until).map(|lease| lease.id) else {
            return false;
        };
        leases.retain(|lease| lease.id != first);
    }
    leases.push(lease);
    true
}
