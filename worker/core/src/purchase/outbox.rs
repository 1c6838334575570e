//! What the ledger and the backend are still to be told of a purchase: each message from when it is
//! true until its receiver has taken it. Stored with the record, so that a message exists as soon as
//! what it tells of does. No purchase waits for either.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::fault::RefundFault;
use super::stored_form::is_default;
use crate::pauses::{NOTICE, NOTICE_END, REPORT};
use crate::types::UnixMillis;

/// How many tries it counts as when the backend answers that it takes no notices.
const UNWANTED_TRIES: u32 = 4;

/// The messages of one purchase.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbox {
    /// The report to the ledger, unless it knows what the record says. There is one at most: it
    /// always tells the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Tries>,
    /// How many notices to the backend are done with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub done: u32,
    /// How many of them the backend never took.
    #[serde(default, skip_serializing_if = "is_default")]
    pub given_up: u32,
    /// The tries of the oldest open one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub notice: Tries,
    /// Since when the oldest open one is the oldest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub since: UnixMillis,
    /// Those that the backend has not taken, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Notice>,
}

/// The tries to send a message.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tries {
    /// How many there were.
    #[serde(default, skip_serializing_if = "is_default")]
    pub count: u32,
    /// The next one is not made before.
    pub not_before: UnixMillis,
}

/// One of the messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// The report to the ledger.
    Report,
    /// The notice to the backend with this number, from 1.
    Notice(u32),
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

/// What came of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sending {
    /// It is about to be sent.
    Tried,
    /// Its receiver has taken it.
    Taken,
    /// The backend says that it takes no notices.
    Unwanted,
    /// It is too old.
    GivenUp,
}

impl Tries {
    /// None yet: the message is due.
    pub(super) const fn due(now: UnixMillis) -> Self {
        Self {
            count: 0,
            not_before: now,
        }
    }
}

impl Outbox {
    /// Whether all was told.
    pub fn is_empty(&self) -> bool {
        self.report.is_none() && self.open.is_empty()
    }

    /// When the oldest open notice is to be sent.
    pub fn notice_at(&self) -> Option<UnixMillis> {
        (!self.open.is_empty()).then_some(self.notice.not_before)
    }

    /// Whether the oldest open notice was tried for long enough.
    pub fn is_hopeless(&self) -> bool {
        self.notice.count > 0 && self.notice.not_before > self.since.plus(NOTICE_END)
    }

    /// The number of the oldest open notice.
    pub const fn number(&self) -> u32 {
        self.done.saturating_add(1)
    }

    /// What becomes of a message. Whether it is still one of those to be sent.
    pub(super) fn apply(&mut self, message: Message, sending: Sending, now: UnixMillis) -> bool {
        match (message, sending, self.report) {
            (Message::Report, Sending::Tried, Some(tries)) => {
                self.report = Some(Tries {
                    count: tries.count.saturating_add(1),
                    not_before: now.plus(REPORT.after(tries.count)),
                });
            }
            (Message::Report, _, Some(_)) => self.report = None,
            (Message::Notice(number), ..) if number == self.number() && !self.open.is_empty() => {
                self.apply_to_notice(sending, now);
            }
            _ => return false,
        }
        true
    }

    fn apply_to_notice(&mut self, sending: Sending, now: UnixMillis) {
        match sending {
            Sending::Tried | Sending::Unwanted => {
                let others = match sending {
                    Sending::Tried => self.notice.count,
                    _ => self.notice.count.saturating_add(UNWANTED_TRIES - 2),
                };
                // The last try is made when its time is over, however long the pause would be.
                let last = self.since.plus(NOTICE_END);
                self.notice = Tries {
                    count: others.saturating_add(1),
                    not_before: now
                        .plus(NOTICE.after(others))
                        .min(last.max(now.plus(NOTICE.first))),
                };
            }
            Sending::Taken | Sending::GivenUp => {
                self.given_up += u32::from(sending == Sending::GivenUp);
                self.done = self.number();
                self.open.remove(0);
                self.since = match self.open.is_empty() {
                    true => UnixMillis::default(),
                    false => now,
                };
                self.notice = Tries::due(self.since);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lifecycle::{Event, apply};
    use super::super::schedule::{Effect, next_effect, wake_at};
    use super::super::state::Purchase;
    use super::super::test_support::{NOW, POLICY, REPORTED, delivered_and_noted};
    use super::*;

    const HOUR_MILLIS: u64 = 3_600_000;

    fn told(record: &Purchase, number: u32, sending: Sending, now: UnixMillis) -> Option<Purchase> {
        let message = Message::Notice(number);
        apply(Some(record), Event::Told { message, sending }, now, &POLICY).ok()
    }

    /// Tries until the notice is hopeless, while each answer counts as `answer` says. The ages of the tries.
    fn tries(answer: Option<Sending>) -> Vec<u64> {
        let mut record = delivered_and_noted();
        let mut ages = Vec::new();
        while !record.outbox.is_hopeless() {
            let now = record.outbox.notice_at().unwrap();
            ages.push(now.since(NOW));
            record = told(&record, 1, Sending::Tried, now).unwrap();
            if let Some(event) = answer {
                record = told(&record, 1, event, now).unwrap();
            }
            assert!(record.outbox.notice_at() > Some(now));
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
        let ages = tries(Some(Sending::Unwanted));
        assert!(ages.len() <= 6, "{ages:?}");
        assert_eq!(ages.last(), Some(&(48 * HOUR_MILLIS)));
    }

    #[test]
    fn late_news_of_a_notice_that_is_done_with_changes_nothing() {
        let record = delivered_and_noted();
        let taken = told(&record, 1, Sending::Taken, NOW).unwrap();
        let expected = Outbox {
            report: record.outbox.report,
            done: 1,
            ..Outbox::default()
        };
        assert_eq!(taken.outbox, expected);
        for event in [Sending::Taken, Sending::Unwanted, Sending::GivenUp] {
            assert_eq!(told(&taken, 1, event, NOW), None);
            assert_eq!(told(&taken, 2, event, NOW), None);
            assert_eq!(told(&record, 2, event, NOW), None);
        }
    }

    #[test]
    fn a_notice_moves_nothing_else_and_wakes_the_purchase() {
        let record = delivered_and_noted();
        let tried = told(&record, 1, Sending::Tried, NOW).unwrap();
        let same = Purchase {
            outbox: record.outbox.clone(),
            ..tried.clone()
        };
        assert_eq!(same, record);
        let reported = apply(Some(&tried), REPORTED, NOW, &POLICY).unwrap();
        let resting = apply(Some(&reported), Event::TargetReleased, NOW, &POLICY).unwrap();
        assert_eq!(wake_at(&resting, NOW, &POLICY), resting.outbox.notice_at());
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
        let record = apply(Some(&record), REPORTED, NOW, &POLICY).unwrap();
        let later = NOW.plus(400 * 24 * HOUR_MILLIS);
        assert_eq!(next_effect(&record, later, &POLICY), Effect::Rest);
        let given_up = told(&record, 1, Sending::GivenUp, NOW).unwrap();
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
            r#"{"report":{"notBefore":1800000010000},"notice":{"notBefore":1800000010000},"since":1800000010000,"open":[{"kind":"delivered","at":1800000010000}]}"#
        );
    }
}
