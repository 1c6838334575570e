//! The lines of a purchase's history, and that their number is bounded.

use super::*;

#[test]
fn reports_and_retries_are_no_history() {
    for (state, record) in states() {
        for event in [Event::Tried, REPORTED, REPORT_TRIED, Event::ReportAsked] {
            assert_eq!(event.audit(&record, NOW), None, "{state}");
        }
    }
}

#[test]
fn every_other_change_is_one_line() {
    for (state, record) in states() {
        for (name, event) in events() {
            if let Ok(next) = apply(Some(&record), event.clone(), NOW, &POLICY) {
                let line = event.audit(&next, NOW);
                let status = line.map(|line| line.status);
                assert_eq!(status, Some(next.state.status()), "{state} {name}");
            }
        }
    }
}

#[test]
fn a_delivery_that_fails_for_ever_does_not_fill_the_history() {
    let mut record = record_after(paid_events());
    let mut lines = 0;
    for tries in 1..=10_000 {
        record = apply(Some(&record), ISSUE_FAILED, NOW, &POLICY).unwrap();
        let line = ISSUE_FAILED.audit(&record, NOW);
        assert!(line.is_some() || tries > 2, "the beginning is told in full");
        lines += usize::from(line.is_some());
    }
    assert_eq!(lines, 14);
}
