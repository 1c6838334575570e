//! The top-up of a grant: what is asked before it begins, what it adds, and what becomes of it before its money goes back.

use super::*;
use crate::goods::Goods;
use crate::meter::{Adds, Barred, Granted, Limits, Meter, Quota, Stored};
use crate::offer::{Offer, SealKeys, Target, Terms};
use crate::purchase::question::{Pay, Sale};
use crate::purchase::sold::{Sold, SoldTopUp};
use crate::purchase::test_support::test_offer;
use crate::types::Secret;

const HOUR: u64 = 3_600;

fn grant_id() -> RequestId {
    RequestId::from_random([9; 16])
}

fn offer() -> Offer {
    SealKeys::new(&Secret::new("test"), &[]).seal(Terms {
        target: Target::TopUp {
            plan: "basic".parse().unwrap(),
            grant: grant_id(),
        },
        ..test_offer().terms
    })
}

fn sold() -> Option<Sold> {
    Some(Sold::TopUp(SoldTopUp {
        adds: Adds {
            quota: Some(Quota::Calls(5)),
            seconds: HOUR,
        },
        by_holder: false,
    }))
}

fn pays(by_holder: bool) -> Pay {
    let plain = pay(1);
    Pay {
        target: crate::book::TargetKey::of(&offer().terms),
        sale: plain.sale.map(|sale| Sale {
            offer: offer(),
            sold: sold().map(|sold| sold.shown_by(by_holder)),
            ..sale
        }),
        ..plain
    }
}

fn paid() -> Purchase {
    let attempted = Event::Attempted {
        offer: offer(),
        sold: sold(),
        issuer: "https://shop.example".to_owned(),
        authorization: signed(1),
        identifier: None,
        chosen: false,
        gas_limit: 100_000,
        from_block: 7,
    };
    record_after([attempted, Event::Reserved, settled()])
}

/// A shop where `payer` has a grant of two calls.
fn shop(record: Purchase, payer: Address) -> Outside {
    let mut outside = Outside::new(record);
    outside.is_used = false;
    // Refunds are on; but not from this wallet.
    outside.config.refund.wallet = Some(buyer());
    outside.is_accepted = true;
    let granted = Granted {
        limits: serde_json::from_str::<Limits>(r#"{"quota":{"calls":2}}"#).unwrap(),
        plan: "basic".parse().unwrap(),
        resource: "maps".parse().unwrap(),
        payer,
        from: NOW.to_seconds(),
        ends_at: NOW.to_seconds().plus(HOUR),
    };
    let meter = Meter::new(1, Stored::new(granted), NOW);
    outside.grant.meter.replace(Some(meter));
    outside
}

impl Outside {
    /// Runs the next effect and stores what it brings.
    fn goes_on(&self) -> Option<Event> {
        let event = self.run()?;
        let record = self.store.record();
        let policy = self.config.policy();
        let next = apply(Some(&record), event.clone(), self.now(), &policy).unwrap();
        self.store.put(next);
        Some(event)
    }

    fn calls_sold(&self) -> u64 {
        let meter = self.grant.meter.borrow();
        let granted = &meter.as_ref().unwrap().stored().granted;
        granted.limits.quota.unwrap().units()
    }

    /// Makes this call of the grant.
    fn calls(&self, number: u8) {
        let mut meter = self.grant.meter.borrow_mut();
        let meter = meter.as_mut().unwrap();
        meter.begins(number, NOW).unwrap();
        meter.spends(number, 1, NOW);
    }

    /// Lets the time pass after which the money goes back.
    fn waits_for_the_refund(&self) {
        self.passed.set(self.passed.get() + 600_000);
    }
}

fn failed_to_hear(outside: &Outside) {
    outside.grant.loses_replies.set(true);
    let event = outside.goes_on();
    let fault = DeliveryFault::Failed;
    assert_eq!(event, Some(Event::IssueFailed { fault }));
    outside.grant.loses_replies.set(false);
    outside.waits_for_the_refund();
}

/// Whether the money goes back; or would, if the key of these tests' seller were known.
fn is_on_its_way_back(event: Option<Event>) -> bool {
    matches!(
        event,
        Some(Event::RefundBegun { .. } | Event::RefundBlocked)
    )
}

#[test]
fn a_top_up_gives_a_token_of_the_grant_and_opens_what_that_opens() {
    let outside = shop(paid(), buyer().address());
    let Some(Event::Issued {
        goods: Goods::Token { claims },
    }) = outside.goes_on()
    else {
        panic!("no token");
    };
    assert_eq!(claims.grant.as_deref(), Some(grant_id().as_str()));
    assert_eq!(claims.sub, test_offer().terms.request_id.as_str());
    assert_eq!(claims.resource_id, "maps");
    assert_eq!(claims.exp, NOW.to_seconds().0 + 2 * HOUR);
    assert_eq!(
        claims.limits.unwrap().quota,
        Some(key0_validator::Quota::Calls(7))
    );
    assert_eq!(outside.calls_sold(), 7);
}

#[test]
fn a_top_up_whose_reply_was_lost_is_asked_for_again_and_adds_once() {
    let outside = shop(paid(), buyer().address());
    outside.grant.loses_replies.set(true);
    assert!(matches!(outside.goes_on(), Some(Event::IssueFailed { .. })));
    outside.grant.loses_replies.set(false);
    outside.passed.set(outside.passed.get() + 5_000);
    assert!(matches!(outside.goes_on(), Some(Event::Issued { .. })));
    assert_eq!(outside.calls_sold(), 7);
}

#[test]
fn before_the_money_of_a_top_up_goes_back_it_is_withdrawn_and_never_comes_again() {
    let outside = shop(paid(), buyer().address());
    failed_to_hear(&outside);
    assert_eq!(outside.calls_sold(), 7);
    assert!(is_on_its_way_back(outside.goes_on()));
    assert_eq!(outside.calls_sold(), 2);
    // The message that adds was on its way for long.
    let late = shop(paid(), buyer().address());
    late.grant.meter.swap(&outside.grant.meter);
    let late = Outside {
        grant: outside.grant,
        ..late
    };
    let fault = DeliveryFault::GrantClosed;
    assert_eq!(late.goes_on(), Some(Event::IssueFailed { fault }));
}

#[test]
fn what_was_used_of_a_top_up_is_not_refunded_and_its_purchase_is_delivered() {
    let outside = shop(paid(), buyer().address());
    failed_to_hear(&outside);
    for number in 1..=3 {
        outside.calls(number);
    }
    let event = outside.goes_on();
    assert!(matches!(event, Some(Event::Issued { .. })), "{event:?}");
    assert_eq!(
        outside.store.record().state.status(),
        crate::types::Status::Delivered
    );
    assert_eq!(outside.calls_sold(), 7);
}

#[test]
fn no_refund_begins_before_the_grant_has_said_that_nothing_is_added() {
    let outside = shop(paid(), buyer().address());
    failed_to_hear(&outside);
    outside.grant.is_gone.set(true);
    assert_eq!(outside.goes_on(), None);
    outside.grant.is_gone.set(false);
    outside.grant.loses_replies.set(true);
    assert_eq!(outside.goes_on(), None);
    outside.grant.loses_replies.set(false);
    assert!(is_on_its_way_back(outside.goes_on()));
    assert_eq!(outside.calls_sold(), 2);
}

#[test]
fn without_the_key_for_refunds_a_top_up_is_withdrawn_before_the_money_is_returned_by_hand() {
    let outside = shop(paid(), buyer().address());
    failed_to_hear(&outside);
    assert_eq!(outside.goes_on(), Some(Event::RefundBlocked));
    assert_eq!(outside.calls_sold(), 2);
}

#[test]
fn an_operator_cannot_call_off_a_top_up_that_may_have_been_added() {
    let mut outside = shop(paid(), buyer().address());
    failed_to_hear(&outside);
    outside.config.refund.wallet = None;
    let cancel = |outside: &Outside| {
        let policy = outside.config.policy();
        operate(
            &outside.store,
            OperatorCommand::Cancel,
            outside.now(),
            &policy,
        )
        .unwrap()
    };
    let reply = cancel(&outside);
    assert!(
        matches!(reply, OperatorReply::NotPossible { .. }),
        "{reply:?}"
    );
    // Of a grant that is no more it is certain.
    outside.grant.meter.take();
    outside.passed.set(outside.passed.get() + 86_400_000);
    let fault = DeliveryFault::GrantClosed;
    assert_eq!(outside.goes_on(), Some(Event::IssueFailed { fault }));
    assert!(matches!(cancel(&outside), OperatorReply::Done { .. }));
}

#[test]
fn nothing_is_booked_for_a_grant_that_takes_no_such_top_up() {
    let stranger = Address::repeat_byte(3);
    let outside = shop(paid(), stranger);
    outside.forget();
    let ask = |by_holder| outside.answer(Ask::Pay(Box::new(pays(by_holder))));
    assert_eq!(ask(false), PayReply::Barred(Barred::NotYours));
    let asked = outside.asked.take();
    let books_nothing =
        |command: &PayerCommand| matches!(command, PayerCommand::Hold(hold) if hold.balance == 0);
    assert!(asked.iter().all(books_nothing), "{asked:?}");
    assert!(outside.store.stored.borrow().is_none());
    outside.grant.is_gone.set(true);
    assert_eq!(ask(false), PayReply::Unavailable);
    outside.grant.is_gone.set(false);
    // Who shows the token may pay from any wallet.
    ask(true);
    assert!(outside.store.stored.borrow().is_some());
    outside.forget();
    outside.grant.meter.take();
    assert_eq!(ask(true), PayReply::Barred(Barred::NotGranted));
}
