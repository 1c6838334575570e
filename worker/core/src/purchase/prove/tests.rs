//! What a purchase does with a transfer that is presented: in every state, for every kind of caller.

mod shop;

use crate::goods::{Goods, Receipt};
use shop::{ANN, BLOCK, BOB, EXECUTED, Shop, TX, Use, buyers_address, paid, proof, unsigned};

use super::super::lifecycle::{Event, apply};
use super::super::retention::HISTORY_MILLIS;
use super::super::sold::{Access, Sold};
use super::super::state::{Payment, Rest, State};
use super::super::test_support::{
    EXPIRES_AT, GIVEN_UP, NOW, POLICY, attempt_failed, attempted, claims, payment, record_after,
    settled,
};
use super::*;
use crate::chain::base::{Completeness, Log};
use crate::types::UsdcAmount;
use crate::x402::Refusal;

/// From this block time on nobody can execute the buyer's authorization any more.
const LAPSED: UnixSeconds = UnixSeconds(1_800_000_330);

fn is_granted(reply: &PayReply) -> bool {
    matches!(reply, PayReply::Granted { .. })
}

fn payment_of(shop: &Shop) -> Payment {
    shop.record().unwrap().state.payment().unwrap().clone()
}

fn failed() -> Purchase {
    record_after([
        attempted(1),
        Event::Reserved,
        attempt_failed(Refusal::InsufficientFunds),
        Event::TargetReleased,
    ])
}

fn expired() -> Purchase {
    record_after([
        attempted(1),
        Event::Reserved,
        GIVEN_UP,
        Event::TargetReleased,
    ])
}

fn cancelled() -> Purchase {
    record_after([attempted(1), Event::Cancelled, Event::TargetReleased])
}

fn delivered_by_authorization() -> Purchase {
    let mut record = record_after([attempted(1), Event::Reserved, settled()]);
    record.state = State::Delivered {
        payment: payment(),
        goods: Goods::Token { claims: claims() },
    };
    record.holds_target = false;
    record
}

#[test]
fn a_transfer_of_the_price_is_credited_and_delivered() {
    let shop = Shop::new(vec![paid(ANN, 15_000)]);
    let reply = shop.ask(proof(ANN));
    assert!(
        matches!(
            reply,
            PayReply::Granted {
                receipt: Some(Receipt {
                    payer: ANN,
                    transaction: TX,
                    ..
                }),
                again: false,
                ..
            }
        ),
        "{reply:?}"
    );
    assert_eq!(
        payment_of(&shop),
        Payment {
            transaction: TX,
            block: BLOCK,
            settled_at: NOW.to_seconds(),
            amount: UsdcAmount::from_units(15_000),
            log: Some(0),
            unsigned: false,
        }
    );
}

#[test]
fn more_than_the_price_is_accepted_and_recorded() {
    let shop = Shop::new(vec![paid(ANN, 99_000)]);
    assert!(is_granted(&shop.ask(proof(ANN))));
    assert_eq!(payment_of(&shop).amount, UsdcAmount::from_units(99_000));
}

#[test]
fn the_same_proof_again_gets_the_same_grant_and_is_told_so() {
    let shop = Shop::new(vec![paid(ANN, 15_000)]);
    let PayReply::Granted { goods: first, .. } = shop.ask(proof(ANN)) else {
        panic!("not granted");
    };
    let reads = shop.reads.get();
    let PayReply::Granted { goods, again, .. } = shop.ask(proof(ANN)) else {
        panic!("not granted again");
    };
    assert_eq!((goods, again), (first, true));
    assert_eq!(shop.reads.get(), reads, "the chain is not asked again");
}

#[test]
fn every_refusal_stores_nothing() {
    let time = |time| {
        let mut shop = Shop::new(vec![paid(ANN, 15_000)]);
        shop.time = Some(time);
        shop
    };
    let mut reverted = Shop::new(vec![paid(ANN, 15_000)]);
    if let Some(receipt) = &mut reverted.receipt {
        receipt.success = false;
    }
    let received = UsdcAmount::from_units(14_999);
    for (shop, fault) in [
        (Shop::new(vec![]), ProofFault::NoTransfer),
        (
            Shop::new(vec![paid(BOB, 15_000)]),
            ProofFault::PayerMismatch,
        ),
        (
            Shop::new(vec![paid(ANN, 14_999)]),
            ProofFault::AmountMismatch(received),
        ),
        (reverted, ProofFault::TransactionReverted),
        (time(1_799_999_999), ProofFault::TransferBeforeOffer),
        (time(EXPIRES_AT.0), ProofFault::TransferAfterExpiry),
    ] {
        assert_eq!(shop.ask(proof(ANN)), PayReply::Unproven(fault));
        assert_eq!(
            (shop.record(), shop.store.writes.get()),
            (None, 0),
            "{fault:?}"
        );
        let books = shop.books.of.borrow();
        assert!(books.values().all(|book| book.bookings.borrow().is_empty()));
    }
}

#[test]
fn what_is_not_deep_enough_or_not_known_is_not_confirmed() {
    let unconfirmed = PayReply::Unproven(ProofFault::TxUnconfirmed);
    let with = |change: fn(&mut Shop)| {
        let mut shop = Shop::new(vec![paid(ANN, 15_000)]);
        change(&mut shop);
        shop.ask(proof(ANN))
    };
    assert_eq!(with(|shop| shop.receipt = None), unconfirmed);
    assert_eq!(with(|shop| shop.time = None), unconfirmed);
    assert_eq!(with(|shop| shop.head = BLOCK - 1), unconfirmed);
    assert_eq!(
        with(|shop| shop.config.chain.confirmations = 2),
        unconfirmed
    );
    let deep = with(|shop| (shop.config.chain.confirmations, shop.head) = (2, BLOCK + 1));
    assert!(is_granted(&deep));
}

#[test]
fn what_is_not_on_chain_long_after_the_offers_end_can_pay_no_more() {
    let ask = |receipt: bool, head_time| {
        let mut shop = Shop::new(vec![paid(ANN, 15_000)]);
        shop.head_time.set(head_time);
        if !receipt {
            shop.receipt = None;
        }
        shop.ask(proof(ANN))
    };
    let unproven = PayReply::Unproven;
    assert_eq!(
        ask(false, EXPIRES_AT.0 + 599),
        unproven(ProofFault::TxUnconfirmed)
    );
    assert_eq!(
        ask(false, EXPIRES_AT.0 + 600),
        unproven(ProofFault::NotIncluded)
    );
    assert!(is_granted(&ask(true, EXPIRES_AT.0 + 600)));
}

#[test]
fn a_receipt_that_may_not_show_all_events_neither_pays_nor_says_that_nothing_was_paid() {
    let unconfirmed = PayReply::Unproven(ProofFault::TxUnconfirmed);
    for logs in [vec![], vec![paid(ANN, 15_000)], vec![paid(BOB, 15_000)]] {
        let ask = |completeness, head| {
            let mut shop = Shop::new(logs.clone());
            shop.head = head;
            if let Some(receipt) = &mut shop.receipt {
                receipt.completeness = completeness;
            }
            shop.ask(proof(ANN))
        };
        let judged = ask(Completeness::Complete, BLOCK);
        assert_ne!(judged, unconfirmed);
        // Some nodes never show a bloom filter. A minute later, a receipt's missing events will not come any more.
        assert_eq!(ask(Completeness::Unproven, BLOCK + 29), unconfirmed);
        assert_eq!(ask(Completeness::Unproven, BLOCK + 30), judged);
        assert_eq!(ask(Completeness::Contradictory, BLOCK + 1_000), unconfirmed);
    }
}

#[test]
fn a_transfer_in_time_is_credited_however_late_it_is_presented() {
    let mut shop = Shop::new(vec![paid(ANN, 15_000)]);
    // The offer expired eleven days ago, and the transfer paid it in its last second.
    let mut late = proof(ANN);
    late.offer.terms.issued_at = UnixSeconds(1_799_000_000);
    late.offer.terms.expires_at = UnixSeconds(1_799_000_960);
    shop.time = Some(1_799_000_959);
    assert!(is_granted(&shop.ask(late)));
}

#[test]
fn what_another_purchase_has_claimed_is_taken_and_leaves_nothing() {
    let shop = Shop::new(vec![paid(ANN, 15_000)]);
    shop.claimed(ANN, 0);
    assert_eq!(shop.ask(proof(ANN)), PayReply::Taken);
    assert_eq!(shop.store.writes.get(), 0);
}

#[test]
fn of_several_transfers_the_smallest_free_one_is_credited() {
    let shop = Shop::new(vec![
        paid(ANN, 90_000),
        paid(ANN, 15_000),
        paid(ANN, 20_000),
    ]);
    shop.claimed(ANN, 1);
    assert!(is_granted(&shop.ask(proof(ANN))));
    assert_eq!(payment_of(&shop).log, Some(2));
    assert_eq!(payment_of(&shop).amount, UsdcAmount::from_units(20_000));
}

#[test]
fn when_the_book_says_taken_after_all_the_purchase_ends_and_another_transfer_still_pays_it() {
    let shop = Shop::new(vec![paid(ANN, 15_000)]);
    let record = record_with_proof(&shop);
    shop.store.put(record);
    shop.claimed(ANN, 0);
    assert_eq!(shop.ask(proof(ANN)), PayReply::Taken);
    let Some(Purchase {
        state: State::Cancelled { .. },
        ..
    }) = shop.record()
    else {
        panic!("{:?}", shop.record());
    };
    let mut second = shop;
    if let Some(receipt) = &mut second.receipt {
        receipt.logs.push(paid(ANN, 15_000));
    }
    assert!(is_granted(&second.ask(proof(ANN))));
}

/// A record as it is stored between the check and the booking.
fn record_with_proof(shop: &Shop) -> Purchase {
    let event = futures_util::FutureExt::now_or_never(check(shop, &proof(ANN), None))
        .unwrap()
        .unwrap_or_else(|_| panic!("refused"));
    apply(None, event, NOW, &POLICY).unwrap()
}

#[test]
fn a_crash_between_check_and_booking_is_carried_on_by_the_alarm() {
    let shop = Shop::new(vec![paid(ANN, 15_000)]);
    let record = record_with_proof(&shop);
    assert_eq!(record.state.status().as_str(), "PENDING");
    assert_eq!(record.state.transaction(), Some(TX));
    shop.store.put(record);
    shop.wake();
    assert_eq!(shop.record().unwrap().state.status().as_str(), "DELIVERED");
    assert!(is_granted(&shop.ask(proof(ANN))));
}

#[test]
fn a_book_without_an_answer_begins_nothing() {
    let shop = Shop::new(vec![paid(ANN, 15_000)]);
    shop.books.are_gone.set(true);
    assert_eq!(shop.ask(proof(ANN)), PayReply::Unavailable);
    assert_eq!(shop.store.writes.get(), 0);
}

#[test]
fn a_purchase_that_had_ended_without_money_is_paid_by_a_transfer_made_in_time() {
    for record in [failed(), expired(), cancelled()] {
        let before = record.state.status().as_str();
        let shop = Shop::after(record, vec![paid(buyers_address(), 15_000)]);
        shop.head_time.set(LAPSED.0);
        let reply = shop.ask(proof(buyers_address()));
        assert!(is_granted(&reply), "{before}: {reply:?}");
    }
}

#[test]
fn no_transfer_is_credited_while_the_earlier_authorization_could_pay_besides() {
    for record in [failed(), expired()] {
        let shop = Shop::after(record, vec![paid(buyers_address(), 15_000)]);
        for time in [NOW.to_seconds().0, LAPSED.0 - 1] {
            shop.head_time.set(time);
            let open = PayReply::Unproven(ProofFault::AuthorizationOpen(LAPSED));
            assert_eq!(shop.ask(proof(buyers_address())), open);
        }
        let books = shop.books.of.borrow();
        assert!(books.values().all(|book| book.bookings.borrow().is_empty()));
        assert_eq!(shop.store.writes.get(), 0);
    }
}

#[test]
fn who_cancels_the_earlier_authorization_need_not_wait() {
    let shop = Shop::after(failed(), vec![paid(buyers_address(), 15_000)]);
    shop.authorization.set(Use::Cancelled);
    assert!(is_granted(&shop.ask(proof(buyers_address()))));
    assert_eq!(payment_of(&shop).transaction, TX);
}

#[test]
fn an_earlier_authorization_that_has_paid_is_the_payment_and_the_transfer_stays_free() {
    let shop = Shop::after(failed(), vec![paid(buyers_address(), 15_000)]);
    shop.authorization.set(Use::Executed);
    assert!(is_granted(&shop.ask(proof(buyers_address()))));
    assert_eq!(payment_of(&shop).transaction, EXECUTED);
    let books = shop.books.of.borrow();
    assert!(books.values().all(|book| book.bookings.borrow().is_empty()));
}

#[test]
fn a_purchase_that_lost_its_history_long_ago_begins_a_new_one() {
    let mut record = expired();
    record.state = State::Expired { watch: None };
    record.rest = Rest::Since(NOW);
    record.outbox.report = None;
    let later = NOW.plus(HISTORY_MILLIS);
    let record = apply(Some(&record), Event::HistoryRemoved, later, &POLICY).unwrap();
    let shop = Shop::after(record, vec![paid(buyers_address(), 15_000)]);
    assert!(is_granted(&shop.ask(proof(buyers_address()))));
    assert_ne!(shop.record().unwrap().rest, Rest::WithoutHistory);
}

#[test]
fn a_purchase_keeps_its_payer() {
    for record in [
        failed(),
        expired(),
        cancelled(),
        delivered_by_authorization(),
    ] {
        let shop = Shop::after(record, vec![paid(ANN, 15_000)]);
        assert_eq!(shop.ask(proof(ANN)), PayReply::Conflict);
        assert_eq!(shop.store.writes.get(), 0);
    }
}

#[test]
fn a_second_payment_of_a_delivered_purchase_is_not_touched() {
    let record = delivered_by_authorization();
    let shop = Shop::after(record, vec![paid(buyers_address(), 15_000)]);
    let reply = shop.ask(proof(buyers_address()));
    assert!(
        matches!(reply, PayReply::Granted { again: true, .. }),
        "{reply:?}"
    );
    assert_eq!((shop.store.writes.get(), shop.reads.get()), (0, 0));
    assert!(shop.books.of.borrow().is_empty());
}

#[test]
fn another_plan_under_the_same_request_id_is_a_conflict() {
    let shop = Shop::after(failed(), vec![paid(buyers_address(), 15_000)]);
    let mut other = proof(buyers_address());
    other.offer.terms.target = crate::offer::Target::Plan("pro".parse().unwrap());
    assert_eq!(shop.ask(other), PayReply::Conflict);
}

#[test]
fn without_a_signature_the_payer_is_read_from_the_chain() {
    let shop = Shop::new(vec![paid(ANN, 15_000)]);
    let reply = shop.ask(unsigned());
    assert!(
        matches!(&reply, PayReply::Granted { receipt: Some(receipt), .. } if receipt.payer == ANN),
        "{reply:?}"
    );
    assert!(matches!(
        shop.ask(unsigned()),
        PayReply::Granted { again: true, .. }
    ));
    assert!(payment_of(&shop).unsigned);
}

#[test]
fn without_a_signature_each_payer_of_a_transaction_has_paid_once() {
    let shop = Shop::new(vec![paid(ANN, 15_000), paid(BOB, 15_000)]);
    shop.claimed(ANN, 0);
    let reply = shop.ask(unsigned());
    assert!(
        matches!(&reply, PayReply::Granted { receipt: Some(receipt), .. } if receipt.payer == BOB),
        "{reply:?}"
    );
}

#[test]
fn without_a_signature_nothing_opens_what_was_paid_with_one_or_by_another_transaction() {
    let mut other_transaction = unsigned();
    other_transaction.transaction = B256::repeat_byte(0x78);
    let mut other_offer = unsigned();
    let mut terms = other_offer.offer.terms.clone();
    terms.issued_at = terms.issued_at.plus(60);
    let keys = crate::offer::SealKeys::new(&crate::types::Secret::new("test"), &[]);
    other_offer.offer = keys.seal(terms);
    let shop = Shop::new(vec![paid(ANN, 15_000)]);
    assert!(is_granted(&shop.ask(unsigned())));
    assert_eq!(shop.ask(other_transaction), PayReply::Conflict);
    assert_eq!(shop.ask(other_offer), PayReply::Conflict);

    let signed = Shop::new(vec![paid(ANN, 15_000)]);
    assert!(is_granted(&signed.ask(proof(ANN))));
    assert_eq!(signed.ask(unsigned()), PayReply::Conflict);

    let mut by_authorization = unsigned();
    by_authorization.transaction = payment().transaction;
    let shop = Shop::after(delivered_by_authorization(), Vec::<Log>::new());
    assert_eq!(shop.ask(by_authorization), PayReply::Conflict);
}

#[test]
fn without_a_signature_a_purchase_that_has_begun_still_keeps_its_payer() {
    let logs = vec![paid(ANN, 15_000), paid(buyers_address(), 16_000)];
    let shop = Shop::after(failed(), logs);
    shop.head_time.set(LAPSED.0);
    assert!(is_granted(&shop.ask(unsigned())));
    assert_eq!(payment_of(&shop).amount, UsdcAmount::from_units(16_000));
}

#[test]
fn a_transfer_for_another_offer_than_the_first_is_found_again_by_that_offer() {
    let mut other = unsigned();
    let mut terms = other.offer.terms.clone();
    terms.lifetime *= 2;
    other.sold = other.sold.map(|sold| {
        let access = sold.access().unwrap().clone();
        let lifetime = terms.lifetime;
        Sold::Access(Access { lifetime, ..access })
    });
    let keys = crate::offer::SealKeys::new(&crate::types::Secret::new("test"), &[]);
    other.offer = keys.seal(terms.clone());
    let shop = Shop::after(failed(), vec![paid(buyers_address(), 15_000)]);
    shop.head_time.set(LAPSED.0);
    let of = |reply: PayReply| match reply {
        PayReply::Granted { goods, again, .. } => (goods, again),
        reply => panic!("{reply:?}"),
    };
    let (goods, _) = of(shop.ask(other.clone()));
    let claims = goods.claims().unwrap();
    assert_eq!(claims.jti, other.offer.id.as_str());
    assert_eq!(claims.exp - claims.iat, terms.lifetime);
    assert_eq!(of(shop.ask(other)), (goods, true));
    assert_eq!(shop.ask(unsigned()), PayReply::Conflict);
}
