//! What a payer's transfers have earned it: a pause after those that reverted, and room for more at a time after those that
//! succeeded.

use super::command::Outcome;
use crate::pauses::REVERTS;
use crate::types::UnixMillis;

/// How many transfers of a payer may revert before it must wait. A success halves the count: cleared by one cheap purchase, it
/// would let two dear reverts pass for each.
const MAX_REVERTS: u32 = 3;
/// How many purchases an unknown account with code may have under way through the gas wallet. Like a congestion window this
/// grows by one with each success and is halved by each revert.
const FIRST_SLOTS: u32 = 3;
const MAX_SLOTS: u32 = 128;

/// How a payer stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// How many transfers have reverted, halved with each that succeeded.
    pub reverts: u32,
    /// When the book was told of the last one.
    pub last: UnixMillis,
    /// How many purchases may be under way at a time, if the account has code.
    pub slots: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            reverts: 0,
            last: UnixMillis(0),
            slots: FIRST_SLOTS,
        }
    }
}

impl Standing {
    /// How long the payer must wait, if it must.
    pub(super) fn pause(self, now: UnixMillis) -> Option<u64> {
        let end = self.last.plus(REVERTS);
        (self.reverts >= MAX_REVERTS && now < end).then(|| end.since(now))
    }

    /// The standing after an attempt that ended like this.
    #[must_use]
    pub(super) fn after(self, outcome: Outcome, now: UnixMillis) -> Self {
        match outcome {
            Outcome::Reverted => Self {
                reverts: self.reverts.saturating_add(1),
                last: now,
                slots: (self.slots / 2).max(1),
            },
            Outcome::Delivered | Outcome::Paid => Self {
                reverts: self.reverts / 2,
                slots: self.slots.saturating_add(1).min(MAX_SLOTS),
                ..self
            },
            Outcome::Other => self,
        }
    }
}
