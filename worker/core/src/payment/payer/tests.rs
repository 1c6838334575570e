use core::cell::RefCell;
use core::convert::Infallible;
use std::collections::BTreeMap;

use super::*;

#[derive(Default)]
struct Book {
    bookings: RefCell<BTreeMap<B256, Booking>>,
    open: RefCell<BTreeMap<TargetKey, (RequestId, u32)>>,
    names: RefCell<BTreeMap<B256, B256>>,
}

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
    ) -> Result<(), Infallible> {
        let mut open = self.open.borrow_mut();
        if open
            .get(target)
            .is_some_and(|(holder, held)| holder == request_id && *held <= attempt)
        {
            open.remove(target);
        }
        Ok(())
    }
}

fn purchase(n: u8) -> RequestId {
    RequestId::from_random([n; 16])
}

fn target(plan: &str) -> TargetKey {
    TargetKey::new(&Target::Plan(plan.parse().unwrap()), &ResourceId::default())
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
        let Ok(reply) = execute(&book, &PayerCommand::Identify { identifier, nonce });
        reply
    };
    let Ok(checked) = execute(&book, &PayerCommand::Check(named(1, 1)));
    assert_eq!(checked, PayerReply::Reserved);
    assert_eq!(ask(2), PayerReply::Released, "a check names nothing");
    let Ok(reserved) = execute(&book, &PayerCommand::Reserve(named(1, 1)));
    assert_eq!(reserved, PayerReply::Reserved);
    release(&book, 1, "basic");
    assert_eq!((ask(1), ask(2)), (PayerReply::Released, PayerReply::Taken));
    for command in [PayerCommand::Check, PayerCommand::Reserve] {
        let Ok(other) = execute(&book, &command(named(2, 2)));
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
    let Ok(reply) = execute(book, &PayerCommand::Reserve(reservation));
    reply
}

fn release(book: &Book, request: u8, plan: &str) {
    let command = PayerCommand::Release {
        target: target(plan),
        request_id: purchase(request),
        attempt: 1,
    };
    assert_eq!(execute(book, &command), Ok(PayerReply::Released));
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
    let Ok(reply) = execute(book, &command);
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
    };
    assert_eq!(execute(book, &command), Ok(PayerReply::Released));
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
