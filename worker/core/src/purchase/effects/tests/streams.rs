//! Answers that are passed on while they arrive.

use super::calls::{after, calling, later, refunding};
use super::*;
use crate::catalog::Settle;
use crate::pauses::{BUYER_SLOW, STREAM, STREAM_OVERDUE};
use crate::purchase::origin::Streams;
use crate::purchase::sold::{Sold, SoldCall};
use crate::purchase::stream::StreamEnd;
use crate::purchase::test_support::{answer, answered, issued, payment, receipt, sold_call};

const ENDS: [StreamEnd; 6] = [
    StreamEnd::Whole,
    StreamEnd::Left,
    StreamEnd::Cut,
    StreamEnd::TimeUp,
    StreamEnd::Silent,
    StreamEnd::Lost,
];

fn post() -> Sold {
    sold_call(Settle::Before, false)
}

fn put() -> Sold {
    sold_call(Settle::Before, true)
}

fn paid(sold: &Sold) -> Purchase {
    after(sold, [sent(OURS), settled()])
}

/// A purchase whose answer is being passed on.
fn streaming(sold: &Sold) -> Purchase {
    let events = [sent(OURS), settled(), Event::Calling];
    let streaming = Event::Streaming { number: 1 };
    after(sold, events.into_iter().chain([streaming]))
}

/// A paid purchase of a call with a long answer.
fn long(sold: &Sold, status: u16) -> Outside {
    Outside {
        is_long: true,
        ..refunding(calling(Some(paid(sold)), [Ok(answer(1, status))]))
    }
}

fn ask(driver: &Driver, outside: &Outside, sold: &Sold) -> PayReply {
    let ask = Ask::Pay(Box::new(pay_call(sold)));
    let reply = driver.ask(outside, &ask, Patience::REQUEST).now_or_never();
    reply.unwrap().unwrap()
}

fn wake(driver: &Driver, outside: &Outside) {
    driver.wake(outside).now_or_never().unwrap().unwrap();
}

fn is_streaming(outside: &Outside) -> bool {
    outside.store.record().streaming().is_some()
}

fn gone() -> PayReply {
    PayReply::AnswerGone {
        transaction: payment().transaction,
    }
}

#[test]
fn that_bytes_are_passed_on_is_stored_first_and_only_who_made_the_call_gets_them() {
    let (driver, outside) = (Driver::default(), long(&post(), 200));
    let reply = ask(&driver, &outside, &post());
    let goods = answered(answer(1, 200), None);
    let receipt = receipt(buyer().address());
    assert_eq!(reply, PayReply::Streaming { goods, receipt });
    assert!(is_streaming(&outside));
    // Meanwhile the same payment gets no other answer, and no further call.
    let transaction = Some(payment().transaction);
    let in_progress = PayReply::Calling { transaction };
    assert_eq!(ask(&driver, &outside, &post()), in_progress);
    assert_eq!(outside.made.borrow().len(), 1);
    assert_eq!(outside.store.body.get(), None);
}

#[test]
fn what_reached_its_end_or_lost_its_buyer_is_delivered_and_never_called_again() {
    for end in [StreamEnd::Whole, StreamEnd::Left] {
        let (driver, outside) = (Driver::default(), long(&put(), 200));
        ask(&driver, &outside, &put());
        assert_eq!(driver.stream_ended(&outside, 1, end, 0), Ok(true));
        let payment = payment();
        assert_eq!(outside.store.record().state, State::Closed { payment });
        assert_eq!(ask(&driver, &outside, &put()), gone());
        wake(&driver, &outside);
        assert_eq!(ask(&Driver::default(), &outside, &put()), gone());
        assert_eq!(outside.made.borrow().len(), 1);
    }
}

#[test]
fn what_was_cut_goes_back_and_is_not_called_again_even_where_that_is_allowed() {
    for end in [
        StreamEnd::Cut,
        StreamEnd::TimeUp,
        StreamEnd::Silent,
        StreamEnd::Lost,
    ] {
        let (driver, outside) = (Driver::default(), long(&put(), 200));
        ask(&driver, &outside, &put());
        assert_eq!(driver.stream_ended(&outside, 1, end, 0), Ok(false));
        let record = outside.store.record();
        let next = next_effect(&record, outside.now(), &POLICY);
        assert_eq!(next, Effect::BeginRefund, "{end:?}");
        let reply = ask(&driver, &outside, &put());
        assert!(!matches!(reply, PayReply::Streaming { .. }), "{reply:?}");
        assert_eq!(outside.made.borrow().len(), 1);
    }
}

#[test]
fn a_buyer_who_reads_so_slowly_that_the_answer_is_cut_has_left() {
    for end in [StreamEnd::Cut, StreamEnd::TimeUp, StreamEnd::Silent] {
        let (driver, outside) = (Driver::default(), long(&post(), 200));
        ask(&driver, &outside, &post());
        assert_eq!(driver.stream_ended(&outside, 1, end, BUYER_SLOW), Ok(true));
        assert_eq!(ask(&driver, &outside, &post()), gone());
    }
}

#[test]
fn an_end_is_taken_once_and_only_of_the_call_that_is_passed_on() {
    let (driver, outside) = (Driver::default(), long(&post(), 200));
    ask(&driver, &outside, &post());
    for number in [0, 2] {
        let ended = driver.stream_ended(&outside, number, StreamEnd::Whole, 0);
        assert_eq!(ended, Ok(false));
        assert!(is_streaming(&outside));
    }
    assert_eq!(
        driver.stream_ended(&outside, 1, StreamEnd::Cut, 0),
        Ok(false)
    );
    let record = outside.store.record();
    let ended = driver.stream_ended(&outside, 1, StreamEnd::Whole, 0);
    assert_eq!((ended, outside.store.record()), (Ok(false), record));
}

#[test]
fn an_answer_that_takes_its_time_tells_no_book_of_another_network() {
    let (driver, mut outside) = (Driver::default(), long(&post(), 200));
    ask(&driver, &outside, &post());
    outside.asked.take();
    outside.config.network = Network::Base;
    wake(&driver, &outside);
    assert_eq!(outside.asked.take(), []);
}

#[test]
fn while_bytes_are_passed_on_no_refund_begins_and_the_alarm_only_looks() {
    let (driver, outside) = (Driver::default(), long(&post(), 200));
    ask(&driver, &outside, &post());
    // The alarm also reports the purchase, which is due at once.
    wake(&driver, &outside);
    let request_id = outside.store.record().terms.request_id;
    // While an answer takes its time, its price is not counted as if it were still to be paid.
    let arrived = PayerCommand::Arrived { request_id };
    assert!(outside.asked.borrow().contains(&arrived));
    let record = outside.store.record();
    assert_eq!(outside.store.alarm.get(), Some(outside.now().plus(STREAM)));
    for _ in 0..30 {
        later(&outside, STREAM);
        wake(&driver, &outside);
        assert_eq!(outside.store.record().state, record.state);
        assert_eq!(outside.store.alarm.get(), Some(outside.now().plus(STREAM)));
    }
    let goods = answered(answer(1, 200), None);
    for event in [
        refund_begun(),
        Event::RefundBlocked,
        Event::Cancelled,
        Event::CallPutOff,
        Event::Streaming { number: 1 },
        Event::Issued { goods },
        issued(),
        Event::IssueFailed {
            fault: DeliveryFault::Unfinished,
        },
    ] {
        let after = apply(Some(&record), event.clone(), NOW, &POLICY);
        assert_eq!(after, Err(Refused), "{event:?}");
    }
}

#[test]
fn what_does_not_end_in_time_counts_as_lost() {
    let (driver, outside) = (Driver::default(), long(&post(), 200));
    ask(&driver, &outside, &post());
    later(&outside, 900_000 + STREAM_OVERDUE - 1);
    wake(&driver, &outside);
    assert!(is_streaming(&outside));
    later(&outside, 1);
    wake(&driver, &outside);
    assert!(!is_streaming(&outside));
    // Its end is not taken any more, so the buyer does not see it.
    assert_eq!(
        driver.stream_ended(&outside, 1, StreamEnd::Whole, 0),
        Ok(false)
    );
}

#[test]
fn when_the_process_dies_the_alarm_has_the_money_go_back() {
    for sold in [post(), put()] {
        let mut outside = refunding(calling(Some(streaming(&sold)), []));
        outside.brought = None;
        later(&outside, STREAM);
        outside.wake();
        let state = outside.store.record().state;
        assert!(state.refund_fault().is_some(), "{state:?}");
        assert!(outside.made.borrow().is_empty());
    }
}

#[test]
fn when_the_process_dies_who_returns_gets_one_more_call_only_where_that_is_allowed() {
    let lost = |sold: &Sold| Outside {
        is_long: true,
        ..refunding(calling(Some(streaming(sold)), [Ok(answer(2, 200))]))
    };
    let (driver, outside) = (Driver::default(), lost(&put()));
    let reply = ask(&driver, &outside, &put());
    assert!(matches!(reply, PayReply::Streaming { .. }), "{reply:?}");
    assert_eq!(
        outside
            .store
            .record()
            .streaming()
            .map(|calling| calling.number),
        Some(2)
    );
    // The end of the first call is not that of the second.
    assert_eq!(
        driver.stream_ended(&outside, 1, StreamEnd::Whole, 0),
        Ok(false)
    );
    let outside = lost(&post());
    ask(&Driver::default(), &outside, &post());
    assert!(outside.made.borrow().is_empty());
    let state = outside.store.record().state;
    assert!(state.refund_fault().is_some(), "{state:?}");
}

#[test]
fn only_answers_that_are_charged_for_and_paid_are_passed_on_in_parts() {
    let at_once = |sold: Sold, stream| match sold {
        Sold::Call(call) => Sold::Call(SoldCall { stream, ..call }),
        sold => sold,
    };
    for (stream, kept) in [(false, Some(65_536)), (true, None)] {
        let sold = at_once(post(), stream);
        let outside = long(&sold, 200);
        ask(&Driver::default(), &outside, &sold);
        let made = outside.made.borrow();
        let charged = crate::catalog::Charged::default();
        assert_eq!(made[0].0.streams, Some(Streams { charged, kept }));
    }
    let outside = calling(None, [Ok(answer(1, 200))]);
    let get = sold_call(Settle::After, true);
    ask(&Driver::default(), &outside, &get);
    assert_eq!(outside.made.borrow()[0].0.streams, None);
    // Whatever the platform does, nothing else is.
    let outside = long(&post(), 500);
    let reply = ask(&Driver::default(), &outside, &post());
    let (fault, refund) = (OriginFault::TooLarge, Some(payment().transaction));
    assert_eq!(reply, PayReply::Origin { fault, refund });
    let get = after(&sold_call(Settle::After, true), [Event::Calling]);
    let event = Event::Streaming { number: 1 };
    assert_eq!(apply(Some(&get), event, NOW, &POLICY), Err(Refused));
}

#[test]
fn a_short_answer_is_kept_as_ever() {
    let outside = Outside {
        is_long: false,
        ..long(&post(), 200)
    };
    let reply = ask(&Driver::default(), &outside, &post());
    assert!(matches!(reply, PayReply::Granted { .. }), "{reply:?}");
    assert_eq!(outside.store.body.get(), Some(1));
}

#[test]
fn each_end_has_a_line_of_its_own_in_the_history() {
    let record = streaming(&post());
    let lines = ENDS.map(|end| {
        let event = Event::StreamEnded { number: 1, end };
        let after = apply(Some(&record), event.clone(), NOW, &POLICY).unwrap();
        event.audit(&after, NOW).map(|row| row.event)
    });
    let names = [
        "streamed",
        "buyer_left",
        "stream_cut",
        "stream_too_long",
        "stream_silent",
        "stream_lost",
    ];
    assert_eq!(lines, names.map(Some));
}

#[test]
fn the_backend_is_notified_of_what_was_passed_on_where_the_route_wants_it() {
    for notify in [false, true] {
        let Sold::Call(call) = post() else { panic!() };
        let record = streaming(&Sold::Call(SoldCall { notify, ..call }));
        let policy = crate::config::Policy {
            notifies: true,
            ..POLICY
        };
        let end = StreamEnd::Whole;
        let event = Event::StreamEnded { number: 1, end };
        let after = apply(Some(&record), event, NOW, &policy).unwrap();
        assert_eq!(after.outbox.open.len(), usize::from(notify));
    }
}
