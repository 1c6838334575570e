//! What does not begin while the backend fails, when the backend is asked again, and what wakes a purchase whose alarm
//! was lost.

use super::*;
use crate::backend::issuance::IssuingBackend;
use crate::purchase::outbox::Tries;
use crate::purchase::rearm::nudge;
use crate::purchase::reply::NotNow;

use crate::purchase::test_support::REPORTED;

const SECOND: u64 = 1;

/// A shop where the authorization is unused and the backend, which issues the credentials, fails.
fn new() -> Outside {
    let mut outside = Outside::new(record_after([attempted(1)]));
    outside.config.backend.issuing = Some(IssuingBackend {
        url: "https://backend.example".parse().unwrap(),
        timeout_millis: 1_000,
        retries: 0,
    });
    outside.is_used = false;
    outside.is_accepted = true;
    outside.forget();
    outside
}

/// Runs one delivery of a paid purchase. What it has told the isolate's breaker stays.
fn paid(outside: &Outside) {
    let record = record_after([attempted(1), Event::Reserved, settled()]);
    outside.store.put(record);
    assert!(matches!(
        outside.run(),
        Some(Event::IssueFailed { .. } | Event::Issued { .. })
    ));
    outside.forget();
}

/// The reply to a buyer that presents a payment where no purchase has begun.
fn begin(outside: &Outside) -> PayReply {
    outside.forget();
    outside.asked.borrow_mut().clear();
    outside.ask()
}

fn is_begun(outside: &Outside) -> bool {
    outside.store.stored.borrow().is_some()
}

#[test]
fn nothing_is_begun_while_deliveries_keep_failing_but_for_one_now_and_then() {
    let mut outside = new();
    for _ in 0..3 {
        begin(&outside);
        assert!(is_begun(&outside));
        paid(&outside);
    }
    outside.asked.take();
    let simulations = outside.simulations.get();
    for _ in 0..20 {
        assert_eq!(
            begin(&outside),
            PayReply::NotNow(NotNow::DeliveriesFail { seconds: 30 })
        );
        assert!(!is_begun(&outside));
        let asked = outside.asked.take();
        let books_nothing = |command: &PayerCommand| matches!(command, PayerCommand::Hold(hold) if hold.balance == 0);
        assert!(asked.iter().all(books_nothing), "{asked:?}");
        assert_eq!(outside.simulations.get(), simulations);
    }
    outside.time = outside.now().to_seconds().0 + 30 * SECOND;
    begin(&outside);
    assert!(is_begun(&outside), "one tries it out");
    assert_eq!(
        begin(&outside),
        PayReply::NotNow(NotNow::DeliveriesFail { seconds: 60 })
    );
}

#[test]
fn who_was_let_through_by_an_identical_request_hears_what_became_of_it() {
    let mut outside = new();
    (0..3).for_each(|_| paid(&outside));
    outside.time = outside.now().to_seconds().0 + 30 * SECOND;
    outside.has_a_twin.set(true);
    let reply = begin(&outside);
    assert!(!matches!(reply, PayReply::NotNow(_)), "{reply:?}");
    let asked = outside.asked.borrow();
    let withdraws = |command: &PayerCommand| matches!(command, PayerCommand::Withdraw { .. });
    assert!(!asked.iter().any(withdraws));
}

#[test]
fn one_delivery_that_succeeds_opens_the_shop_again() {
    let outside = new();
    (0..3).for_each(|_| paid(&outside));
    assert!(matches!(
        begin(&outside),
        PayReply::NotNow(NotNow::DeliveriesFail { .. })
    ));
    outside.backend_works.set(true);
    paid(&outside);
    begin(&outside);
    assert!(is_begun(&outside));
}

#[test]
fn one_purchase_that_can_never_be_delivered_keeps_no_other_from_beginning() {
    let mut outside = new();
    let mut record = record_after([attempted(1), Event::Reserved, settled()]);
    for round in 0..5 {
        outside.store.put(record.clone());
        let fault = DeliveryFault::Failed;
        assert_eq!(outside.run(), Some(Event::IssueFailed { fault }));
        let now = outside.now();
        let failed = apply(Some(&record), Event::IssueFailed { fault }, now, &POLICY);
        record = failed.unwrap();
        // Enough time passes for the next try.
        outside.time = now.to_seconds().0 + (2 << round);
        if let State::Paid { since, .. } = &mut record.state {
            *since = outside.now();
        }
    }
    assert_eq!(outside.shared.deliveries.is_open(), None);
    begin(&outside);
    assert!(is_begun(&outside));
}

#[test]
fn the_payers_book_hears_that_the_money_has_arrived_when_a_delivery_fails_again() {
    let mut outside = new();
    outside.time = NOW.to_seconds().0 + 5 * SECOND;
    let fault = DeliveryFault::Failed;
    let events = [attempted(1), Event::Reserved, settled()];
    for (failures, is_told) in [(0, false), (1, true), (2, true)] {
        let failed = core::iter::repeat_n(Event::IssueFailed { fault }, failures);
        let record = record_after(events.clone().into_iter().chain(failed));
        let request_id = record.terms.request_id.clone();
        outside.store.put(record);
        outside.asked.take();
        assert_eq!(outside.run(), Some(Event::IssueFailed { fault }));
        let arrived = [PayerCommand::Arrived { request_id }];
        assert_eq!(*outside.asked.borrow() == arrived, is_told, "{failures}");
    }
}

#[test]
fn the_backend_is_asked_again_but_not_for_what_an_operator_has_ended_meanwhile() {
    let fault = DeliveryFault::Failed;
    for (is_called_off, calls) in [(false, 2), (true, 1)] {
        let mut outside = new();
        outside.config.backend.issuing.as_mut().unwrap().retries = 1;
        let record = record_after([attempted(1), Event::Reserved, settled(), UNDELIVERED]);
        outside.store.put(record);
        outside.time += 5 * SECOND;
        outside.is_called_off = is_called_off;
        assert_eq!(outside.run(), Some(Event::IssueFailed { fault }));
        assert_eq!(outside.calls.borrow().len(), calls, "{is_called_off}");
    }
}

#[test]
fn where_the_gateway_issues_nothing_ever_keeps_purchases_from_beginning() {
    let mut outside = new();
    outside.config.backend.issuing = None;
    (0..10).for_each(|_| paid(&outside));
    begin(&outside);
    assert!(is_begun(&outside));
}

/// Purchases that answer at once, although something can still happen to them.
fn answering() -> [Purchase; 3] {
    let failed = [
        attempted(1),
        Event::Reserved,
        sent(OURS),
        settled(),
        UNDELIVERED,
    ];
    let refunding = failed.clone().into_iter().chain([refund_begun()]);
    [record_after(failed), record_after(refunding), expired()]
}

#[test]
fn a_buyers_question_wakes_a_purchase_whose_alarm_was_lost() {
    for record in answering() {
        let state = record.state.status().as_str();
        let outside = Outside::new(record);
        for (alarm, is_lost) in [
            (None, true),
            (Some(UnixMillis(NOW.0 - 3_600_000)), true),
            (Some(UnixMillis(NOW.0 - 1_000)), false),
            (Some(NOW.plus(50_000)), false),
        ] {
            outside.store.alarm.set(alarm);
            outside.ask();
            let is_set = outside.store.alarm.get() != alarm;
            assert_eq!(is_set, is_lost, "{state} {alarm:?}");
        }
    }
}

#[test]
fn an_alarm_that_gets_no_further_has_stored_the_next_one() {
    let told = apply(Some(&submitted()), REPORTED, NOW, &POLICY).unwrap();
    let mut outside = Outside::new(told.clone());
    outside.is_used = false;
    outside.receipts_left.set(0);
    outside.wake();
    let after = outside.store.record();
    assert_eq!(after.state, told.state);
    assert_eq!(after.tries, 1, "each change of the record sets the alarm");
}

#[test]
fn the_ledger_calls_nothing_over_of_which_the_payers_book_has_not_been_told() {
    let outside = Outside::new(record_after([
        attempted(1),
        Event::Reserved,
        settled(),
        issued(),
    ]));
    let wake = || {
        outside.wake();
        let record = outside.store.record();
        (record.holds_target, record.outbox.report.is_some())
    };
    outside.book_is_gone.set(true);
    assert_eq!(wake(), (true, true));
    outside.book_is_gone.set(false);
    assert_eq!(wake(), (false, false));
}

#[test]
fn a_stranger_wakes_nothing() {
    let [record, ..] = answering();
    let outside = Outside::new(record);
    outside.store.alarm.set(None);
    let mut theirs = pay(2);
    theirs.authorization = crate::purchase::test_support::signed_by(
        &crate::types::WalletKey::from_hex(&format!("{:064x}", 0xbad)).unwrap(),
        2,
    );
    let ask = Ask::Pay(Box::new(theirs));
    assert_eq!(outside.answer(ask), PayReply::Conflict);
    assert_eq!(outside.store.alarm.get(), None);
}

#[test]
fn a_nudge_wakes_what_has_lost_its_alarm_and_has_the_ledger_told_soon() {
    let nudged = |outside: &Outside| nudge(&outside.store, NOW, &POLICY).now_or_never().unwrap();
    for record in answering() {
        let mut record = apply(Some(&record), REPORTED, NOW, &POLICY).unwrap();
        let outside = Outside::new(record.clone());
        assert_eq!(nudged(&outside), Ok(false), "it is on its way");
        outside.store.alarm.set(None);
        assert_eq!(nudged(&outside), Ok(true));
        assert!(outside.store.alarm.get().is_some());

        record.outbox.report = Some(Tries {
            count: 20,
            not_before: NOW.plus(50_000),
        });
        let outside = Outside::new(record);
        assert_eq!(nudged(&outside), Ok(true));
        let after = outside.store.record();
        assert_eq!(after.outbox.report, Some(Tries::due(NOW)));
    }
    let none = new();
    assert_eq!(nudged(&none), Ok(false), "there is no such purchase");
}
