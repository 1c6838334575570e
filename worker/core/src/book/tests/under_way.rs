//! A payer's purchases under way, against its balance.

use super::*;

/// A hold of this purchase for a target of its own, by a payer that has money for three.
fn of(number: u8) -> Hold {
    Hold {
        balance: 3 * PRICE,
        ..hold_of(number, number, &format!("p{number}"))
    }
}

fn begin(book: &Book, hold: Hold) -> PayerReply {
    match super::hold(book, &hold) {
        PayerReply::Reserved => run(book, PayerCommand::Reserve(hold.reservation), NOW),
        reply => reply,
    }
}

fn release(book: &Book, number: u8, outcome: Outcome, now: UnixMillis) {
    let command = PayerCommand::Release {
        request_id: purchase(number),
        attempt: LAST_ATTEMPT,
        outcome,
        grant: None,
    };
    run(book, command, now);
}

const UNCOVERED: PayerReply = PayerReply::Uncovered { under_way: true };

#[test]
fn what_is_under_way_is_covered_by_the_balance_together_and_not_one_by_one() {
    let book = Book::default();
    let begun = (1..=200).filter(|number| begin(&book, of(*number)) == PayerReply::Reserved);
    assert_eq!(begun.count(), 3);
    assert_eq!(begin(&book, of(9)), UNCOVERED);
    assert_eq!(begin(&book, of(1)), PayerReply::Reserved, "repeated");
    release(&book, 2, Outcome::Other, NOW);
    assert_eq!(begin(&book, of(9)), PayerReply::Reserved);
}

/// Has the prices of two offers for one purchase set aside at the same moment, the dear one first, and begins with the
/// dear one.
fn begin_the_dear_one(book: &Book, number: u8, cheap_plan: &str) -> PayerReply {
    let dear = Hold {
        amount: UsdcAmount::from_units(2 * PRICE),
        ..of(number)
    };
    let cheap = Hold {
        amount: UsdcAmount::from_units(1),
        balance: dear.balance,
        ..hold_of(100 + number, number, cheap_plan)
    };
    let reply = hold(book, &dear);
    hold(book, &cheap);
    let reserve = || run(book, PayerCommand::Reserve(dear.reservation.clone()), NOW);
    match reply {
        PayerReply::Reserved => match reserve() {
            PayerReply::Lapsed if hold(book, &dear) == PayerReply::Reserved => reserve(),
            reply => reply,
        },
        reply => reply,
    }
}

#[test]
fn of_two_offers_for_one_purchase_the_one_that_is_paid_is_covered() {
    for cheap_plan in ["cheap", "p1"] {
        let book = Book::default();
        let first = begin_the_dear_one(&book, 1, cheap_plan);
        assert_eq!(first, PayerReply::Reserved, "{cheap_plan}");
        let second = begin_the_dear_one(&book, 2, cheap_plan);
        assert_eq!(second, UNCOVERED, "{cheap_plan}");
        let joined = PayerReply::Superseded { by: purchase(1) };
        assert_eq!(hold(&book, &hold_of(9, 9, "p1")), joined, "{cheap_plan}");
    }
}

#[test]
fn what_is_only_set_aside_counts_until_it_is_withdrawn_or_lapses() {
    let book = Book::default();
    for number in 1..=3 {
        assert_eq!(hold(&book, &of(number)), PayerReply::Reserved);
    }
    assert_eq!(hold(&book, &of(4)), UNCOVERED);
    let request_id = purchase(1);
    run(&book, PayerCommand::Withdraw { request_id }, NOW);
    assert_eq!(hold(&book, &of(4)), PayerReply::Reserved);
    let at = |number, now| run(&book, PayerCommand::Hold(of(number)), now);
    assert_eq!(at(5, NOW.plus(HOLD_MILLIS - 1)), UNCOVERED);
    assert_eq!(at(5, NOW.plus(HOLD_MILLIS)), PayerReply::Reserved);
    let late = PayerCommand::Reserve(of(2).reservation);
    assert_eq!(run(&book, late, NOW.plus(HOLD_MILLIS)), PayerReply::Lapsed);
}

#[test]
fn a_withdrawal_that_comes_late_takes_nothing_from_an_attempt() {
    let book = Book::default();
    begin(&book, of(1));
    let request_id = purchase(1);
    run(&book, PayerCommand::Withdraw { request_id }, NOW);
    assert_eq!(book.open.borrow().len(), 1);
}

#[test]
fn without_anything_under_way_too_little_is_too_little() {
    let book = Book::default();
    let poor = Hold {
        balance: PRICE - 1,
        ..of(1)
    };
    let nothing = PayerReply::Uncovered { under_way: false };
    assert_eq!(hold(&book, &poor), nothing);
    assert!(book.bookings.borrow().is_empty() && book.open.borrow().is_empty());
}

#[test]
fn a_balance_that_was_read_before_a_payment_arrived_does_not_count_it_twice() {
    let book = Book::default();
    for number in 1..=3 {
        begin(&book, of(number));
    }
    for number in 1..=3 {
        release(&book, number, Outcome::Delivered, NOW.plus(500));
    }
    let read_at = |read_at| {
        let hold = Hold { read_at, ..of(4) };
        run(&book, PayerCommand::Hold(hold), NOW.plus(3_000))
    };
    assert_eq!(read_at(NOW), UNCOVERED);
    let lag = BALANCE_LAG_MILLIS;
    assert_eq!(read_at(NOW.plus(500 + lag)), UNCOVERED);
    assert_eq!(read_at(NOW.plus(501 + lag)), PayerReply::Reserved);
}

#[test]
fn a_transfer_that_has_arrived_takes_nothing_of_the_balance() {
    let book = Book::default();
    claim(&book, &[9], 9);
    let begun = (1..=3).filter(|number| begin(&book, of(*number)) == PayerReply::Reserved);
    assert_eq!(begun.count(), 3);
}

#[test]
fn a_payment_that_has_arrived_takes_nothing_more_and_no_room_while_it_cannot_be_delivered() {
    let book = Book::default();
    let arrived = |number| {
        let request_id = purchase(number);
        run(&book, PayerCommand::Arrived { request_id }, NOW);
    };
    for number in 1..=3 {
        assert_eq!(begin(&book, with_code(number)), PayerReply::Reserved);
        arrived(number);
    }
    let poor = Hold {
        balance: PRICE,
        ..with_code(4)
    };
    assert_eq!(begin(&book, poor), PayerReply::Reserved);
    let by = purchase(1);
    let again = Hold {
        balance: 0,
        ..hold_of(9, 9, "p1")
    };
    let joined = PayerReply::Superseded { by };
    assert_eq!(hold(&book, &again), joined, "it is still unresolved");
    // `Arrived` changes nothing for a purchase without an attempt, and does not open a resolved one again.
    let rich = Hold {
        balance: 2 * PRICE,
        ..of(5)
    };
    hold(&book, &rich);
    arrived(5);
    assert_eq!(
        hold(
            &book,
            &Hold {
                balance: 2 * PRICE,
                ..of(6)
            }
        ),
        UNCOVERED
    );
    release(&book, 1, Outcome::Delivered, NOW);
    arrived(1);
    assert!(!book.open.borrow().contains_key(&purchase(1)));
}

#[test]
fn what_a_purchase_that_did_not_begin_has_used_stays_its_own_for_a_while() {
    let book = Book::default();
    begin(&book, of(9));
    release(&book, 9, Outcome::Delivered, NOW);
    hold(&book, &of(1));
    let request_id = purchase(1);
    run(&book, PayerCommand::Withdraw { request_id }, NOW);
    let thief = |now| run(&book, PayerCommand::Hold(hold_of(1, 7, "z")), now);
    assert_eq!(thief(NOW), PayerReply::Taken);
    assert_eq!(
        hold(&book, &of(1)),
        PayerReply::Reserved,
        "its own may try again"
    );
    run(
        &book,
        PayerCommand::Withdraw {
            request_id: purchase(1),
        },
        NOW,
    );
    assert_eq!(thief(NOW.plus(BOUND_MILLIS)), PayerReply::Reserved);
}

#[test]
fn of_who_has_never_paid_nothing_is_kept() {
    let book = Book::default();
    for number in 1..=2 {
        assert_eq!(hold(&book, &of(number)), PayerReply::Reserved);
    }
    let withdraw = |number| {
        let request_id = purchase(number);
        run(&book, PayerCommand::Withdraw { request_id }, NOW);
    };
    withdraw(1);
    assert_eq!(
        book.bookings.borrow().len(),
        2,
        "another one is being checked"
    );
    withdraw(2);
    assert!(book.open.borrow().is_empty() && book.bookings.borrow().is_empty());
}

#[test]
fn purchases_that_do_not_begin_leave_a_bounded_number_of_rows() {
    let book = Book::default();
    begin(&book, of(255));
    release(&book, 255, Outcome::Other, NOW);
    for number in 0..=254 {
        assert_eq!(hold(&book, &of(number)), PayerReply::Reserved);
        let request_id = purchase(number);
        run(&book, PayerCommand::Withdraw { request_id }, NOW);
    }
    assert!(book.open.borrow().is_empty());
    assert!(book.bookings.borrow().len() > 2);
    let bound = usize::try_from(MAX_BOUND).unwrap();
    assert!(book.bookings.borrow().len() <= bound + 2);
}

fn with_code(number: u8) -> Hold {
    Hold {
        balance: u64::MAX,
        code: PayerCode::Some,
        ..of(number)
    }
}

#[test]
fn an_account_with_code_has_three_under_way_and_one_more_with_each_that_succeeds() {
    let book = Book::default();
    for number in 1..=3 {
        assert_eq!(begin(&book, with_code(number)), PayerReply::Reserved);
    }
    assert_eq!(begin(&book, with_code(4)), PayerReply::Crowded);
    let unknown = Hold {
        code: PayerCode::Unknown,
        ..with_code(4)
    };
    assert_eq!(hold(&book, &unknown), PayerReply::NameCode);
    let without = Hold {
        code: PayerCode::None,
        ..with_code(4)
    };
    assert_eq!(begin(&book, without), PayerReply::Reserved);
    for number in 1..=4 {
        let command = PayerCommand::Release {
            request_id: purchase(number),
            attempt: 1,
            outcome: Outcome::Delivered,
            grant: None,
        };
        run(&book, command, NOW);
    }
    let begun = (10..=30).filter(|number| begin(&book, with_code(*number)) == PayerReply::Reserved);
    assert_eq!(begun.count(), 7);
}

#[test]
fn a_revert_halves_the_room_of_an_account_with_code() {
    let book = Book::default();
    begin(&book, with_code(1));
    let command = PayerCommand::Release {
        request_id: purchase(1),
        attempt: 1,
        outcome: Outcome::Reverted,
        grant: None,
    };
    run(&book, command, NOW);
    let begun = (10..=30).filter(|number| begin(&book, with_code(*number)) == PayerReply::Reserved);
    assert_eq!(begun.count(), 1);
}
