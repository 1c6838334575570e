//! An answer that is passed on while it arrives, and how that ends.
//!
//! The record says that bytes are being passed on before the first of them leaves, and how it has ended before the
//! buyer sees the end of the answer. What lies between is known to memory only. If memory is lost, so is the
//! connection to the buyer, and the money goes back.

use serde::{Deserialize, Serialize};

use super::state::{Calling, Purchase, State};
use crate::goods::{DeliveryFault, OriginFault};
use crate::pauses::{BUYER_GONE, BUYER_SLOW, ORIGIN_SILENT};

/// A buyer also counts as slow when it lets an answer wait for this part of the time that the answer may take.
const SLOW_PART: u64 = 10;

/// How an answer ended that was passed on while it arrived.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamEnd {
    /// Its last byte was passed on.
    Whole,
    /// The buyer left, or took nothing for so long that it counts as having left.
    Left,
    /// The seller's API cut it.
    Cut,
    /// It took longer than the seller allows, so we cut it.
    TimeUp,
    /// The seller's API sent nothing of it for so long that we cut it.
    Silent,
    /// The process died while it was passed on.
    Lost,
}

impl StreamEnd {
    /// The end as it counts for the money. `waited`: for how many milliseconds the buyer took nothing although there
    /// was something. `limit`: how many the answer may take in all. A buyer that reads slowly enough has every API give
    /// up at last, or our own time end, so for such a buyer a cut is no reason for a refund.
    #[must_use]
    pub(super) fn judged(self, waited: u64, limit: u64) -> Self {
        let is_slow = waited >= BUYER_SLOW.min(limit / SLOW_PART);
        match self {
            Self::Cut | Self::TimeUp | Self::Silent if is_slow => Self::Left,
            end => end,
        }
    }

    /// Why the money goes back; `None` when the call counts as delivered.
    pub(super) const fn fault(self) -> Option<DeliveryFault> {
        match self {
            Self::Whole | Self::Left => None,
            Self::Cut => Some(DeliveryFault::Origin(OriginFault::Cut)),
            Self::TimeUp | Self::Silent => Some(DeliveryFault::Origin(OriginFault::Timeout)),
            Self::Lost => Some(DeliveryFault::Unfinished),
        }
    }

    /// The name in the history.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "streamed",
            Self::Left => "buyer_left",
            Self::Cut => "stream_cut",
            Self::TimeUp => "stream_too_long",
            Self::Silent => "stream_silent",
            Self::Lost => "stream_lost",
        }
    }
}

/// The side that is to do something while an answer is passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Awaited {
    /// The seller's API, which is to send the next piece.
    Api,
    /// The buyer, which is to take a piece.
    Buyer,
}

impl Awaited {
    /// For how many milliseconds more this side is waited for, after so many; or how the answer ends if it has been
    /// waited for long enough.
    pub fn patience(self, waited: u64) -> Result<u64, StreamEnd> {
        let (most, end) = match self {
            Self::Api => (ORIGIN_SILENT, StreamEnd::Silent),
            Self::Buyer => (BUYER_GONE, StreamEnd::Left),
        };
        match most.saturating_sub(waited) {
            0 => Err(end),
            left => Ok(left),
        }
    }
}

impl Purchase {
    /// The call whose answer is being passed on, or was being passed on when the process died.
    pub(super) const fn streaming(&self) -> Option<Calling> {
        match &self.state {
            State::Paid {
                failure: None,
                calling: Some(calling),
                ..
            } if calling.streaming => Some(*calling),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_the_sellers_unless_the_buyer_was_slow() {
        for end in [StreamEnd::Cut, StreamEnd::TimeUp, StreamEnd::Silent] {
            for (limit, slow) in [(900_000, BUYER_SLOW), (6_000, 600)] {
                assert_eq!(end.judged(slow - 1, limit), end);
                assert_eq!(end.judged(slow, limit), StreamEnd::Left);
            }
        }
        for end in [StreamEnd::Whole, StreamEnd::Left, StreamEnd::Lost] {
            assert_eq!(end.judged(u64::MAX, 0), end);
        }
    }

    #[test]
    fn each_side_is_waited_for_a_minute_and_whoever_lets_it_pass_has_ended_the_answer() {
        for (awaited, end) in [
            (Awaited::Api, StreamEnd::Silent),
            (Awaited::Buyer, StreamEnd::Left),
        ] {
            assert_eq!(awaited.patience(0), Ok(60_000));
            assert_eq!(awaited.patience(59_999), Ok(1));
            assert_eq!(awaited.patience(60_000), Err(end));
            assert_eq!(awaited.patience(u64::MAX), Err(end));
        }
    }

    #[test]
    fn what_reached_its_end_or_lost_its_buyer_is_delivered_and_all_else_is_not() {
        let delivered = [StreamEnd::Whole, StreamEnd::Left];
        let not = [
            StreamEnd::Cut,
            StreamEnd::TimeUp,
            StreamEnd::Silent,
            StreamEnd::Lost,
        ];
        assert!(delivered.iter().all(|end| end.fault().is_none()));
        let is_of_a_call = |end: &StreamEnd| end.fault().is_some_and(DeliveryFault::is_of_a_call);
        assert!(not.iter().all(is_of_a_call));
    }
}
