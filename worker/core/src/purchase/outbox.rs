//! What the backend is told of a purchase: each notice from when it is true until the backend has taken it, one after the
//! other. Stored with the record, so that a notice exists as soon as what it tells of does.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::fault::RefundFault;
use super::stored_form::is_default;
use crate::pauses::{NOTICE, NOTICE_END};
use crate::types::UnixMillis;

/// How many tries an answer counts for that says that there is nobody who takes notices.
const UNWANTED_TRIES: u32 = 4;

/// The notices of one purchase.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbox {
    /// How many are done with.
    pub done: u32,
    /// How many of them the backend never took.
    #[serde(default, skip_serializing_if = "is_default")]
    pub given_up: u32,
    /// How often the oldest open one was tried.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tries: u32,
    /// Since when the oldest open one is the oldest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub since: UnixMillis,
    /// The next try is not made before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub not_before: UnixMillis,
    /// Those that the backend has not taken, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Notice>,
}

/// Something that the backend is to be told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// When.
    pub at: UnixMillis,
    /// The transaction of the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
    /// Why the refund has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RefundFault>,
}

/// What a backend is told of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NoticeKind {
    /// The goods were delivered.
    Delivered,
    /// The money went back.
    Refunded,
    /// The money could not be returned.
    RefundFailed,
}

/// What comes of the oldest open notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoticeEvent {
    /// It is about to be sent.
    Tried,
    /// The backend has taken it.
    Taken,
    /// The backend says that nobody there takes notices.
    Unwanted,
    /// It is too old.
    GivenUp,
}

impl Outbox {
    /// Whether nothing was ever told.
    pub fn is_new(&self) -> bool {
        *self == Self::default()
    }

    /// The number of the oldest open notice.
    pub const fn number(&self) -> u32 {
        self.done.saturating_add(1)
    }

    /// When the oldest open notice is to be sent.
    pub fn due_at(&self) -> Option<UnixMillis> {
        (!self.open.is_empty()).then_some(self.not_before)
    }

    /// Whether the oldest open notice was tried for long enough.
    pub fn is_hopeless(&self) -> bool {
        self.tries > 0 && self.not_before > self.since.plus(NOTICE_END)
    }

    /// What an event makes of the notice with this number. Whether it is still the oldest open one.
    pub(super) fn apply(&mut self, number: u32, event: NoticeEvent, now: UnixMillis) -> bool {
        if number != self.number() || self.open.is_empty() {
            return false;
        }
        match event {
            NoticeEvent::Tried | NoticeEvent::Unwanted => {
                let pause = match event {
                    NoticeEvent::Tried => self.tries,
                    _ => self.tries.saturating_add(UNWANTED_TRIES - 2),
                };
                // The last try is made when its time is over, however long the pause would be.
                let last = self.since.plus(NOTICE_END);
                self.not_before = now
                    .plus(NOTICE.after(pause))
                    .min(last.max(now.plus(NOTICE.first)));
                self.tries = pause.saturating_add(1);
            }
            NoticeEvent::Taken | NoticeEvent::GivenUp => {
                self.given_up += u32::from(event == NoticeEvent::GivenUp);
                self.done = number;
                self.tries = 0;
                self.open.remove(0);
                let since = if self.open.is_empty() {
                    UnixMillis::default()
                } else {
                    now
                };
                (self.since, self.not_before) = (since, since);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::lifecycle::{Event, apply};
    use super::super::schedule::{Effect, next_effect, wake_at};
    use super::super::state::Purchase;
    use super::super::test_support::{NOW, POLICY, delivered_and_noted};
    use super::*;

    const HOUR_MILLIS: u64 = 3_600_000;

    fn told(
        record: &Purchase,
        number: u32,
        event: NoticeEvent,
        now: UnixMillis,
    ) -> Option<Purchase> {
        apply(Some(record), Event::Notice { number, event }, now, &POLICY).ok()
    }

    /// Tries until the notice is hopeless, while each answer counts as `answer` says. The ages of the tries.
    fn tries(answer: Option<NoticeEvent>) -> Vec<u64> {
        let mut record = delivered_and_noted();
        let mut ages = Vec::new();
        while !record.outbox.is_hopeless() {
            let now = record.outbox.due_at().unwrap();
            ages.push(now.since(NOW));
            record = told(&record, 1, NoticeEvent::Tried, now).unwrap();
            if let Some(event) = answer {
                record = told(&record, 1, event, now).unwrap();
            }
            assert!(record.outbox.due_at() > Some(now));
        }
        ages
    }

    #[test]
    fn a_notice_is_due_at_once_and_then_in_growing_distances_for_two_days() {
        let ages = tries(None);
        assert_eq!(&ages[..4], &[0, 15_000, 45_000, 105_000]);
        assert_eq!(ages.last(), Some(&(48 * HOUR_MILLIS)));
        assert!(ages.len() < 20, "{ages:?}");
    }

    #[test]
    fn where_nobody_takes_notices_a_handful_of_tries_is_spread_over_the_two_days() {
        let ages = tries(Some(NoticeEvent::Unwanted));
        assert!(ages.len() <= 6, "{ages:?}");
        assert_eq!(ages.last(), Some(&(48 * HOUR_MILLIS)));
    }

    #[test]
    fn late_news_of_a_notice_that_is_done_with_changes_nothing() {
        let record = delivered_and_noted();
        let taken = told(&record, 1, NoticeEvent::Taken, NOW).unwrap();
        let expected = Outbox {
            done: 1,
            ..Outbox::default()
        };
        assert_eq!(taken.outbox, expected);
        for event in [
            NoticeEvent::Taken,
            NoticeEvent::Unwanted,
            NoticeEvent::GivenUp,
        ] {
            assert_eq!(told(&taken, 1, event, NOW), None);
            assert_eq!(told(&taken, 2, event, NOW), None);
            assert_eq!(told(&record, 2, event, NOW), None);
        }
    }

    #[test]
    fn a_notice_moves_nothing_else_and_wakes_the_purchase() {
        let record = delivered_and_noted();
        let tried = told(&record, 1, NoticeEvent::Tried, NOW).unwrap();
        let same = Purchase {
            outbox: record.outbox.clone(),
            ..tried.clone()
        };
        assert_eq!(same, record);
        let reported = apply(Some(&tried), Event::Reported, NOW, &POLICY).unwrap();
        let resting = apply(Some(&reported), Event::TargetReleased, NOW, &POLICY).unwrap();
        assert_eq!(wake_at(&resting, NOW, &POLICY), resting.outbox.due_at());
    }

    #[test]
    fn nothing_is_removed_before_the_backend_knows() {
        let record = apply(
            Some(&delivered_and_noted()),
            Event::TargetReleased,
            NOW,
            &POLICY,
        )
        .unwrap();
        let record = apply(Some(&record), Event::Reported, NOW, &POLICY).unwrap();
        let later = NOW.plus(400 * 24 * HOUR_MILLIS);
        assert_eq!(next_effect(&record, later, &POLICY), Effect::Rest);
        let given_up = told(&record, 1, NoticeEvent::GivenUp, NOW).unwrap();
        assert_eq!(given_up.outbox.given_up, 1);
        assert_eq!(
            next_effect(&given_up, later, &POLICY),
            Effect::RemoveHistory
        );
    }

    #[test]
    fn the_stored_form_is_what_deployments_have() {
        let outbox = delivered_and_noted().outbox;
        assert_eq!(
            serde_json::to_string(&outbox).unwrap(),
            r#"{"done":0,"since":1800000010000,"notBefore":1800000010000,"open":[{"kind":"delivered","at":1800000010000}]}"#
        );
    }
}
