//! What was sold is fixed when the purchase begins.

use super::*;
use crate::purchase::sold::Sold;
use crate::purchase::test_support::{sold, test_offer};
use crate::types::UsdcAmount;

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

fn longer() -> Sold {
    Sold {
        lifetime: 86_400,
        ..sold()
    }
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
fn what_is_delivered_belongs_to_the_price_that_was_paid() {
    let expired = [attempted(1), Event::Reserved, LAPSED, Event::TargetReleased];
    let delivered = |offered: Option<Sold>| {
        let mut event = shown(offered);
        if let Event::Proven { offer, .. } = &mut event {
            offer.terms.amount = UsdcAmount::from_units(1);
        }
        let proven = record_after(expired.clone().into_iter().chain([event]));
        proven.sold
    };
    assert_eq!(delivered(Some(longer())), Some(longer()));
    assert_eq!(delivered(None), None, "it is not known, and goes back");
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
    let fault = IssueFault::PlanGone;
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
