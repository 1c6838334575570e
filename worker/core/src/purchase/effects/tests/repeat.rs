//! A payment that does not fit today's offer: its purchase answers, and nothing is begun or booked.

use super::*;
use crate::book::Booking;
use crate::chain::usdc::payment_fingerprint;
use crate::purchase::question::{Join, Pay};
use crate::purchase::test_support::dated;
use crate::types::RequestId;

fn ask(outside: &Outside, nonce: u8) -> PayReply {
    let pay = Ask::Pay(Box::new(Pay {
        identifier: Some(B256::repeat_byte(0x1d)),
        ..dated(nonce)
    }));
    outside.answer(pay)
}

/// A delivered purchase whose request id is derived from its first payment.
fn delivered_under_a_derived_id() -> Outside {
    let mut record = record_after([
        attempted(1),
        Event::Reserved,
        sent(OURS),
        settled(),
        issued(),
        Event::TargetReleased,
    ]);
    let authorization = signed(1);
    record.terms.request_id = RequestId::derived(&payment_fingerprint(
        record.terms.network,
        authorization.payer(),
        authorization.authorization().nonce,
    ));
    Outside::new(record)
}

#[test]
fn where_a_purchase_of_somebody_else_is_no_book_is_asked_and_nothing_is_stored() {
    let mut anothers = failed();
    anothers.payer = Address::repeat_byte(9);
    let outside = Outside::new(anothers);
    let before = outside.store.load();
    assert_eq!(ask(&outside, 1), PayReply::Conflict);
    assert_eq!(outside.store.load(), before);
    assert!(outside.asked.borrow().is_empty());
}

#[test]
fn where_no_purchase_is_the_book_knows_whether_the_payment_counts_for_another() {
    let by = RequestId::from_random([9; 16]);
    let booked = |claimant: &RequestId, owner: &RequestId| {
        Some(Booking {
            claimant: claimant.clone(),
            owner: owner.clone(),
            attempt: 1,
        })
    };
    let own = dated(1).request_id;
    let elsewhere = |by_attempted| PayReply::Elsewhere {
        request_id: by.clone(),
        join: Join {
            payer: buyer().address(),
            target: dated(1).target,
            by_attempted,
        },
    };
    for (booking, is_used, reply) in [
        (None, false, PayReply::Conflict),
        (booked(&own, &own), false, PayReply::Conflict),
        (booked(&own, &by), false, elsewhere(false)),
        // The payment was presented for another purchase, which has attempted it.
        (booked(&by, &by), false, elsewhere(true)),
        // A stranger may have seen the payment on chain.
        (booked(&own, &by), true, PayReply::Taken),
        (booked(&by, &by), true, PayReply::Taken),
    ] {
        let mut outside = Outside::new(failed());
        outside.forget();
        outside.is_used = is_used;
        outside.booking = booking;
        assert_eq!(ask(&outside, 1), reply);
        assert_eq!(outside.store.load(), Ok(None));
        let asked = outside.asked.borrow();
        let [PayerCommand::Look(look)] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        assert_eq!(look.payments, [signed(1).authorization().nonce]);
    }
}

#[test]
fn a_payment_that_begins_nothing_is_not_under_way_while_its_payers_book_gives_no_answer() {
    let mut outside = Outside::new(failed());
    outside.forget();
    outside.is_used = false;
    outside.book_is_gone.set(true);
    assert_eq!(ask(&outside, 1), PayReply::Unbegun);
}

#[test]
fn an_attempt_that_failed_is_not_tried_again() {
    let mut outside = Outside::new(failed());
    (outside.is_accepted, outside.is_used) = (true, false);
    let before = outside.store.load();
    let reply = PayReply::Refused {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: Some(OURS),
        begun: true,
    };
    assert_eq!(ask(&outside, 1), reply);
    assert_eq!(outside.store.load(), before);
}

#[test]
fn a_purchase_that_is_under_way_is_driven_on() {
    let outside = Outside::new(submitted());
    ask(&outside, 1);
    let state = outside.store.record().state;
    assert_eq!(state.transaction(), Some(STRANGERS));
}

#[test]
fn under_a_derived_id_what_was_delivered_takes_a_fresh_signature_and_the_book_is_only_looked_at() {
    let mut outside = delivered_under_a_derived_id();
    assert_eq!(ask(&outside, 1), PayReply::NeedsFreshSignature);
    outside.is_used = false;
    let reply = ask(&outside, 2);
    assert!(matches!(reply, PayReply::Granted { .. }), "{reply:?}");
    let asked = outside.asked.take();
    assert!(
        matches!(asked[..], [PayerCommand::Look(_), PayerCommand::Look(_)]),
        "one look for each question: {asked:?}"
    );
    // An attempt of another purchase may have shown the authorization to everybody without leaving a trace on chain.
    let another = RequestId::from_random([9; 16]);
    outside.booking = Some(Booking {
        claimant: another.clone(),
        owner: another,
        attempt: 1,
    });
    assert_eq!(ask(&outside, 2), PayReply::NeedsFreshSignature);
}

#[test]
fn a_first_payment_that_its_client_names_asks_the_book_only_where_its_price_is_set_aside() {
    let mut outside = Outside::new(failed());
    outside.forget();
    (outside.is_accepted, outside.is_used) = (true, false);
    let pay = Ask::Pay(Box::new(Pay {
        identifier: Some(B256::repeat_byte(0x1d)),
        ..pay(1)
    }));
    outside.held = RefCell::new([PayerReply::NamedOtherwise].into());
    assert_eq!(outside.answer(pay), PayReply::NamedOtherwise);
    let asked = outside.asked.borrow();
    assert!(matches!(asked[..], [PayerCommand::Hold(_)]), "{asked:?}");
}

#[test]
fn nobody_is_told_that_nothing_was_charged_before_the_chain_is_asked_once_more() {
    let paid = |record: Purchase, ask: fn(&Outside) -> PayReply| {
        let outside = Outside::new(record);
        assert!(matches!(ask(&outside), PayReply::Granted { .. }));
    };
    let repeat = |outside: &Outside| ask(outside, 1);
    let pay = |outside: &Outside| outside.ask();
    let cancelled = || apply(Some(&failed()), Event::Cancelled, NOW, &POLICY).unwrap();
    paid(failed(), repeat);
    for record in [expired(), cancelled()] {
        paid(record.clone(), repeat);
        paid(record, pay);
    }
    for (record, reply) in [
        (expired(), PayReply::Expired),
        (cancelled(), PayReply::Cancelled),
    ] {
        let mut outside = Outside::new(record);
        outside.is_used = false;
        assert_eq!(outside.ask(), reply);
        // The node that is asked for states does not know the newest block.
        outside.state = BLOCK - 1;
        assert_eq!(outside.ask(), PayReply::Pending { transaction: None });
    }
}

#[test]
fn a_name_that_is_another_payments_is_no_reason_to_pay_anew_before_the_chain_is_asked() {
    let named = |record: Purchase| {
        let mut outside = Outside::new(record);
        outside.is_named_otherwise = true;
        outside
    };
    // The authorization of the failed attempt was executed since.
    let outside = named(failed());
    assert!(matches!(ask(&outside, 1), PayReply::Granted { .. }));
    let mut outside = named(failed());
    outside.is_used = false;
    assert_eq!(ask(&outside, 1), PayReply::NamedOtherwise);
    outside.state = BLOCK - 1;
    assert_eq!(ask(&outside, 1), PayReply::Pending { transaction: None });
    // A caller that is not the payer learns nothing of the purchase.
    let mut anothers = failed();
    anothers.payer = Address::repeat_byte(9);
    assert_eq!(ask(&named(anothers), 1), PayReply::Conflict);
}

/// A payment that the book counts for another purchase. No purchase has begun under the payment's own request id.
fn superseded() -> Outside {
    let mut outside = Outside::new(failed());
    outside.forget();
    (outside.is_accepted, outside.is_used) = (true, false);
    outside.booking = Some(Booking {
        claimant: pay(1).request_id,
        owner: RequestId::from_random([9; 16]),
        attempt: 1,
    });
    outside
}

#[test]
fn whoever_would_be_told_to_pay_anew_is_first_led_to_the_purchase_that_has_the_payment() {
    let ends = |outside: &Outside, pay: Pay| {
        let reply = outside.answer(Ask::Pay(Box::new(pay)));
        assert!(matches!(reply, PayReply::Elsewhere { .. }), "{reply:?}");
    };
    // The authorization or the offer has expired, or it is no longer known what the offer sells.
    for time in [1_800_000_300, EXPIRES_AT.0] {
        let mut outside = superseded();
        outside.time = time;
        ends(&outside, pay(1));
    }
    let mut unknown = pay(1);
    unknown.sale.as_mut().unwrap().sold = None;
    ends(&superseded(), unknown);
}

/// The reply to a request that does not wait, and how often the chain was asked until then.
fn look_in(driver: &Driver, outside: &Outside) -> (PayReply, u32) {
    let join = Ask::Join(Join {
        payer: buyer().address(),
        target: dated(1).target,
        by_attempted: false,
    });
    let reply = driver.ask(outside, &join, Patience::NONE);
    (reply.now_or_never().unwrap().unwrap(), outside.heads.get())
}

#[test]
fn whoever_only_looks_in_makes_the_chain_be_asked_once_in_ten_seconds() {
    let mut outside = Outside::new(failed());
    (outside.is_accepted, outside.is_used) = (true, false);
    let driver = Driver::default();
    let (reply, first) = look_in(&driver, &outside);
    assert!(matches!(reply, PayReply::Refused { .. }), "{reply:?}");
    // The authorization may have been executed since.
    let pending = PayReply::Pending { transaction: None };
    assert_eq!(look_in(&driver, &outside), (pending, first));
    outside.time += 10;
    assert_eq!(look_in(&driver, &outside), (reply, first + 1));
}

#[test]
fn of_an_authorization_that_can_never_be_used_the_last_look_tells() {
    let mut outside = Outside::new(failed());
    (outside.is_accepted, outside.is_used) = (true, false);
    outside.time = 1_800_000_400;
    let driver = Driver::default();
    let told = look_in(&driver, &outside);
    assert!(matches!(told.0, PayReply::Refused { .. }), "{told:?}");
    assert_eq!(look_in(&driver, &outside), told);
}
