use core::convert::Infallible;

use super::memory::MemoryBook as Book;
use super::*;
use crate::offer::{CallDigest, Target};
use crate::types::{B256, RequestId, ResourceId, UnixMillis, UsdcAmount};

mod calls;
mod grants;
mod naming;
mod under_way;

const NOW: UnixMillis = UnixMillis(1_800_000_010_000);
const PRICE: u64 = 15_000;

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

/// The key of one call of a route.
fn call(route: &str, path: &str) -> TargetKey {
    let target = Target::Route {
        id: route.parse().unwrap(),
        call: CallDigest::of([path.as_bytes()]),
    };
    TargetKey::new(&target, &ResourceId::default())
}

#[test]
fn two_calls_of_one_route_are_two_targets_and_who_names_no_plan_means_no_call() {
    assert_ne!(call("a", "/oslo"), call("a", "/rome"));
    assert_eq!(call("a", "/oslo"), call("a", "/oslo"));
    assert!(!call("a", "/oslo").covers(&call("a", "/rome")));
    for plan in [
        TargetKey::of_any_plan(None),
        TargetKey::of_any_plan(Some(&ResourceId::default())),
        TargetKey::of_any_resource(&Target::Plan("a".parse().unwrap())),
        target("a"),
    ] {
        assert!(!plan.covers(&call("a", "/oslo")), "{plan:?}");
        assert!(!call("a", "/oslo").covers(&plan), "{plan:?}");
    }
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
        let mut hold = hold_of(nonce, request, "basic");
        hold.reservation.identifier = Some(name);
        hold
    };
    let has_name = || seen(&book, &[], Some(name)).named;
    assert_eq!(hold(&book, &named(1, 1)), PayerReply::Reserved);
    assert_eq!(has_name(), None, "what is set aside has no name");
    let reservation = named(1, 1).reservation;
    let reserved = run(&book, PayerCommand::Reserve(reservation), NOW);
    assert_eq!(reserved, PayerReply::Reserved);
    release(&book, 1);
    assert_eq!(has_name(), Some(B256::repeat_byte(1)));
    assert_eq!(hold(&book, &named(2, 2)), PayerReply::NamedOtherwise);
    let other = PayerCommand::Reserve(named(2, 2).reservation);
    assert_eq!(run(&book, other, NOW), PayerReply::NamedOtherwise);
    assert_eq!(reserve(&book, 2, 2, "basic"), PayerReply::Reserved);
}

/// A hold for a payer that has plenty of money.
fn hold_of(nonce: u8, request: u8, plan: &str) -> Hold {
    Hold {
        reservation: reservation(nonce, request, plan),
        amount: UsdcAmount::from_units(PRICE),
        chosen: false,
        balance: u64::MAX,
        read_at: NOW,
        code: PayerCode::None,
    }
}

fn run(book: &Book, command: PayerCommand, now: UnixMillis) -> PayerReply {
    let Ok(reply): Result<_, Infallible> = execute(book, &command, now);
    reply
}

fn seen(book: &Book, payments: &[u8], identifier: Option<B256>) -> Seen {
    let payments = payments.iter().map(|n| B256::repeat_byte(*n)).collect();
    let look = Look {
        payments,
        identifier,
    };
    run(book, PayerCommand::Look(look), NOW).seen().unwrap()
}

fn hold(book: &Book, hold: &Hold) -> PayerReply {
    run(book, PayerCommand::Hold(hold.clone()), NOW)
}

/// Sets the price aside and reserves the payment, as a purchase does.
fn reserve(book: &Book, nonce: u8, request: u8, plan: &str) -> PayerReply {
    reserve_again(book, nonce, request, plan, 1)
}

fn reserve_again(book: &Book, nonce: u8, request: u8, plan: &str, attempt: u32) -> PayerReply {
    let mut wanted = hold_of(nonce, request, plan);
    wanted.reservation.attempt = attempt;
    match hold(book, &wanted) {
        PayerReply::Reserved => run(book, PayerCommand::Reserve(wanted.reservation), NOW),
        reply => reply,
    }
}

fn release(book: &Book, request: u8) {
    end_attempt(book, request, 1);
}

fn end_attempt(book: &Book, request: u8, attempt: u32) {
    let command = PayerCommand::Release {
        request_id: purchase(request),
        attempt,
        outcome: Outcome::Other,
        grant: None,
    };
    assert_eq!(run(book, command, NOW), PayerReply::Noted);
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
    let presented = PayerReply::Presented { to: purchase(1) };
    assert_eq!(reserve(&book, 1, 2, "a"), presented);
    release(&book, 1);
    assert_eq!(reserve(&book, 1, 2, "a"), presented);
    assert_eq!(reserve(&book, 1, 3, "b"), presented);
    let stolen = PayerCommand::Reserve(reservation(1, 3, "b"));
    assert_eq!(run(&book, stolen, NOW), PayerReply::Taken);
}

#[test]
fn a_second_payment_for_an_unresolved_target_counts_for_the_first_purchase_for_ever() {
    let book = Book::default();
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    let superseded = PayerReply::Superseded { by: purchase(1) };
    assert_eq!(reserve(&book, 2, 2, "a"), superseded);
    release(&book, 1);
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
    release(&book, 1);
    assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
    assert!(book.open.borrow().is_empty());
    assert_eq!(reserve(&book, 2, 2, "a"), PayerReply::Reserved);
    reserve(&book, 1, 1, "a");
    assert_eq!(
        book.bookings.borrow()[&B256::repeat_byte(1)].0.owner,
        purchase(1)
    );
}

#[test]
fn a_late_copy_of_a_release_does_not_open_a_target_that_the_next_attempt_holds() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    release(&book, 1);
    assert_eq!(reserve_again(&book, 1, 1, "a", 2), PayerReply::Reserved);
    release(&book, 1);
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
    release(&book, 2);
    assert_eq!(
        reserve(&book, 2, 2, "a"),
        PayerReply::Superseded { by: purchase(1) }
    );
}

fn claim(book: &Book, transfers: &[u8], request: u8) -> PayerReply {
    let command = PayerCommand::Claim(Claim {
        transfers: transfers.iter().map(|n| B256::repeat_byte(*n)).collect(),
        request_id: purchase(request),
        target: target("a"),
    });
    run(book, command, NOW)
}

fn claimed(transfer: u8) -> PayerReply {
    PayerReply::Claimed(B256::repeat_byte(transfer))
}

fn release_for_good(book: &Book, request: u8) {
    end_attempt(book, request, LAST_ATTEMPT);
}

#[test]
fn each_transfer_of_a_transaction_pays_one_purchase_for_ever() {
    let book = Book::default();
    assert_eq!(claim(&book, &[1, 2], 1), claimed(1));
    assert_eq!(claim(&book, &[1, 2], 2), claimed(2));
    assert_eq!(claim(&book, &[1, 2], 3), PayerReply::Taken);
    release_for_good(&book, 1);
    release_for_good(&book, 2);
    assert_eq!(claim(&book, &[1, 2], 3), PayerReply::Taken);
    assert_eq!(claim(&book, &[1, 2], 2), claimed(2), "repeated");
}

#[test]
fn looking_at_a_transfer_books_nothing() {
    let book = Book::default();
    let name = Some(B256::repeat_byte(0x1d));
    assert!(seen(&book, &[1, 2], name).is_free_for(&purchase(1)));
    assert!(book.bookings.borrow().is_empty() && book.open.borrow().is_empty());
    assert!(book.names.borrow().is_empty());
    claim(&book, &[1], 1);
    for (request, is_free) in [(1, true), (2, false)] {
        let request_id = purchase(request);
        assert_eq!(seen(&book, &[1], None).is_free_for(&request_id), is_free);
        assert!(seen(&book, &[1, 2], None).is_free_for(&request_id));
    }
}

#[test]
fn a_look_tells_which_purchase_a_payment_counts_for_and_tells_another_only_to_who_presented_it() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    reserve(&book, 2, 2, "a");
    let seen = |payment| seen(&book, &[payment], None);
    let owners = [1, 2, 3].map(|payment| seen(payment).owner());
    assert_eq!(owners, [Some(purchase(1)), Some(purchase(1)), None]);
    for payment in 1..=3 {
        for request in 1..=3 {
            let by = ((payment, request) == (2, 2)).then(|| purchase(1));
            let told = seen(payment);
            assert_eq!(told.superseded_by(&purchase(request)), by.as_ref());
        }
    }
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
    assert!(!seen(&book, &[1], None).is_free_for(&purchase(1)));
    assert_eq!(claim(&book, &[1], 1), PayerReply::Taken);
    assert_eq!(claim(&book, &[1, 2], 1), claimed(2));
    assert_eq!(give_back(2), PayerReply::Superseded { by: purchase(1) });
    assert_eq!(claim(&book, &[2], 1), claimed(2));
    assert!(book.open.borrow().len() == 1, "a return holds no target");
    // The returned transfer is refused even to a claim with the request id under which it is booked.
    let booking = book.booking(B256::repeat_byte(1)).unwrap().unwrap();
    let claim = PayerCommand::Claim(Claim {
        transfers: vec![B256::repeat_byte(1)],
        request_id: booking.claimant,
        target: target("basic"),
    });
    assert_eq!(execute(&book, &claim, NOW), Ok(PayerReply::Taken));
}

#[test]
fn a_transfer_counts_for_its_own_purchase_also_while_another_is_unresolved() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    assert_eq!(claim(&book, &[9], 2), claimed(9));
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
    claim(&book, &[9], 1);
    let superseded = PayerReply::Superseded { by: purchase(1) };
    assert_eq!(reserve(&book, 2, 2, "a"), superseded);
    // The release of an earlier attempt comes late.
    release(&book, 1);
    assert_eq!(reserve(&book, 3, 3, "a"), superseded);
    release_for_good(&book, 1);
    assert_eq!(claim(&book, &[9], 1), claimed(9), "a late copy");
    assert_eq!(reserve(&book, 4, 4, "a"), PayerReply::Reserved);
}

#[test]
fn a_payment_that_was_attempted_keeps_its_owner_while_another_purchase_is_open() {
    let book = Book::default();
    reserve(&book, 1, 1, "a");
    release(&book, 1);
    reserve(&book, 2, 2, "a");
    let superseded = PayerReply::Superseded { by: purchase(2) };
    assert_eq!(reserve_again(&book, 1, 1, "a", 2), superseded);
    let (booking, _) = book.bookings.borrow()[&B256::repeat_byte(1)].clone();
    assert_eq!(booking.owner, purchase(1), "it may have paid that one");
}

/// Reserves the payment of the purchase `number` and releases it with this outcome. Returns the release.
fn end(book: &Book, number: u8, outcome: Outcome, now: UnixMillis) -> PayerCommand {
    let hold = hold_of(number, number, "a");
    let reserve = PayerCommand::Reserve(hold.reservation.clone());
    for command in [PayerCommand::Hold(hold), reserve] {
        assert_eq!(run(book, command, now), PayerReply::Reserved);
    }
    let release = PayerCommand::Release {
        request_id: purchase(number),
        attempt: 1,
        outcome,
        grant: None,
    };
    assert_eq!(run(book, release.clone(), now), PayerReply::Noted);
    release
}

/// The reply to the hold of a new purchase. The hold is then withdrawn.
fn told_at(book: &Book, number: u8, now: UnixMillis) -> PayerReply {
    let hold = hold_of(number, number, "a");
    let request_id = hold.reservation.request_id.clone();
    let reply = run(book, PayerCommand::Hold(hold), now);
    run(book, PayerCommand::Withdraw { request_id }, now);
    reply
}

#[test]
fn a_payer_whose_transfers_revert_waits_for_an_hour_after_the_third() {
    let book = Book::default();
    end(&book, 1, Outcome::Reverted, NOW);
    end(&book, 2, Outcome::Reverted, NOW);
    assert_eq!(told_at(&book, 9, NOW), PayerReply::Reserved);
    let third = NOW.plus(60_000);
    end(&book, 3, Outcome::Reverted, third);
    let millis = 3_600_000;
    assert_eq!(told_at(&book, 9, third), PayerReply::Paused { millis });
    let last = third.plus(millis - 1);
    assert_eq!(told_at(&book, 9, last), PayerReply::Paused { millis: 1 });
    let over = third.plus(millis);
    assert_eq!(told_at(&book, 9, over), PayerReply::Reserved);
    end(&book, 4, Outcome::Reverted, over);
    assert_eq!(told_at(&book, 9, over), PayerReply::Paused { millis });
}

#[test]
fn a_transfer_that_succeeds_halves_the_count_of_those_that_reverted() {
    let book = Book::default();
    for number in 1..=2 {
        end(&book, number, Outcome::Reverted, NOW);
    }
    end(&book, 3, Outcome::Other, NOW);
    assert_eq!(book.standing.get().reverts, 2, "an end without a transfer");
    end(&book, 4, Outcome::Paid, NOW);
    assert_eq!(
        book.standing.get().reverts,
        1,
        "one success is no clean slate"
    );
    end(&book, 5, Outcome::Reverted, NOW);
    assert_eq!(told_at(&book, 9, NOW), PayerReply::Reserved);
    end(&book, 6, Outcome::Reverted, NOW);
    let millis = 3_600_000;
    assert_eq!(told_at(&book, 9, NOW), PayerReply::Paused { millis });
}

#[test]
fn a_release_that_comes_again_or_late_counts_nothing() {
    let book = Book::default();
    let first = end(&book, 1, Outcome::Reverted, NOW);
    let repeat = |release: &PayerCommand| {
        for _ in 0..3 {
            let later = NOW.plus(1_000);
            assert_eq!(run(&book, release.clone(), later), PayerReply::Noted);
        }
    };
    let reverts = || book.standing.get().reverts;
    repeat(&first);
    assert_eq!((reverts(), book.standing.get().last), (1, NOW));
    // The same release is repeated while the next attempt of the purchase is being checked, and when it is under way.
    let mut second = hold_of(1, 1, "a");
    second.reservation.attempt = 2;
    assert_eq!(hold(&book, &second), PayerReply::Reserved);
    repeat(&first);
    assert_eq!(reverts(), 1);
    assert_eq!(reserve_again(&book, 1, 1, "a", 2), PayerReply::Reserved);
    repeat(&first);
    assert_eq!(reverts(), 1);
    let second = PayerCommand::Release {
        request_id: purchase(1),
        attempt: 2,
        outcome: Outcome::Reverted,
        grant: None,
    };
    repeat(&second);
    assert_eq!(reverts(), 2);
    let paid = end(&book, 2, Outcome::Paid, NOW);
    end(&book, 3, Outcome::Reverted, NOW);
    repeat(&paid);
    assert_eq!(reverts(), 2, "nor does a success twice");
}

#[test]
fn who_must_wait_is_still_told_where_a_payment_counts_and_keeps_what_is_booked() {
    let book = Book::default();
    reserve(&book, 8, 8, "b");
    for number in 1..=3 {
        end(&book, number, Outcome::Reverted, NOW);
    }
    let told = |nonce, request| hold(&book, &hold_of(nonce, request, "b"));
    assert_eq!(told(9, 9), PayerReply::Superseded { by: purchase(8) });
    assert_eq!(told(8, 7), PayerReply::Presented { to: purchase(8) });
    assert_eq!(reserve(&book, 8, 8, "b"), PayerReply::Reserved, "repeated");
}
