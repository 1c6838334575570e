//! Calls: every stage with every event of calls, and the stored form.

use super::*;
use crate::catalog::Settle;
use crate::purchase::sold::Sold;
use crate::purchase::test_support::{answer, answered, attempted_call, sold_call};

fn after() -> Sold {
    sold_call(Settle::After, true)
}

fn before() -> Sold {
    sold_call(Settle::Before, false)
}

fn answer_here() -> Event {
    let head = answer(1, 200);
    Event::Answered { head }
}

fn states() -> Vec<(&'static str, Purchase)> {
    let path = |sold: Sold, events: &[Event]| {
        record_after(
            [attempted_call(&sold)]
                .into_iter()
                .chain(events.iter().cloned()),
        )
    };
    let held = [Event::Reserved, Event::Calling, answer_here()];
    let settling: Vec<Event> = held.iter().cloned().chain([Event::Settling]).collect();
    let failed_holding: Vec<Event> = held.iter().cloned().chain([failed()]).collect();
    let paid: Vec<Event> = vec![Event::Reserved, submitted(1), settled()];
    let calling: Vec<Event> = paid.iter().cloned().chain([Event::Calling]).collect();
    vec![
        ("uncalled", path(after(), &[Event::Reserved])),
        ("calling", path(after(), &[Event::Reserved, Event::Calling])),
        ("held", path(after(), &held)),
        ("settling", path(after(), &settling)),
        ("failed holding", path(after(), &failed_holding)),
        ("paid", path(before(), &paid)),
        ("paid calling", path(before(), &calling)),
        (
            "paid failed",
            record_after(
                [attempted_call(&before())]
                    .into_iter()
                    .chain(calling)
                    .chain([ISSUE_FAILED]),
            ),
        ),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    let goods = answered(answer(1, 200), None);
    vec![
        ("attempted", attempted_call(&after())),
        ("calling", Event::Calling),
        ("put off", Event::CallPutOff),
        ("answered", answer_here()),
        ("settling", Event::Settling),
        ("asked", Event::Asked),
        ("submitted", submitted(1)),
        ("failed", failed()),
        ("settled", settled()),
        ("issued", Event::Issued { goods }),
        ("issued a token", issued()),
        ("issue failed", ISSUE_FAILED),
        ("refund begun", refund_begun()),
        ("cancelled", Event::Cancelled),
    ]
}

#[test]
fn each_stage_of_a_call_takes_exactly_the_events_that_the_design_allows() {
    let allowed = [
        ("uncalled", "calling"),
        ("uncalled", "failed"),
        ("calling", "calling"),
        ("calling", "put off"),
        ("calling", "answered"),
        ("calling", "failed"),
        ("held", "settling"),
        ("held", "failed"),
        ("held", "settled"),
        ("settling", "asked"),
        ("settling", "submitted"),
        ("settling", "failed"),
        ("settling", "settled"),
        ("failed holding", "attempted"),
        ("failed holding", "settled"),
        ("failed holding", "cancelled"),
        ("paid", "calling"),
        ("paid", "issue failed"),
        ("paid calling", "calling"),
        ("paid calling", "put off"),
        ("paid calling", "issued"),
        ("paid calling", "issue failed"),
        ("paid failed", "refund begun"),
    ];
    for (state, record) in states() {
        for (name, event) in events() {
            let is_taken = apply(Some(&record), event, NOW, &POLICY).is_ok();
            let is_allowed = allowed.contains(&(state, name));
            assert_eq!(is_taken, is_allowed, "{state}, {name}");
        }
    }
}

#[test]
fn every_record_of_a_call_is_read_back_as_it_was_stored() {
    for (state, record) in states() {
        let stored = serde_json::to_string(&record).unwrap();
        let read: Purchase = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, record, "{state}");
    }
}

#[test]
fn the_stored_form_of_a_call_is_unchanged() {
    let held = record_after([
        attempted_call(&after()),
        Event::Reserved,
        Event::Calling,
        answer_here(),
    ]);
    let stored = serde_json::to_value(&held).unwrap();
    assert_eq!(
        stored["sold"],
        json!({"call": {"settle": "after", "charged": [[200, 399]], "idempotent": true}})
    );
    let attempt = &stored["state"]["PENDING"]["attempt"];
    assert_eq!(attempt["calls"], 1);
    assert_eq!(attempt["contact"], NOW.0);
    assert_eq!(attempt["stage"], "held");
    assert_eq!(
        attempt["held"],
        json!({"number": 1, "status": 200, "headers": [["content-type", "text/plain"]], "length": 5})
    );
    let (_, calling) = states().swap_remove(6);
    let stored = serde_json::to_value(&calling).unwrap();
    assert_eq!(
        stored["state"]["PAID"]["calling"],
        json!({"number": 1, "since": NOW.0})
    );
}

#[test]
fn a_call_has_an_alarm_at_the_end_of_its_buyers_minute_or_of_the_grace_period() {
    for (state, record) in states() {
        let at = wake_at(&reported(&record), NOW, &POLICY).map(|at| at.since(NOW));
        let expected = match state {
            "uncalled" | "calling" => 60_000,
            "paid" | "paid calling" => 30_000,
            "failed holding" => 0,
            _ => 3_000,
        };
        assert_eq!(at, Some(expected), "{state}");
    }
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Does all that the record asks for until a time far away. Returns when it is to be removed.
fn left_at(mut record: Purchase) -> Option<UnixMillis> {
    let mut now = NOW;
    let end = NOW.plus(500 * DAY);
    loop {
        let event = match next_effect(&record, now, &POLICY) {
            Effect::ReleaseTarget => Event::TargetReleased,
            Effect::RemoveHistory => Event::HistoryRemoved,
            Effect::RemoveGrant => Event::GrantRemoved,
            Effect::Lapse => GIVEN_UP,
            Effect::Watch => {
                now = now.max(record.presented?.until.to_millis());
                LAPSED
            }
            Effect::Remove => return Some(now),
            Effect::Rest if record.outbox.report.is_some() => REPORTED,
            Effect::WaitUntil(next) if record.outbox.report.is_none() && next < end => {
                let wakes = wake_at(&record, now, &POLICY);
                assert!(wakes.is_some_and(|at| at <= next), "{wakes:?}");
                now = next;
                continue;
            }
            Effect::WaitUntil(_) if record.outbox.report.is_some() => REPORTED,
            _ => return None,
        };
        record = apply(Some(&record), event, now, &POLICY).unwrap();
    }
}

#[test]
fn a_call_that_was_not_charged_is_removed_when_its_authorization_is_over() {
    let mut record = path_of(after(), &[Event::Reserved, Event::Calling, uncharged()]);
    let presented = record.presented.as_mut().unwrap();
    // It may be executed long after the purchase has ended.
    presented.until = presented.until.plus(20 * 3_600);
    let until = presented.until.to_millis();
    let left = left_at(record).unwrap();
    assert!(left >= until.plus(60_000), "{left:?} {until:?}");
    assert!(left < until.plus(2 * HOUR), "{left:?} {until:?}");
}

#[test]
fn a_call_whose_payment_counts_for_another_purchase_stays_until_its_authorization_is_over() {
    let by = RequestId::from_random([5; 16]);
    let mut record = path_of(before(), &[Event::Superseded { by }]);
    let presented = record.presented.as_mut().unwrap();
    presented.until = presented.until.plus(20 * 3_600);
    let until = presented.until.to_millis();
    assert_eq!(left_at(record), Some(until.plus(60_000)));
}

#[test]
fn a_call_that_was_charged_or_refunded_is_removed_after_35_days() {
    let goods = answered(answer(1, 200), None);
    let delivered = path_of(
        before(),
        &[
            Event::Reserved,
            submitted(1),
            settled(),
            Event::Calling,
            Event::Issued { goods },
        ],
    );
    let mut refunded = delivered.clone();
    refunded.state = State::Refunded {
        payment: payment(),
        transaction: payment().transaction,
    };
    for record in [delivered, refunded] {
        assert_eq!(left_at(record), Some(NOW.plus(35 * DAY)));
    }
}

#[test]
fn what_waits_for_an_operator_or_is_a_plan_is_never_removed() {
    let mut failed = path_of(before(), &[Event::Reserved, submitted(1), settled()]);
    failed.holds_target = false;
    failed.state = State::RefundBlocked {
        payment: payment(),
        retried: false,
    };
    let plan = record_after([paid_events(), vec![issued()]].concat());
    for record in [failed, plan] {
        assert_eq!(left_at(record), None);
    }
}

#[test]
fn once_a_purchase_leaves_nothing_changes_it_and_on_another_network_none_leaves() {
    let mut record = path_of(after(), &[Event::Reserved, Event::Calling, uncharged()]);
    for event in [Event::TargetReleased, GIVEN_UP, LAPSED, REPORTED] {
        record = apply(Some(&record), event, NOW, &POLICY).unwrap();
    }
    let late = NOW.plus(40 * DAY);
    assert_eq!(
        apply(Some(&record), Event::Leaving, NOW, &POLICY),
        Err(Refused)
    );
    let leaving = apply(Some(&record), Event::Leaving, late, &POLICY).unwrap();
    // A report would bring back the entry that the ledger has removed and counted.
    let report = apply(Some(&leaving), Event::ReportAsked, late, &POLICY);
    assert_eq!(report, Err(Refused));
    assert_eq!(next_effect(&leaving, late, &POLICY), Effect::Remove);
    for (name, event) in events() {
        if event != Event::Tried {
            let refused = apply(Some(&leaving), event, late, &POLICY);
            assert_eq!(refused, Err(Refused), "{name}");
        }
    }
    let mut elsewhere = record;
    elsewhere.terms.network = crate::types::Network::Base;
    let effect = next_effect(&elsewhere, late, &POLICY);
    assert!(
        matches!(effect, Effect::WaitUntil(_) | Effect::RemoveHistory),
        "{effect:?}"
    );
}

fn path_of(sold: Sold, events: &[Event]) -> Purchase {
    let begun = [attempted_call(&sold)];
    record_after(begun.into_iter().chain(events.iter().cloned()))
}

fn uncharged() -> Event {
    Event::AttemptFailed {
        reason: Refusal::CallUncharged,
        transaction: None,
    }
}
