//! Calls that are paid for before they are made.

use super::calls::{after, ask, calling, later, refunding};
use super::*;
use crate::catalog::Settle;
use crate::chain::usdc::payment_fingerprint;
use crate::purchase::question::Pay;
use crate::purchase::sold::Sold;
use crate::purchase::state::Calling;
use crate::purchase::test_support::{answer, answered, pay_call, payment, sold_call, the_call};
use crate::types::RequestId;

fn post() -> Sold {
    sold_call(Settle::Before, false)
}

fn put() -> Sold {
    sold_call(Settle::Before, true)
}

pub(super) fn paid(sold: &Sold) -> Purchase {
    after(sold, [sent(OURS), settled()])
}

#[test]
fn the_call_is_made_when_its_price_has_arrived_and_its_intent_is_stored() {
    let outside = calling(None, [Ok(answer(1, 201))]);
    let reply = ask(&outside, &post());
    let PayReply::Granted {
        goods,
        receipt: Some(_),
        ..
    } = reply
    else {
        panic!("{reply:?}");
    };
    assert_eq!(goods, answered(answer(1, 201), None));
    assert_eq!(outside.store.body.get(), Some(1));
    let made = outside.made.borrow();
    let [(call, record)] = &made[..] else {
        panic!("{made:?}");
    };
    assert_eq!((call.number, call.transaction), (1, Some(STRANGERS)));
    assert!(matches!(
        record.state,
        State::Paid {
            calling: Some(Calling { number: 1, .. }),
            failure: None,
            ..
        }
    ));
}

#[test]
fn what_is_not_charged_for_is_passed_on_and_the_money_goes_back_at_once() {
    let outside = refunding(calling(Some(paid(&post())), [Ok(answer(1, 500))]));
    let reply = ask(&outside, &post());
    let refund = Some(payment().transaction);
    let passed_on = PayReply::Granted {
        goods: answered(answer(1, 500), refund),
        receipt: None,
        again: false,
    };
    assert_eq!(reply, passed_on);
    let record = outside.store.record();
    assert_eq!(
        next_effect(&record, outside.now(), &POLICY),
        Effect::BeginRefund
    );
    assert_eq!(outside.store.body.get(), None);
    for fault in [
        OriginFault::Timeout,
        OriginFault::Cut,
        OriginFault::TooLarge,
    ] {
        let outside = refunding(calling(Some(paid(&put())), [Err(fault)]));
        assert_eq!(ask(&outside, &put()), PayReply::Origin { fault, refund });
        assert_eq!(
            outside.made.borrow().len(),
            1,
            "also where it may be repeated"
        );
    }
}

#[test]
fn who_comes_when_such_an_answer_has_been_given_hears_that_the_money_goes_back() {
    let mut outside = refunding(calling(Some(paid(&post())), [Ok(answer(1, 500))]));
    let driver = Driver::default();
    let sold = post();
    let asks = |outside: &Outside| {
        let ask = Ask::Pay(Box::new(pay_call(&sold)));
        let reply = driver.ask(outside, &ask, Patience::REQUEST);
        reply.now_or_never().unwrap().unwrap()
    };
    assert!(matches!(asks(&outside), PayReply::Granted { .. }));
    let mut failed = outside.store.record();
    failed.terms.pay_to = outside.config.refund.wallet.as_ref().unwrap().address();
    outside.store.put(failed);
    outside.time += 1;
    // This request begins the refund, and the body of the answer is in nobody's memory any more.
    let reply = asks(&outside);
    let is_on_its_way = matches!(outside.store.record().state, State::RefundPending { .. });
    assert!(
        is_on_its_way && matches!(reply, PayReply::Refund { .. }),
        "{reply:?}"
    );
}

#[test]
fn without_refunds_the_buyer_hears_that_the_money_stays() {
    let outside = calling(Some(paid(&post())), [Ok(answer(1, 500))]);
    let reply = ask(&outside, &post());
    assert!(
        matches!(
            reply,
            PayReply::Undelivered {
                fault: DeliveryFault::Answered(500),
                refund_at: None,
                ..
            }
        ),
        "{reply:?}"
    );
    // The call is not made again, however late the operator acts.
    later(&outside, 86_400_000);
    ask(&outside, &post());
    assert_eq!(outside.made.borrow().len(), 1);
}

#[test]
fn while_a_call_is_made_no_refund_begins_however_long_it_takes() {
    let record = after(&post(), [sent(OURS), settled(), Event::Calling]);
    for hours in [0, 1, 100] {
        let now = NOW.plus(hours * 3_600_000);
        assert_eq!(next_effect(&record, now, &POLICY), Effect::Call);
        for event in [refund_begun(), Event::RefundBlocked, Event::Cancelled] {
            assert_eq!(apply(Some(&record), event, now, &POLICY), Err(Refused));
        }
    }
}

#[test]
fn what_has_failed_is_not_called_or_delivered_any_more() {
    let fault = DeliveryFault::Origin(OriginFault::Timeout);
    let record = after(
        &put(),
        [
            sent(OURS),
            settled(),
            Event::Calling,
            Event::IssueFailed { fault },
        ],
    );
    let goods = answered(answer(1, 200), None);
    for event in [
        Event::Calling,
        Event::CallPutOff,
        Event::Issued { goods },
        Event::IssueFailed { fault },
    ] {
        assert_eq!(apply(Some(&record), event, NOW, &POLICY), Err(Refused));
    }
    assert!(apply(Some(&record), refund_begun(), NOW, &POLICY).is_ok());
}

#[test]
fn the_alarm_makes_no_call_and_has_the_money_go_back_when_nobody_comes_for_it() {
    for record in [
        paid(&put()),
        after(&put(), [sent(OURS), settled(), Event::Calling]),
    ] {
        let mut outside = refunding(calling(Some(record), [Ok(answer(1, 200))]));
        outside.brought = None;
        outside.config.refund.min_age_millis = 30_000;
        outside.wake();
        assert_eq!(outside.store.alarm.get(), Some(NOW.plus(30_000)));
        later(&outside, 30_000);
        outside.wake();
        let state = outside.store.record().state;
        assert!(state.refund_fault().is_some(), "{state:?}");
        assert!(outside.made.borrow().is_empty());
    }
}

#[test]
fn a_call_whose_end_is_unknown_is_made_once_more_where_its_route_allows_it() {
    let lost = |sold: &Sold, calls: usize| {
        let events = [sent(OURS), settled()];
        after(
            sold,
            events.into_iter().chain((0..calls).map(|_| Event::Calling)),
        )
    };
    let outside = refunding(calling(Some(lost(&put(), 1)), [Ok(answer(2, 200))]));
    let reply = ask(&outside, &put());
    assert!(
        matches!(
            reply,
            PayReply::Granted {
                receipt: Some(_),
                ..
            }
        ),
        "{reply:?}"
    );
    for (sold, calls) in [(post(), 1), (put(), 2)] {
        let outside = refunding(calling(Some(lost(&sold, calls)), [Ok(answer(1, 200))]));
        ask(&outside, &sold);
        assert!(outside.made.borrow().is_empty());
        let state = outside.store.record().state;
        assert!(!matches!(state, State::Delivered { .. }), "{state:?}");
        assert!(
            !matches!(state, State::Paid { failure: None, .. }),
            "{state:?}"
        );
    }
}

#[test]
fn an_answer_to_another_call_than_the_one_that_is_made_delivers_nothing() {
    let record = after(&put(), [sent(OURS), settled(), Event::Calling]);
    let issued = |number| Event::Issued {
        goods: answered(answer(number, 200), None),
    };
    assert_eq!(apply(Some(&record), issued(2), NOW, &POLICY), Err(Refused));
    assert!(apply(Some(&record), issued(1), NOW, &POLICY).is_ok());
    let token = super::issued();
    assert_eq!(apply(Some(&record), token, NOW, &POLICY), Err(Refused));
    let plan = record_after([attempted(1), Event::Reserved, settled()]);
    assert_eq!(apply(Some(&plan), issued(1), NOW, &POLICY), Err(Refused));
}

#[test]
fn who_shows_what_everybody_has_seen_on_chain_gets_no_answer_while_the_call_is_made() {
    for begun in [None, Some(Event::Calling)] {
        let mut record = after(&put(), [sent(OURS), settled()].into_iter().chain(begun));
        let authorization = signed(1);
        record.terms.request_id = RequestId::derived(&payment_fingerprint(
            record.terms.network,
            authorization.payer(),
            authorization.authorization().nonce,
        ));
        let mut outside = calling(Some(record), [Ok(answer(1, 200))]);
        assert_eq!(ask(&outside, &put()), PayReply::NeedsFreshSignature);
        assert!(outside.made.borrow().is_empty());
        outside.is_used = false;
        let reply = outside.answer(Ask::Pay(Box::new(Pay {
            authorization: signed(2),
            ..pay_call(&put())
        })));
        assert!(matches!(reply, PayReply::Granted { .. }), "{reply:?}");
    }
}

#[test]
fn a_transfer_pays_for_no_call() {
    let outside = calling(None, [Ok(answer(1, 200))]);
    let prove = crate::purchase::question::Prove {
        offer: crate::purchase::test_support::call_offer(),
        sold: Some(post()),
        issuer: "https://shop.example".to_owned(),
        payer: Some(buyer().address()),
        transaction: STRANGERS,
    };
    let reply = outside.answer(Ask::Prove(Box::new(prove)));
    assert_eq!(reply, PayReply::Conflict);
    assert_eq!(outside.brought, Some(the_call()));
    assert_eq!(outside.store.load(), Ok(None));
}
