use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use std::collections::BTreeMap;

use super::*;

#[derive(Default)]
struct Book {
    bookings: RefCell<BTreeMap<B256, Booking>>,
    open: RefCell<BTreeMap<TargetKey, (RequestId, u32)>>,
    names: RefCell<BTreeMap<B256, B256>>,
    reverts: Cell<Reverts>,
}

const NOW: UnixMillis = UnixMillis(1_800_000_010_000);

impl PayerStore for Book {
    type Error = Infallible;

    fn booking(&self, nonce: B256) -> Result<Option<Booking>, Infallible> {
        Ok(self.bookings.borrow().get(&nonce).cloned())
    }
    fn book(&self, nonce: B256, booking: &Booking) -> Result<(), Infallible> {
        self.bookings.borrow_mut().insert(nonce, booking.clone());
        Ok(())
    }
    fn identified(&self, identifier: B256) -> Result<Option<B256>, Infallible> {
        Ok(self.names.borrow().get(&identifier).copied())
    }
    fn identify(&self, identifier: B256, nonce: B256) -> Result<(), Infallible> {
        self.names.borrow_mut().insert(identifier, nonce);
        Ok(())
    }
    fn unresolved(&self, target: &TargetKey) -> Result<Option<RequestId>, Infallible> {
        let open = self.open.borrow();
        Ok(open.get(target).map(|(request_id, _)| request_id.clone()))
    }
    fn open(
        &self,
        target: &TargetKey,
        request_id: &RequestId,
        attempt: u32,
    ) -> Result<(), Infallible> {
        let holder = (request_id.clone(), attempt);
        self.open.borrow_mut().insert(target.clone(), holder);
        Ok(())
    }
    fn close(
        &self,
        target: &TargetKey,
        request_id: &RequestId,
        attempt: u32,
    ) -> Result<bool, Infallible> {
        let mut open = self.open.borrow_mut();
        let holds = open
            .get(target)
            .is_some_and(|(holder, held)| holder == request_id && *held <= attempt);
        if holds {
            open.remove(target);
        }
        Ok(holds)
    }
    fn reverts(&self) -> Result<Reverts, Infallible> {
        Ok(self.reverts.get())
    }
    fn set_reverts(&self, reverts: Reverts) -> Result<(), Infallible> {
        self.reverts.set(reverts);
        Ok(())
    }
}

fn purchase(n: u8) -> RequestId {
    RequestId::from_random([n; 16])
}

fn target(plan: &str) -> TargetKey {
    TargetKey::new(&Target::Plan(plan.parse().unwrap()), &ResourceId::default())
}

#[test]
fn a_key_without_a_resource_stands_for_all_resources_of_its_plan_and_for_no_other_plans() {
    let of = |plan: &str, resource: &str| {
        let target = Target::Plan(plan.parse().unwrap());
        TargetKey::new(&target, &resource.parse().unwrap())
    };
    let any = TargetKey::of_any_resource(&Target::Plan("a".parse().unwrap()));
    assert!(any.covers(&of("a", "default")) && any.covers(&of("a", "b")));
    assert!(!any.covers(&of("ab", "default")) && !any.covers(&of("b", "a")));
    assert!(of("a", "b").covers(&of("a", "b")));
    assert!(!of("a", "b").covers(&of("a", "bc")) && !of("a", "b").covers(&any));
    let of_resource = TargetKey::of_any_plan(Some(&"b".parse().unwrap()));
    assert!(of_resource.covers(&of("a", "b")) && of_resource.covers(&of("c", "b")));
    assert!(!of_resource.covers(&of("a", "bb")) && !of_resource.covers(&of("b", "a")));
    let all = TargetKey::of_any_plan(None);
    assert!(all.covers(&of("a", "b")) && !of("a", "b").covers(&all));
}

fn reservation(nonce: u8, request: u8, plan: &str) -> Reservation {
    Reservation {
        nonce: B256::repeat_byte(nonce),
        request_id: purchase(request),
        attempt: 1,
        target: target(plan),
        identifier: None,
    }
}

#[test]
fn a_name_is_one_payments_from_its_reservation_on_and_for_ever() {
    let book = Book::default();
    let name = B256::repeat_byte(0x1d);
    let named = |nonce, request| {
        let mut reservation = reservation(nonce, request, "basic");
        reservation.identifier = Some(name);
        reservation
    };
    let ask = |nonce| {
        let nonce = B256::repeat_byte(nonce);
        let identifier = name;
        let Ok(reply) = execute(&book, &PayerCommand::Identify { identifier, nonce }, NOW);
        reply
    };
    let Ok(checked) = execute(&book, &PayerCommand::Check(named(1, 1)), NOW);
    assert_eq!(checked, PayerReply::Reserved);
    assert_eq!(ask(2), PayerReply::Released, "a check names nothing");
    let Ok(reserved) = execute(&book, &PayerCommand::Reserve(named(1, 1)), NOW);
    assert_eq!(reserved, PayerReply::Reserved);
    release(&book, 1, "basic");
    assert_eq!((ask(1), ask(2)), (PayerReply::Released, PayerReply::Taken));
    for command in [PayerCommand::Check, PayerCommand::Reserve] {
        let Ok(other) = execute(&book, &command(named(2, 2)), NOW);
        assert_eq!(other, PayerReply::Taken);
    }
    assert_eq!(reserve(&book, 2, 2, "basic"), PayerReply::Reserved);
}

fn reserve(book: &Book, nonce: u8, request: u8, plan: &str) -> PayerReply {
    reserve_again(book, nonce, request, plan, 1)
}

fn reserve_again(book: &Book, nonce: u8, request: u8, plan: &str, attempt: u32) -> PayerReply {
    let mut reservation = reservation(nonce, request, plan);
    reservation.attempt = attempt;
    let Ok(reply) = execute(book, &PayerCommand::Reserve(reservation), NOW);
    reply
}

fn release(book: &Book, request: u8, plan: &str) {
    let command = PayerCommand::Release {
        target: target(plan),
        request_id: purchase(request),
        attempt: 1,
        outcome: Outcome::Other,
    };
    assert_eq!(execute(book, &command, NOW), Ok(PayerReply::Released));
}

#[test]
fn repeating_a_reservation_changes_nothing() {
    let book = Book::default();
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    assert_eq!(book.bookings.borrow().len(), 1);
}

#[test]
fn a_payment_belongs_to_one_purchase_for_ever() {
    let book = Book::default();
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    assert_eq!(reserve(&book, 1, 2, "a"), PayerReply::Taken);
    release(&book, 1, "a");
    assert_eq!(reserve(&book, 1, 2, "a"), PayerReply::Taken);
    assert_eq!(reserve(&book, 1, 3, "b"), PayerReply::Taken);
}

#[test]
fn a_second_payment_for_an_unresolved_target_counts_for_the_first_purchase_for_ever() {
    let book = Book::default();
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    let superseded = PayerReply::Superseded { by: purchase(1) };
    assert_eq!(reserve(&book, 2, 2, "a"), superseded);
    release(&book, 1, "a");
    assert_eq!(
        reserve(&book, 2, 2, "a"),
        superseded,
        "a late repeat must not be charged"
    );
    assert_eq!(
        reserve(&book, 3, 3, "a"),
        PayerReply::Reserved,
        "a new purchase is free again"
    );
}

#[test]
fn a_late_copy_of_a_reservation_does_not_lock_a_target_that_was_released() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    release(&book, 1, "a");
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    assert!(book.open.borrow().is_empty());
    assert_eq!(reserve(&book, 2, 2, "a"), PayerReply::Reserved);
    reserve(&book, 1, 1, "a");
    assert_eq!(
        book.bookings.borrow()[&B256::repeat_byte(1)].owner,
        purchase(1)
    );
}

#[test]
fn a_late_copy_of_a_release_does_not_open_a_target_that_the_next_attempt_holds() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    release(&book, 1, "a");
    assert_eq!(reserve_again(&book, 1, 1, "a", 2), PayerReply::Reserved);
    release(&book, 1, "a");
    let superseded = PayerReply::Superseded { by: purchase(1) };
    assert_eq!(reserve(&book, 2, 2, "a"), superseded);
}

#[test]
fn different_targets_do_not_wait_for_each_other() {
    let book = Book::default();
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    assert_eq!(reserve(&book, 2, 2, "b"), PayerReply::Reserved);
}

#[test]
fn a_release_by_another_purchase_changes_nothing() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    release(&book, 2, "a");
    assert_eq!(
        reserve(&book, 2, 2, "a"),
        PayerReply::Superseded { by: purchase(1) }
    );
}

fn claim(book: &Book, transfers: &[u8], request: u8, only_look: bool) -> PayerReply {
    let command = PayerCommand::Claim(Claim {
        transfers: transfers.iter().map(|n| B256::repeat_byte(*n)).collect(),
        request_id: purchase(request),
        target: target("a"),
        only_look,
    });
    let Ok(reply) = execute(book, &command, NOW);
    reply
}

fn claimed(transfer: u8) -> PayerReply {
    PayerReply::Claimed(B256::repeat_byte(transfer))
}

fn release_for_good(book: &Book, request: u8) {
    let command = PayerCommand::Release {
        target: target("a"),
        request_id: purchase(request),
        attempt: u32::MAX,
        outcome: Outcome::Other,
    };
    assert_eq!(execute(book, &command, NOW), Ok(PayerReply::Released));
}

#[test]
fn each_transfer_of_a_transaction_pays_one_purchase_for_ever() {
    let book = Book::default();
    assert_eq!(claim(&book, &[1, 2], 1, false), claimed(1));
    assert_eq!(claim(&book, &[1, 2], 2, false), claimed(2));
    assert_eq!(claim(&book, &[1, 2], 3, false), PayerReply::Taken);
    release_for_good(&book, 1);
    release_for_good(&book, 2);
    assert_eq!(claim(&book, &[1, 2], 3, false), PayerReply::Taken);
    assert_eq!(claim(&book, &[1, 2], 2, false), claimed(2), "repeated");
}

#[test]
fn looking_at_a_transfer_books_nothing() {
    let book = Book::default();
    assert_eq!(claim(&book, &[1], 1, true), claimed(1));
    assert!(book.bookings.borrow().is_empty() && book.open.borrow().is_empty());
    claim(&book, &[1], 1, false);
    assert_eq!(claim(&book, &[1], 2, true), PayerReply::Taken);
}

#[test]
fn a_transfer_that_the_seller_has_returned_pays_nothing_and_one_that_pays_is_not_returned() {
    let book = Book::default();
    let give_back = |transfer: u8| {
        let transfer = B256::repeat_byte(transfer);
        execute(&book, &PayerCommand::Return { transfer }, NOW).unwrap()
    };
    assert_eq!(give_back(1), claimed(1));
    assert_eq!(give_back(1), claimed(1), "and again");
    assert_eq!(claim(&book, &[1], 1, true), PayerReply::Taken);
    assert_eq!(claim(&book, &[1], 1, false), PayerReply::Taken);
    assert_eq!(claim(&book, &[1, 2], 1, false), claimed(2));
    assert_eq!(give_back(2), PayerReply::Superseded { by: purchase(1) });
    assert_eq!(claim(&book, &[2], 1, false), claimed(2));
    assert!(book.open.borrow().len() == 1, "a return holds no target");
    // Not even to who names the purchase under which it is booked.
    let booking = book.booking(B256::repeat_byte(1)).unwrap().unwrap();
    let claim = PayerCommand::Claim(Claim {
        transfers: vec![B256::repeat_byte(1)],
        request_id: booking.claimant,
        target: target("basic"),
        only_look: false,
    });
    assert_eq!(execute(&book, &claim, NOW), Ok(PayerReply::Taken));
}

#[test]
fn a_transfer_counts_for_its_own_purchase_also_while_another_is_unresolved() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    assert_eq!(claim(&book, &[9], 2, false), claimed(9));
    release_for_good(&book, 2);
    let superseded = PayerReply::Superseded { by: purchase(1) };
    assert_eq!(
        reserve(&book, 3, 3, "a"),
        superseded,
        "the first still holds it"
    );
}

#[test]
fn who_paid_by_transfer_and_waits_is_not_charged_anew() {
    let book = Book::default();
    claim(&book, &[9], 1, false);
    let superseded = PayerReply::Superseded { by: purchase(1) };
    assert_eq!(reserve(&book, 2, 2, "a"), superseded);
    // A release of an attempt before it comes late.
    release(&book, 1, "a");
    assert_eq!(reserve(&book, 3, 3, "a"), superseded);
    release_for_good(&book, 1);
    assert_eq!(claim(&book, &[9], 1, false), claimed(9), "a late copy");
    assert_eq!(reserve(&book, 4, 4, "a"), PayerReply::Reserved);
}

#[test]
fn checking_books_nothing_but_what_counts_elsewhere() {
    let book = Book::default();
    let check = |nonce, request| {
        let Ok(reply) = execute(
            &book,
            &PayerCommand::Check(reservation(nonce, request, "a")),
            NOW,
        );
        reply
    };
    assert_eq!(check(1, 1), PayerReply::Reserved);
    assert!(book.bookings.borrow().is_empty() && book.open.borrow().is_empty());
    reserve(&book, 1, 1, "a");
    let superseded = PayerReply::Superseded { by: purchase(1) };
    assert_eq!(check(2, 2), superseded);
    release(&book, 1, "a");
    assert_eq!(check(2, 2), superseded);
}

/// Reserves a payment and tells how that ended. Each has its own number.
fn end(book: &Book, number: u8, outcome: Outcome, now: UnixMillis) -> PayerCommand {
    assert_eq!(reserve(book, number, number, "a"), PayerReply::Reserved);
    let release = PayerCommand::Release {
        target: target("a"),
        request_id: purchase(number),
        attempt: 1,
        outcome,
    };
    assert_eq!(execute(book, &release, now), Ok(PayerReply::Released));
    release
}

fn check_at(book: &Book, number: u8, now: UnixMillis) -> PayerReply {
    let check = PayerCommand::Check(reservation(number, number, "a"));
    let Ok(reply) = execute(book, &check, now);
    reply
}

#[test]
fn a_payer_whose_transfers_revert_waits_for_an_hour_after_the_third() {
    let book = Book::default();
    end(&book, 1, Outcome::Reverted, NOW);
    end(&book, 2, Outcome::Reverted, NOW);
    assert_eq!(check_at(&book, 9, NOW), PayerReply::Reserved);
    let third = NOW.plus(60_000);
    end(&book, 3, Outcome::Reverted, third);
    let millis = 3_600_000;
    assert_eq!(check_at(&book, 9, third), PayerReply::Paused { millis });
    let last = third.plus(millis - 1);
    assert_eq!(check_at(&book, 9, last), PayerReply::Paused { millis: 1 });
    let over = third.plus(millis);
    assert_eq!(check_at(&book, 9, over), PayerReply::Reserved);
    end(&book, 4, Outcome::Reverted, over);
    assert_eq!(check_at(&book, 9, over), PayerReply::Paused { millis });
}

#[test]
fn a_transfer_that_succeeds_ends_the_count_of_those_that_reverted() {
    let book = Book::default();
    for number in 1..=2 {
        end(&book, number, Outcome::Reverted, NOW);
    }
    end(&book, 3, Outcome::Other, NOW);
    assert_eq!(book.reverts.get().count, 2, "an end without a transfer");
    end(&book, 4, Outcome::Paid, NOW);
    for number in 5..=6 {
        end(&book, number, Outcome::Reverted, NOW);
    }
    assert_eq!(check_at(&book, 9, NOW), PayerReply::Reserved);
}

#[test]
fn a_release_that_comes_again_or_late_counts_nothing() {
    let book = Book::default();
    let first = end(&book, 1, Outcome::Reverted, NOW);
    let repeat = |release: &PayerCommand| {
        for _ in 0..3 {
            let later = NOW.plus(1_000);
            assert_eq!(execute(&book, release, later), Ok(PayerReply::Released));
        }
    };
    let once = Reverts {
        count: 1,
        last: NOW,
    };
    repeat(&first);
    assert_eq!(book.reverts.get(), once);
    // The next attempt of the same purchase holds the target.
    assert_eq!(reserve_again(&book, 1, 1, "a", 2), PayerReply::Reserved);
    repeat(&first);
    assert_eq!(book.reverts.get(), once);
    let PayerCommand::Release {
        target, request_id, ..
    } = first
    else {
        panic!("no release");
    };
    let second = PayerCommand::Release {
        target,
        request_id,
        attempt: 2,
        outcome: Outcome::Reverted,
    };
    repeat(&second);
    assert_eq!(book.reverts.get().count, 2);
    let paid = end(&book, 2, Outcome::Paid, NOW);
    end(&book, 3, Outcome::Reverted, NOW);
    repeat(&paid);
    assert_eq!(book.reverts.get(), once, "nor does a success twice");
}

#[test]
fn who_must_wait_is_still_told_where_a_payment_counts_and_keeps_what_is_booked() {
    let book = Book::default();
    reserve(&book, 8, 8, "b");
    for number in 1..=3 {
        end(&book, number, Outcome::Reverted, NOW);
    }
    let check = |nonce, request| {
        let check = PayerCommand::Check(reservation(nonce, request, "b"));
        let Ok(reply) = execute(&book, &check, NOW);
        reply
    };
    let superseded = PayerReply::Superseded { by: purchase(8) };
    assert_eq!(check(9, 9), superseded);
    assert_eq!(check(8, 7), PayerReply::Taken);
    assert_eq!(reserve(&book, 8, 8, "b"), PayerReply::Reserved, "repeated");
}

#[test]
fn a_release_without_an_outcome_is_read_and_written_as_before() {
    let text = r#"{"release":{"target":"plan a default","request_id":"01010101-0101-4101-8101-010101010101","attempt":1}}"#;
    let release: PayerCommand = serde_json::from_str(text).unwrap();
    assert!(matches!(
        release,
        PayerCommand::Release {
            outcome: Outcome::Other,
            ..
        }
    ));
    assert_eq!(serde_json::to_string(&release).unwrap(), text);
}
