//! A payer's standing, by the outcome of its transfers and calls. Those that reverted or were not charged for lead to a
//! pause; those that succeeded let the payer have more under way at a time.

use serde::{Deserialize, Serialize};

use super::command::Outcome;
use crate::pauses::{CROWDED_CALLS, RETURNED_CALLS, REVERTS, UNCHARGED_CALLS};
use crate::types::UnixMillis;

/// How many transfers of a payer may revert before it must wait. A success only halves the count: if one cheap purchase
/// cleared it, a payer could cause two dear reverts for each cheap purchase.
const MAX_REVERTS: u32 = 3;
/// How many purchases an unknown account with code may have under way through the gas wallet. Like a congestion window this
/// grows by one with each success and is halved by each revert.
const FIRST_SLOTS: u32 = 3;
const MAX_SLOTS: u32 = 128;

/// How many uncharged calls a payer may make in ten minutes. A call that is charged for halves the count.
const MAX_UNCHARGED: u32 = 10;
/// How many refunded calls a payer may make in an hour before one is charged for: a refund costs the seller gas.
const MAX_RETURNED: u32 = 3;
/// How many purchases an unknown payer may have under way when it begins a call: the answer to a call is held before it
/// is paid for.
const FIRST_CALLS: u32 = 16;

/// A payer's standing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// How many transfers have reverted, halved with each that succeeded.
    pub reverts: u32,
    /// When the book was told of the last revert.
    pub last: UnixMillis,
    /// How many purchases may be under way at a time, if the account has code.
    pub slots: u32,
    /// The standing by the payer's calls.
    pub calls: Calls,
}

/// The part of a payer's standing that follows from its calls.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Calls {
    /// How many purchases may be under way when another call begins.
    pub slots: u32,
    /// How many calls were not charged for.
    pub uncharged: u32,
    /// Since when the uncharged calls are counted.
    pub uncharged_since: UnixMillis,
    /// For how many calls the money went back.
    pub returned: u32,
    /// Since when the refunded calls are counted.
    pub returned_since: UnixMillis,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            slots: FIRST_CALLS,
            uncharged: 0,
            uncharged_since: UnixMillis(0),
            returned: 0,
            returned_since: UnixMillis(0),
        }
    }
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            reverts: 0,
            last: UnixMillis(0),
            slots: FIRST_SLOTS,
            calls: Calls::default(),
        }
    }
}

impl Standing {
    /// How many milliseconds the payer must wait, if it must.
    pub(super) fn pause(self, now: UnixMillis) -> Option<u64> {
        let end = self.last.plus(REVERTS);
        (self.reverts >= MAX_REVERTS && now < end).then(|| end.since(now))
    }

    /// The standing after an attempt with this outcome.
    #[must_use]
    pub(super) fn after(self, outcome: Outcome, now: UnixMillis) -> Self {
        match outcome {
            Outcome::Reverted => Self {
                reverts: self.reverts.saturating_add(1),
                last: now,
                slots: (self.slots / 2).max(1),
                ..self
            },
            Outcome::Delivered | Outcome::Paid => Self {
                reverts: self.reverts / 2,
                slots: self.slots.saturating_add(1).min(MAX_SLOTS),
                ..self
            },
            Outcome::Returned | Outcome::Uncharged | Outcome::Withheld | Outcome::Other => self,
        }
    }
}

impl Calls {
    /// How many milliseconds the payer must wait before it may begin a call, if it must. `under_way` is the number of
    /// its purchases under way.
    pub(super) fn pause(self, under_way: u32, now: UnixMillis) -> Option<u64> {
        let left = |count, most, since: UnixMillis, period| {
            let end = since.plus(period);
            (count >= most && now < end).then(|| end.since(now))
        };
        let uncharged = (self.uncharged, MAX_UNCHARGED, self.uncharged_since);
        let returned = (self.returned, MAX_RETURNED, self.returned_since);
        let waits = [
            left(uncharged.0, uncharged.1, uncharged.2, UNCHARGED_CALLS),
            left(returned.0, returned.1, returned.2, RETURNED_CALLS),
            (under_way >= self.slots).then_some(CROWDED_CALLS),
        ];
        waits.into_iter().flatten().max()
    }

    /// The standing after a call with this outcome.
    #[must_use]
    pub(super) fn after(self, outcome: Outcome, now: UnixMillis) -> Self {
        // Once its period is over, a count begins again.
        let counted = |count: u32, since: UnixMillis, period| match now < since.plus(period) {
            true => (count.saturating_add(1), since),
            false => (1, now),
        };
        let (uncharged, uncharged_since) =
            counted(self.uncharged, self.uncharged_since, UNCHARGED_CALLS);
        let (returned, returned_since) =
            counted(self.returned, self.returned_since, RETURNED_CALLS);
        match outcome {
            Outcome::Delivered => Self {
                slots: self.slots.saturating_add(1).min(MAX_SLOTS),
                uncharged: self.uncharged / 2,
                returned: 0,
                ..self
            },
            Outcome::Returned => Self {
                returned,
                returned_since,
                ..self
            },
            Outcome::Uncharged => Self {
                uncharged,
                uncharged_since,
                ..self
            },
            Outcome::Withheld | Outcome::Reverted => Self {
                slots: (self.slots / 2).max(1),
                uncharged,
                uncharged_since,
                ..self
            },
            Outcome::Paid | Outcome::Other => self,
        }
    }
}
