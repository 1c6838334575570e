//! How many calls a payer may make, by those that were not charged for, those that were refunded, and those under way.

use super::*;
use crate::pauses::{RETURNED_CALLS, UNCHARGED_CALLS};

/// A hold of this purchase for a call of its own, by a payer that has enough money.
fn of(number: u8) -> Hold {
    let mut hold = hold_of(number, number, "basic");
    hold.reservation.target = call("weather", &number.to_string());
    hold.balance = u64::MAX / 2;
    hold
}

fn begin_at(book: &Book, number: u8, now: UnixMillis) -> PayerReply {
    match run(book, PayerCommand::Hold(of(number)), now) {
        PayerReply::Reserved => run(book, PayerCommand::Reserve(of(number).reservation), now),
        reply => reply,
    }
}

fn end_at(book: &Book, number: u8, outcome: Outcome, now: UnixMillis) {
    let command = PayerCommand::Release {
        request_id: purchase(number),
        attempt: LAST_ATTEMPT,
        outcome,
        grant: None,
    };
    run(book, command, now);
}

/// Makes calls with these numbers, each of which ends with this outcome.
fn calls(book: &Book, numbers: impl IntoIterator<Item = u8>, outcome: Outcome) {
    for number in numbers {
        assert_eq!(
            begin_at(book, number, NOW),
            PayerReply::Reserved,
            "{number}"
        );
        end_at(book, number, outcome, NOW);
    }
}

const fn wait(millis: u64) -> PayerReply {
    PayerReply::TooManyCalls { millis }
}

#[test]
fn ten_calls_in_ten_minutes_may_end_uncharged_and_each_charged_one_halves_the_count() {
    let book = Book::default();
    calls(&book, 1..=10, Outcome::Uncharged);
    assert_eq!(begin_at(&book, 11, NOW), wait(UNCHARGED_CALLS));
    // Plans can still be bought.
    assert_eq!(hold(&book, &hold_of(99, 99, "basic")), PayerReply::Reserved);
    let end = NOW.plus(UNCHARGED_CALLS);
    assert_eq!(begin_at(&book, 11, UnixMillis(end.0 - 1)), wait(1));
    assert_eq!(begin_at(&book, 11, end), PayerReply::Reserved);
    let book = Book::default();
    calls(&book, 1..=9, Outcome::Uncharged);
    calls(&book, [10], Outcome::Delivered);
    calls(&book, 11..=16, Outcome::Uncharged);
    assert_eq!(begin_at(&book, 17, NOW), wait(UNCHARGED_CALLS));
}

#[test]
fn what_was_not_charged_long_ago_is_forgotten() {
    let book = Book::default();
    calls(&book, 1..=9, Outcome::Uncharged);
    let later = NOW.plus(UNCHARGED_CALLS);
    assert_eq!(begin_at(&book, 10, later), PayerReply::Reserved);
    end_at(&book, 10, Outcome::Uncharged, later);
    assert_eq!(begin_at(&book, 11, later), PayerReply::Reserved);
}

#[test]
fn the_money_of_three_calls_an_hour_may_go_back_before_one_is_charged_for() {
    let book = Book::default();
    calls(&book, 1..=3, Outcome::Returned);
    assert_eq!(begin_at(&book, 4, NOW), wait(RETURNED_CALLS));
    assert_eq!(
        begin_at(&book, 4, NOW.plus(RETURNED_CALLS)),
        PayerReply::Reserved
    );
    let book = Book::default();
    calls(&book, 1..=2, Outcome::Returned);
    calls(&book, [3], Outcome::Delivered);
    calls(&book, 4..=6, Outcome::Returned);
    assert_eq!(begin_at(&book, 7, NOW), wait(RETURNED_CALLS));
}

#[test]
fn so_many_answers_are_held_at_a_time_as_the_payer_has_earned() {
    let begun = |book: &Book| {
        let begins = |number: &u8| begin_at(book, *number, NOW) == PayerReply::Reserved;
        (101..=250).take_while(begins).count()
    };
    assert_eq!(begun(&Book::default()), 16);
    let book = Book::default();
    calls(&book, 1..=5, Outcome::Delivered);
    assert_eq!(begun(&book), 21);
    let book = Book::default();
    calls(&book, [1], Outcome::Withheld);
    assert_eq!(begun(&book), 8);
    let book = Book::default();
    calls(&book, 1..=6, Outcome::Withheld);
    assert_eq!(begun(&book), 1, "never none");
}

#[test]
fn who_is_told_to_wait_leaves_nothing_in_the_book() {
    let book = Book::default();
    calls(&book, 1..=10, Outcome::Uncharged);
    let before = book.bookings.borrow().len();
    begin_at(&book, 11, NOW);
    assert_eq!(book.bookings.borrow().len(), before);
    assert!(book.open.borrow().is_empty());
}

#[test]
fn what_a_payer_has_earned_is_stored_by_its_names() {
    let calls = Calls {
        slots: 17,
        uncharged: 2,
        ..Calls::default()
    };
    let stored = serde_json::to_string(&calls).unwrap();
    assert_eq!(
        stored,
        r#"{"slots":17,"uncharged":2,"unchargedSince":0,"returned":0,"returnedSince":0}"#
    );
    assert_eq!(serde_json::from_str::<Calls>(&stored).unwrap(), calls);
    assert_eq!(
        serde_json::from_str::<Calls>("{}").unwrap(),
        Calls::default()
    );
}

#[test]
fn a_payment_is_forgotten_only_for_the_purchase_that_presented_it_and_leaves_nothing() {
    let book = Book::default();
    let name = B256::repeat_byte(0xaa);
    let mut named = of(1);
    named.reservation.identifier = Some(name);
    run(&book, PayerCommand::Hold(named.clone()), NOW);
    run(&book, PayerCommand::Reserve(named.reservation.clone()), NOW);
    end_at(&book, 1, Outcome::Uncharged, NOW);
    let forget = |number| {
        let command = PayerCommand::Forget {
            request_id: purchase(number),
            nonce: named.reservation.nonce,
            identifier: Some(name),
        };
        assert_eq!(run(&book, command, NOW), PayerReply::Noted);
        (book.bookings.borrow().len(), book.names.borrow().len())
    };
    assert_eq!(forget(2), (1, 1));
    assert_eq!(forget(1), (0, 0));
    assert_eq!(forget(1), (0, 0));
}

#[test]
fn a_call_whose_payer_executed_the_authorization_himself_counts_once_as_refunded() {
    let book = Book::default();
    calls(&book, 1..=3, Outcome::Uncharged);
    let late = |number, by| {
        let command = PayerCommand::ArrivedLate {
            request_id: purchase(by),
            nonce: of(number).reservation.nonce,
        };
        assert_eq!(run(&book, command, NOW), PayerReply::Noted);
    };
    for _ in 0..5 {
        late(1, 1);
        late(2, 2);
        late(3, 1);
    }
    assert_eq!(begin_at(&book, 4, NOW), PayerReply::Reserved);
    late(3, 3);
    assert_eq!(begin_at(&book, 5, NOW), wait(RETURNED_CALLS));
    // A late copy of the booking changes nothing.
    let copy = PayerCommand::Reserve(of(3).reservation);
    assert_eq!(run(&book, copy, NOW), PayerReply::Reserved);
    assert!(!book.open.borrow().contains_key(&purchase(3)));
}
