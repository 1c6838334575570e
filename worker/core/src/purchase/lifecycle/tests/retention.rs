//! What is removed of a purchase that is over, and when; and that nothing else is removed.

use crate::goods::Goods;
use crate::purchase::sold::Sold;
use crate::purchase::test_support::access;
use proptest::prelude::*;

use super::*;
use crate::purchase::retention::LEEWAY_SECONDS;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// The record after the payer's book and the ledger were told of its state.
fn settle_down(record: &Purchase) -> Purchase {
    let released = apply(Some(record), Event::TargetReleased, NOW, &POLICY);
    reported(&released.unwrap_or_else(|Refused| record.clone()))
}

/// The ways in which a purchase can be over.
fn ends() -> Vec<(&'static str, Purchase)> {
    let mut ends: Vec<_> = states()
        .into_iter()
        .map(|(state, record)| (state, settle_down(&record)))
        .filter(|(_, record)| record.is_over())
        .collect();
    let taken = record_after([attempted(1), Event::Taken, REPORTED]);
    ends.push(("taken", taken));
    ends
}

fn delivered_until(end: u64) -> Purchase {
    let mut claims = claims();
    claims.exp = end;
    let sealed = "sealed".repeat(100);
    let goods = Goods::Credential { claims, sealed };
    let issued = Event::Issued { goods };
    let events = [paid_events(), vec![issued]].concat();
    settle_down(&record_after(events))
}

/// Lets the alarm do its work until `end`. Returns each event with its time.
fn live(record: &mut Purchase, end: UnixMillis) -> Vec<(Event, UnixMillis)> {
    let mut done = Vec::new();
    let mut now = NOW;
    for _ in 0..100 {
        match wake_at(record, now, &POLICY) {
            Some(at) if at <= end => now = now.max(at),
            _ => return done,
        }
        *record = apply(Some(record), Event::Tried, now, &POLICY).unwrap();
        loop {
            let event = match next_effect(record, now, &POLICY) {
                Effect::RemoveHistory => Event::HistoryRemoved,
                Effect::RemoveGrant => Event::GrantRemoved,
                _ => break,
            };
            *record = apply(Some(record), event.clone(), now, &POLICY).unwrap();
            done.push((event, now));
        }
    }
    panic!("the alarm never rests");
}

#[test]
fn there_are_six_ways_to_be_over() {
    let names: Vec<_> = ends().into_iter().map(|(state, _)| state).collect();
    assert_eq!(
        names,
        [
            "delivered",
            "expired",
            "cancelled",
            "superseded",
            "refunded",
            "taken"
        ]
    );
}

#[test]
fn the_history_goes_after_a_week_and_the_grant_with_its_token_but_never_earlier() {
    let week = NOW.plus(7 * DAY);
    let begin = NOW.to_seconds().0;
    for (token_days, grant_goes) in [(0, 7 * DAY), (1, 7 * DAY), (30, 30 * DAY), (365, 365 * DAY)] {
        let end = UnixSeconds(begin + token_days * DAY / 1000);
        let mut record = delivered_until(end.0);
        let done = live(&mut record, NOW.plus(500 * DAY));
        let grant_goes = if token_days > 7 {
            end.plus(LEEWAY_SECONDS).to_millis()
        } else {
            NOW.plus(grant_goes)
        };
        assert!(grant_goes >= NOW.plus(12 * HOUR));
        assert_eq!(
            done,
            [
                (Event::HistoryRemoved, week),
                (Event::GrantRemoved, grant_goes)
            ],
            "a token of {token_days} days"
        );
        assert_eq!(record.state, State::Closed { payment: payment() });
        assert_eq!(wake_at(&record, week, &POLICY), None, "it rests for ever");
    }
}

/// The first call may come at any time: the meter then asks the purchase what it has sold.
#[test]
fn limits_are_known_as_long_as_the_grant_and_no_longer() {
    let end = UnixSeconds(NOW.to_seconds().0 + 30 * DAY / 1000);
    for is_limited in [true, false] {
        let mut record = delivered_until(end.0);
        let mut sold = access();
        sold.limits.concurrency = is_limited.then_some(10);
        record.sold = Some(Sold::Access(sold));
        let sold = record.sold.clone();
        live(&mut record, NOW.plus(29 * DAY));
        assert_eq!(record.rest, Rest::WithoutHistory);
        assert_eq!(record.sold, sold.filter(|_| is_limited));
        live(&mut record, NOW.plus(31 * DAY));
        assert_eq!(record.state, State::Closed { payment: payment() });
        assert_eq!(record.sold, None);
    }
}

#[test]
fn a_grant_outlives_the_longest_leeway_of_a_backend() {
    assert_eq!(LEEWAY_SECONDS, key0_validator::MAX_LEEWAY.as_secs());
}

#[test]
fn every_other_end_loses_its_history_alone() {
    for (state, record) in ends() {
        let mut after = record.clone();
        let done = live(&mut after, NOW.plus(500 * DAY));
        assert_eq!(
            done.first(),
            Some(&(Event::HistoryRemoved, NOW.plus(7 * DAY)))
        );
        if state != "delivered" {
            assert_eq!(done.len(), 1, "{state}");
            assert_eq!(after.state, record.state, "{state}");
        }
        assert_eq!(after.rest, Rest::WithoutHistory);
        assert_eq!(wake_at(&after, NOW.plus(500 * DAY), &POLICY), None);
    }
}

#[test]
fn what_is_left_says_the_same_to_the_ledger_and_never_changes_again() {
    for (state, record) in ends() {
        let mut after = record.clone();
        live(&mut after, NOW.plus(500 * DAY));
        let says = |record| ledger_entry(record, 0);
        assert_eq!(says(&after), says(&record), "{state}");
        assert_eq!(after.outbox.report, None);
        for (name, event) in events() {
            for record in [&record, &after] {
                let refused = apply(Some(record), event.clone(), NOW.plus(500 * DAY), &POLICY);
                assert_eq!(refused, Err(Refused), "{state}, {name}");
            }
        }
    }
}

#[test]
fn a_ledger_that_does_not_know_yet_keeps_everything_where_it_is() {
    for (state, record) in ends() {
        let record = apply(Some(&record), Event::ReportAsked, NOW, &POLICY).unwrap();
        let late = NOW.plus(400 * DAY);
        assert_eq!(next_effect(&record, late, &POLICY), Effect::Rest, "{state}");
        assert_eq!(wake_at(&record, late, &POLICY), Some(NOW), "{state}");
        let told = apply(Some(&record), REPORTED, late, &POLICY).unwrap();
        assert_eq!(next_effect(&told, late, &POLICY), Effect::RemoveHistory);
        assert!(wake_at(&told, late, &POLICY) <= Some(late.plus(60_000)));
    }
}

#[test]
fn a_purchase_that_is_not_over_is_never_touched() {
    for (state, record) in states() {
        let record = settle_down(&record);
        if record.is_over() {
            continue;
        }
        for event in [Event::HistoryRemoved, Event::GrantRemoved] {
            let late = NOW.plus(4_000 * DAY);
            assert_eq!(
                apply(Some(&record), event, late, &POLICY),
                Err(Refused),
                "{state}"
            );
        }
        assert_eq!(record.rest, Rest::NotYet, "{state}");
    }
}

#[test]
fn the_week_begins_when_the_last_thing_has_happened() {
    let watched = record_after([
        attempted(1),
        Event::Reserved,
        GIVEN_UP,
        Event::TargetReleased,
    ]);
    let later = NOW.plus(20 * DAY);
    let over = apply(Some(&watched), LAPSED, later, &POLICY).unwrap();
    assert_eq!(over.changed_at, NOW);
    assert_eq!(over.rest, Rest::Since(later));
    let delivered = record_after([paid_events(), vec![issued()]].concat());
    assert_eq!(delivered.rest, Rest::NotYet, "its target is not released");
    let released = apply(Some(&delivered), Event::TargetReleased, later, &POLICY).unwrap();
    assert_eq!(released.rest, Rest::Since(later));
    let early = later.plus(7 * DAY - 1);
    assert_eq!(
        apply(
            Some(&reported(&over)),
            Event::HistoryRemoved,
            early,
            &POLICY
        ),
        Err(Refused)
    );
}

#[test]
fn a_credential_for_ever_is_kept_and_its_alarm_can_be_set() {
    let mut record = delivered_until(u64::MAX);
    let now = NOW.plus(8 * DAY);
    record = apply(Some(&record), Event::HistoryRemoved, now, &POLICY).unwrap();
    assert_eq!(wake_at(&record, now, &POLICY), Some(now.plus(366 * DAY)));
    let late = NOW.plus(100_000 * DAY);
    assert_eq!(
        apply(Some(&record), Event::GrantRemoved, late, &POLICY),
        Err(Refused)
    );
}

/// The older record was stored by a release that removed nothing yet.
#[test]
fn an_older_record_at_rest_begins_its_week_when_it_is_touched() {
    let mut older = serde_json::to_value(delivered_until(0)).unwrap();
    older.as_object_mut().unwrap().remove("rest").unwrap();
    let older: Purchase = serde_json::from_value(older).unwrap();
    let late = NOW.plus(1_000 * DAY);
    assert_eq!(next_effect(&older, late, &POLICY), Effect::Rest);
    let touched = apply(Some(&older), Event::ReportAsked, late, &POLICY).unwrap();
    assert_eq!(touched.rest, Rest::Since(late));
}

/// The form that is kept for ever must stay readable for ever, and small.
#[test]
fn the_stored_form_of_what_is_left_is_unchanged() {
    let mut record = delivered_until(0);
    let whole = serde_json::to_string(&record).unwrap().len();
    live(&mut record, NOW.plus(30 * DAY));
    let stored = serde_json::to_value(&record).unwrap();
    assert_eq!(stored["rest"], "withoutHistory");
    assert_eq!(
        stored["state"],
        json!({"CLOSED": {"payment": {
            "transaction": payment().transaction,
            "block": 9,
            "settledAt": 1_800_000_010_u64,
            "amount": "$0.015",
        }}})
    );
    assert_eq!(serde_json::from_value::<Purchase>(stored).unwrap(), record);
    let left = serde_json::to_string(&record).unwrap().len();
    assert!(left < 1_000 && whole > 1_500, "{whole} bytes became {left}");
}

fn any_event() -> impl Strategy<Value = Event> {
    let life: Vec<Event> = events().into_iter().map(|(_, event)| event).collect();
    let upkeep = vec![
        Event::TargetReleased,
        Event::HistoryRemoved,
        Event::HistoryRemoved,
        Event::GrantRemoved,
        Event::GrantRemoved,
        REPORTED,
        REPORTED,
        REPORT_TRIED,
        Event::ReportAsked,
        Event::Tried,
    ];
    prop_oneof![prop::sample::select(life), prop::sample::select(upkeep)]
}

proptest! {
    /// Whichever events happen, in any order and at any time: history and grant are kept as long as promised.
    #[test]
    fn nothing_is_removed_before_its_time(
        first in prop::sample::select(states()),
        life in prop::collection::vec((any_event(), prop_oneof![0..HOUR, 0..9 * DAY, 0..40 * DAY]), 1..40),
    ) {
        let (_, mut record) = first;
        let mut now = NOW;
        let (mut last_line, mut delivered) = (NOW, NOW);
        for (event, pause) in life {
            now = now.plus(pause);
            let before = record.clone();
            let Ok(after) = apply(Some(&record), event.clone(), now, &POLICY) else {
                continue;
            };
            let says_removed = |record: &Purchase| record.rest == Rest::WithoutHistory;
            if says_removed(&after) && !says_removed(&before) {
                prop_assert!(now >= last_line.plus(7 * DAY));
                prop_assert!(before.is_over() && before.outbox.report.is_none());
            }
            prop_assert!(!says_removed(&after) || event.audit(&after, now).is_none());
            if event.audit(&after, now).is_some() {
                last_line = now;
            }
            match (&before.state, &after.state) {
                (State::Delivered { goods, .. }, State::Closed { .. }) => {
                    prop_assert!(now >= delivered.plus(12 * HOUR));
                    prop_assert!(now.to_seconds().0 >= goods.claims().unwrap().exp);
                    prop_assert_eq!(before.outbox.report, None);
                }
                (State::Delivered { .. }, state) => prop_assert_eq!(&before.state, state),
                (State::Closed { .. }, state) => prop_assert_eq!(&before.state, state),
                (_, State::Delivered { .. }) => delivered = now,
                (_, State::Closed { .. }) => prop_assert!(false, "closed without a grant"),
                _ => {}
            }
            record = after;
        }
    }
}
