//! Which purchase a payment counts for, depending on whether the client chose the request id itself.

use super::*;

fn chosen(nonce: u8, request: u8, plan: &str) -> Hold {
    Hold {
        chosen: true,
        ..hold_of(nonce, request, plan)
    }
}

/// Books a payment whose client chose the request id itself.
fn reserve_chosen(book: &Book, nonce: u8, request: u8, plan: &str) -> PayerReply {
    let hold = chosen(nonce, request, plan);
    match super::hold(book, &hold) {
        PayerReply::Reserved => run(book, PayerCommand::Reserve(hold.reservation), NOW),
        reply => reply,
    }
}

fn deliver(book: &Book, request: u8, now: UnixMillis) {
    let command = PayerCommand::Release {
        request_id: purchase(request),
        attempt: LAST_ATTEMPT,
        outcome: Outcome::Delivered,
        grant: None,
    };
    assert_eq!(run(book, command, now), PayerReply::Noted);
}

fn superseded(by: u8) -> PayerReply {
    PayerReply::Superseded { by: purchase(by) }
}

#[test]
fn a_named_purchase_joins_none_and_one_that_is_not_named_joins_any_that_is_unresolved() {
    let book = Book::default();
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    assert_eq!(reserve_chosen(&book, 2, 2, "a"), PayerReply::Reserved);
    assert_eq!(reserve_chosen(&book, 3, 3, "a"), PayerReply::Reserved);
    assert_eq!(reserve(&book, 4, 4, "a"), superseded(1));
    deliver(&book, 1, NOW);
    assert_eq!(
        reserve(&book, 5, 5, "a"),
        superseded(2),
        "also one that is named"
    );
    assert_eq!(book.open.borrow().len(), 2, "all of them are open");
}

#[test]
fn for_two_minutes_after_a_delivery_a_new_payment_is_taken_for_a_repeat_unless_it_is_named() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    deliver(&book, 1, NOW);
    let told = |hold: Hold, now| run(&book, PayerCommand::Hold(hold), now);
    let last = NOW.plus(RECENT_MILLIS - 1);
    assert_eq!(told(hold_of(2, 2, "a"), last), superseded(1));
    assert_eq!(
        told(hold_of(3, 3, "b"), last),
        PayerReply::Reserved,
        "another target"
    );
    assert_eq!(told(chosen(4, 4, "a"), last), PayerReply::Reserved);
    run(
        &book,
        PayerCommand::Withdraw {
            request_id: purchase(4),
        },
        last,
    );
    let over = NOW.plus(RECENT_MILLIS);
    assert_eq!(told(hold_of(5, 5, "a"), over), PayerReply::Reserved);
    assert_eq!(told(hold_of(2, 2, "a"), over), superseded(1), "for ever");
}

#[test]
fn a_call_waits_for_the_same_one_while_that_is_unresolved_and_is_made_anew_after_it() {
    let book = Book::default();
    let ask = |nonce, request, path| {
        let mut hold = hold_of(nonce, request, "a");
        hold.reservation.target = call("a", path);
        match super::hold(&book, &hold) {
            PayerReply::Reserved => run(&book, PayerCommand::Reserve(hold.reservation), NOW),
            reply => reply,
        }
    };
    assert_eq!(ask(1, 1, "/oslo"), PayerReply::Reserved);
    assert_eq!(ask(2, 2, "/rome"), PayerReply::Reserved, "another call");
    assert_eq!(ask(3, 3, "/oslo"), superseded(1));
    deliver(&book, 1, NOW);
    assert_eq!(ask(4, 4, "/oslo"), PayerReply::Reserved);
}

#[test]
fn what_was_paid_and_not_delivered_takes_no_later_payment() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    let refunded = PayerCommand::Release {
        request_id: purchase(1),
        attempt: LAST_ATTEMPT,
        outcome: Outcome::Paid,
        grant: None,
    };
    run(&book, refunded, NOW);
    assert_eq!(reserve(&book, 2, 2, "a"), PayerReply::Reserved);
}

#[test]
fn a_payment_of_a_target_that_is_being_checked_waits_and_is_booked_to_none() {
    let book = Book::default();
    assert_eq!(hold(&book, &hold_of(1, 1, "a")), PayerReply::Reserved);
    assert_eq!(hold(&book, &hold_of(2, 2, "a")), PayerReply::Wait);
    assert_eq!(
        hold(&book, &hold_of(1, 3, "a")),
        PayerReply::Wait,
        "the payment itself"
    );
    assert_eq!(book.bookings.borrow().len(), 1);
    let request_id = purchase(1);
    run(&book, PayerCommand::Withdraw { request_id }, NOW);
    assert_eq!(hold(&book, &hold_of(2, 2, "a")), PayerReply::Reserved);
}
