//! The messages that a purchase still has to send: one report to the ledger, and notifications to the backend. Each
//! message is stored with the record, from the change that it reports until its receiver has accepted it. No purchase
//! waits for ledger or backend.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::fault::RefundFault;
use super::stored_form::is_default;
use crate::pauses::{NOTICE, NOTICE_END, REPORT};
use crate::types::UnixMillis;

/// As how many tries one try counts when the backend answers that it takes no notifications.
const UNWANTED_TRIES: u32 = 4;

/// The messages of one purchase.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbox {
    /// The report to the ledger; `None` when the ledger knows what the record says. There is at most one, because a
    /// report always tells the newest state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Tries>,
    /// How many notifications to the backend were accepted or given up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub done: u32,
    /// How many of these were given up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub given_up: u32,
    /// The tries to send the oldest open notification.
    #[serde(default, skip_serializing_if = "is_default")]
    pub notice: Tries,
    /// Since when that notification has been the oldest open one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub since: UnixMillis,
    /// The open notifications, neither accepted nor given up so far, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Notice>,
}

/// The tries to send a message.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tries {
    /// How many tries there were.
    #[serde(default, skip_serializing_if = "is_default")]
    pub count: u32,
    /// The earliest time of the next try.
    pub not_before: UnixMillis,
}

/// The name of one of the messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// The report to the ledger.
    Report,
    /// The notification to the backend with this number, from 1.
    Notice(u32),
}

/// A notification to the backend.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The event.
    pub kind: NoticeKind,
    /// When the event happened.
    pub at: UnixMillis,
    /// The transaction of the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
    /// Why the refund has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RefundFault>,
}

/// The events that the backend is notified of.
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

/// What came of a try to send a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sending {
    /// The message is about to be sent.
    Tried,
    /// The receiver has accepted the message.
    Taken,
    /// The backend has answered that it takes no notifications.
    Unwanted,
    /// The notification is too old, and is not sent any more.
    GivenUp,
}

impl Tries {
    /// No try was made yet: the message is due now.
    pub(super) const fn due(now: UnixMillis) -> Self {
        Self {
            count: 0,
            not_before: now,
        }
    }
}

impl Outbox {
    /// Whether no message is left to be sent.
    pub fn is_empty(&self) -> bool {
        self.report.is_none() && self.open.is_empty()
    }

    /// When the oldest open notification is to be sent.
    pub fn notice_at(&self) -> Option<UnixMillis> {
        (!self.open.is_empty()).then_some(self.notice.not_before)
    }

    /// Whether the oldest open notification has been tried for long enough to be given up.
    pub fn is_hopeless(&self) -> bool {
        self.notice.count > 0 && self.notice.not_before > self.since.plus(NOTICE_END)
    }

    /// The number of the oldest open notification.
    pub const fn number(&self) -> u32 {
        self.done.saturating_add(1)
    }

    /// Records what came of a try. Returns `false` if the message is not one of those to be sent.
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
                // The last try is made at the end of the notification's time, even if the pause would be longer.
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

    /// Tries to send the notification until it is hopeless; each try gets `answer`. Returns how old the notification
    /// was at each try.
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
