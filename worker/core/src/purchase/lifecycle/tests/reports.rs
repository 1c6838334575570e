//! The ledger is told of every state, and no purchase waits for it.

use super::*;

/// Reports once, as the alarm does, to a ledger that answers or does not.
fn wake(record: &Purchase, now: UnixMillis, answers: bool) -> Purchase {
    let tried = apply(Some(record), REPORT_TRIED, now, &POLICY).unwrap();
    if answers { reported(&tried) } else { tried }
}

#[test]
fn whatever_changes_for_the_ledger_is_reported_at_once_when_the_purchase_rests_or_waits() {
    for (state, record) in states() {
        let record = reported(&record);
        for (event, change) in events() {
            let Ok(next) = apply(Some(&record), change, NOW, &POLICY) else {
                continue;
            };
            let is_news = ledger_entry(&next, 0) != ledger_entry(&record, 0);
            assert_eq!(next.outbox.report.is_some(), is_news, "{state} {event}");
            let effect = next_effect(&next, NOW, &POLICY);
            if next.outbox.report.is_some() && matches!(effect, Effect::Rest | Effect::WaitUntil(_))
            {
                assert_eq!(wake_at(&next, NOW, &POLICY), Some(NOW), "{state} {event}");
            }
        }
    }
}

#[test]
fn a_report_moves_nothing_else() {
    for (state, mut record) in states() {
        record.tries = 3;
        let after = wake(&record, NOW.plus(1), true);
        let expected = Purchase {
            outbox: Outbox {
                report: None,
                ..record.outbox.clone()
            },
            ..record.clone()
        };
        assert_eq!(after, expected, "{state}");
        // Only the removal of history and goods, once a purchase is over, waits for the ledger.
        if record.rest == Rest::NotYet {
            let effect = |record| next_effect(record, NOW, &POLICY);
            assert_eq!(effect(&after), effect(&record), "{state}");
        }
    }
}

#[test]
fn a_ledger_that_gives_no_answer_is_told_again_in_growing_distances_of_up_to_a_day() {
    const DAY: u64 = 24 * 3_600_000;
    let mut record = record_after([attempted(1), superseded()]);
    let mut now = NOW;
    let mut pauses = Vec::new();
    for _ in 0..19 {
        record = wake(&record, now, false);
        let next = wake_at(&record, now, &POLICY).unwrap();
        pauses.push(next.since(now));
        now = next;
    }
    assert_eq!(&pauses[..4], &[6_000, 12_000, 24_000, 48_000]);
    assert_eq!(pauses[14..], [DAY; 5]);
    let record = wake(&record, now, true);
    assert_eq!(
        wake_at(&record, now, &POLICY),
        Some(NOW.plus(HISTORY_MILLIS))
    );
}

#[test]
fn news_is_told_at_once_also_while_the_ledger_gives_no_answer() {
    let mut record = record_after([attempted(1), Event::Reserved]);
    for _ in 0..20 {
        record = wake(&record, NOW, false);
    }
    let settled = apply(Some(&record), settled(), NOW, &POLICY);
    assert_eq!(settled.unwrap().outbox.report, Some(Tries::due(NOW)));
}

#[test]
fn a_ledger_that_gives_no_answer_delays_no_look_at_what_was_given_up() {
    let mut record = record_after([
        attempted(1),
        Event::Reserved,
        GIVEN_UP,
        Event::TargetReleased,
    ]);
    let look = wake_at(&reported(&record), NOW, &POLICY).unwrap();
    for seconds in 0..30 {
        record = wake(&record, NOW.plus(seconds * 1_000), false);
    }
    assert!(wake_at(&record, NOW.plus(30_000), &POLICY).unwrap() <= look);
    let tried = apply(Some(&record), Event::Tried, look, &POLICY).unwrap();
    assert_eq!(next_effect(&tried, look, &POLICY), Effect::Watch);
}
