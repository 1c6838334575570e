//! The two orders in which entries are read, and the place in them where a page ends.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::entry::LedgerEntry;
use crate::types::{RequestId, Status, UnixMillis};

/// The number of urgent states, upon which an operator may have to act. They are the first of [`Status::ALL`].
const URGENT: u8 = 3;
const MAX_CURSOR_CHARS: usize = 200;

/// An order of entries. Both orders are total, so a place in an order is never ambiguous.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Urgent states first, one after the other; then all other states together. Within each group, the latest change
    /// comes first.
    Urgency,
    /// By the time when the purchase began, oldest first. Entries keep their place when they change.
    Age,
}

/// A place in an order: right after a certain entry. Its text form is opaque.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cursor {
    /// The entry's rank in [`Order::Urgency`]; 0 in [`Order::Age`].
    pub rank: u8,
    /// The entry's time in the order: of its last change, or of the purchase's beginning.
    pub at: UnixMillis,
    /// The entry's request id.
    pub request_id: RequestId,
}

impl Order {
    /// The place right after an entry.
    pub fn place(self, entry: &LedgerEntry) -> Cursor {
        let (rank, at) = match self {
            Self::Urgency => (rank(entry.status), entry.changed_at),
            Self::Age => (0, entry.created_at),
        };
        Cursor {
            rank,
            at,
            request_id: entry.request_id.clone(),
        }
    }

    /// Which of two places comes first.
    pub fn compare(self, a: &Cursor, b: &Cursor) -> Ordering {
        let moments = match self {
            Self::Urgency => b.at.cmp(&a.at),
            Self::Age => a.at.cmp(&b.at),
        };
        a.rank
            .cmp(&b.rank)
            .then(moments)
            .then_with(|| a.request_id.cmp(&b.request_id))
    }
}

impl Cursor {
    /// The place in [`Order::Urgency`] before all entries in this state that have not changed since `changed_until`.
    pub(crate) fn before_all_of(status: Status, changed_until: UnixMillis) -> Self {
        Self {
            rank: rank(status),
            at: changed_until,
            request_id: RequestId::from_random([0; 16]),
        }
    }
}

/// The place of a state's group in [`Order::Urgency`], from 0.
pub(super) fn rank(status: Status) -> u8 {
    (0..URGENT)
        .zip(Status::ALL)
        .find(|(_, urgent)| *urgent == status)
        .map_or(URGENT, |(rank, _)| rank)
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} {} {}", self.rank, self.at.0, self.request_id);
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

/// The error for a text that is no cursor of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        if text.len() > MAX_CURSOR_CHARS {
            return Err(BadCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let text = core::str::from_utf8(&bytes).map_err(|_| BadCursor)?;
        let mut parts = text.split(' ');
        let mut next = || parts.next().ok_or(BadCursor);
        let cursor = Self {
            rank: next()?.parse().map_err(|_| BadCursor)?,
            at: UnixMillis(next()?.parse().map_err(|_| BadCursor)?),
            request_id: next()?.parse().map_err(|_| BadCursor)?,
        };
        parts.next().is_none().then_some(cursor).ok_or(BadCursor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn writing_then_reading_gives_the_same_place(rank: u8, at: u64, id: [u8; 16]) {
            let cursor = Cursor { rank, at: UnixMillis(at), request_id: RequestId::from_random(id) };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn hostile_text_never_panics(text in ".{0,300}") {
            let _ = text.parse::<Cursor>();
        }
    }

    #[test]
    fn what_needs_somebody_comes_first() {
        assert_eq!(Status::ALL.map(rank), [0, 1, 2, 3, 3, 3, 3, 3]);
    }
}
