//! What a purchase sells is fixed when it begins.

use super::*;
use crate::meter::Limits;
use crate::offer::{ExtraDigest, SealKeys, Terms};
use crate::purchase::sold::{Access, Sold};
use crate::purchase::test_support::{access, pay, sold, test_offer};
use crate::types::{Secret, UsdcAmount};

fn shown(sold: Option<Sold>) -> Event {
    Event::Proven {
        offer: test_offer(),
        sold,
        issuer: "https://shop.example".to_owned(),
        payer: buyer().address(),
        proof: crate::purchase::Proof {
            transaction: B256::repeat_byte(0x77),
            block: 9,
            included_at: NOW.to_seconds(),
            transfers: vec![(3, payment().amount)],
            signed: true,
        },
    }
}

/// The event [`shown`] for another offer of the same purchase.
fn shown_for(sold: Option<Sold>, change: fn(&mut Terms)) -> Event {
    let mut event = shown(sold);
    if let Event::Proven { offer, .. } = &mut event {
        let mut terms = offer.terms.clone();
        change(&mut terms);
        *offer = seal_keys().seal(terms);
    }
    event
}

fn seal_keys() -> SealKeys {
    SealKeys::new(&Secret::new("test"), &[])
}

fn a_digest() -> Option<ExtraDigest> {
    let extra = serde_json::from_str(r#"{"tier":"gold"}"#).unwrap();
    seal_keys().digest(&extra, &Limits::default())
}

fn longer() -> Sold {
    Sold::Access(Access {
        lifetime: 86_400,
        ..access()
    })
}

#[test]
fn it_is_in_the_record_from_the_first_event_and_no_later_one_changes_it() {
    for (state, record) in states() {
        assert_eq!(record.sold, Some(sold()), "{state}");
    }
    assert_eq!(record_after([shown(None)]).sold, None);
    let expired = [attempted(1), Event::Reserved, LAPSED, Event::TargetReleased];
    let proven = record_after(expired.into_iter().chain([shown(Some(longer()))]));
    assert_eq!(proven.sold, Some(sold()), "not what the plan says by then");
    let unknown = [shown(None), Event::Taken];
    let known = record_after(unknown.into_iter().chain([shown(Some(longer()))]));
    assert_eq!(known.sold, Some(longer()));
}

#[test]
fn what_is_delivered_belongs_to_the_offer_that_was_paid() {
    let expired = [attempted(1), Event::Reserved, LAPSED, Event::TargetReleased];
    let delivered = |offered: Option<Sold>, change: fn(&mut Terms)| {
        let event = shown_for(offered, change);
        let proven = record_after(expired.clone().into_iter().chain([event]));
        proven.sold
    };
    let changes: [fn(&mut Terms); 3] = [
        |terms| terms.amount = UsdcAmount::from_units(1),
        |terms| terms.lifetime += 1,
        |terms| terms.extra = a_digest(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert_eq!(delivered(Some(longer()), change), Some(longer()), "{at}");
        let found = delivered(None, change);
        assert_eq!(found, None, "{at}: it is not known, and goes back");
    }
    // A later offer that sells the same.
    let later = |terms: &mut Terms| terms.expires_at = terms.expires_at.plus(60);
    assert_eq!(delivered(None, later), Some(sold()));
}

#[test]
fn a_transfer_for_another_offer_makes_that_the_purchases_offer() {
    let expired = [attempted(1), Event::Reserved, LAPSED, Event::TargetReleased];
    let begun = record_after(expired.clone());
    let changes: [fn(&mut Terms); 3] = [
        |terms| terms.amount = UsdcAmount::from_units(14_999),
        |terms| terms.lifetime += 1,
        |terms| terms.issued_at = terms.issued_at.plus(86_400),
    ];
    for change in changes {
        let mut paid = begun.terms.clone();
        change(&mut paid);
        let event = shown_for(Some(longer()), change);
        let proven = record_after(expired.clone().into_iter().chain([event]));
        assert_eq!(proven.challenge_id, seal_keys().seal(paid.clone()).id);
        assert_eq!(proven.terms, paid);
        // The time of the beginning stays, or the ledger would file the purchase under another day.
        assert_eq!(proven.begun_at, begun.begun_at);
    }
}

#[test]
fn a_purchase_is_named_by_its_offer_or_by_the_request_that_pays() {
    let mut named = shown(None);
    if let Event::Proven { offer, .. } = &mut named {
        offer.terms.chosen = true;
    }
    assert!(record_after([named]).chosen);
    assert!(!record_after([shown(None)]).chosen);
    for (by_offer, by_request) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut sale = pay(1).sale.unwrap();
        sale.offer.terms.chosen = by_offer;
        sale.chosen = by_request;
        assert_eq!(sale.is_chosen(), by_offer || by_request);
    }
}

#[test]
fn it_goes_with_the_history_of_what_is_delivered_or_returned_and_of_nothing_else() {
    let after_a_week = |mut record: Purchase| {
        for event in [Event::TargetReleased, REPORTED] {
            record = apply(Some(&record), event.clone(), NOW, &POLICY).unwrap_or(record);
        }
        let later = NOW.plus(HISTORY_MILLIS);
        apply(Some(&record), Event::HistoryRemoved, later, &POLICY)
            .unwrap()
            .sold
    };
    let of = |name| {
        states()
            .into_iter()
            .find(|(state, _)| *state == name)
            .unwrap()
            .1
    };
    assert_eq!(after_a_week(of("delivered")), None);
    assert_eq!(after_a_week(of("refunded")), None);
    assert_eq!(
        after_a_week(of("expired")),
        Some(sold()),
        "it may still be paid by a transfer"
    );
}

#[test]
fn delivery_of_an_unknown_plan_is_not_tried_again_all_the_time() {
    let fault = DeliveryFault::PlanGone;
    let failed = record_after(
        paid_events()
            .into_iter()
            .chain([Event::IssueFailed { fault }]),
    );
    let off = Policy {
        refund_after_millis: None,
        ..POLICY
    };
    let a_day_later = NOW.plus(86_400_000);
    assert_eq!(
        next_effect(&failed, NOW, &off),
        Effect::WaitUntil(a_day_later)
    );
    assert_eq!(next_effect(&failed, a_day_later, &off), Effect::Issue);
    let refunded_at = NOW.plus(30_000);
    assert_eq!(
        next_effect(&failed, NOW, &POLICY),
        Effect::WaitUntil(refunded_at)
    );
    assert_eq!(
        next_effect(&failed, refunded_at, &POLICY),
        Effect::BeginRefund
    );
}
