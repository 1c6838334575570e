//! The terms of the purchase decide, not today's settings: what is delivered, which wallet returns the money, on which
//! network.

use super::*;
use crate::backend::issuance::IssuingBackend;
use crate::backend::notification::Notified;
use crate::catalog::Catalog;
use crate::goods::DeliveryFault;
use crate::offer::{CallDigest, Target};
use crate::purchase::outbox::NoticeKind;
use crate::purchase::sold::{Access, Sold};
use crate::purchase::state::Rest;
use crate::purchase::test_support::access;
use crate::types::WalletKey;

fn paid_for(sold: Option<Sold>) -> Purchase {
    let mut record = record_after([attempted(1), Event::Reserved, settled()]);
    record.sold = sold;
    record
}

fn a_month() -> Sold {
    let extra = serde_json::from_str(r#"{"tier":"gold"}"#).unwrap();
    Sold::Access(Access {
        lifetime: 2_592_000,
        extra,
        ..access()
    })
}

fn catalog(text: &str) -> Catalog {
    Catalog::from_json(text).unwrap()
}

#[test]
fn a_plan_that_is_edited_or_removed_delivers_what_was_sold() {
    let edited = r#"[{"planId":"basic","unitAmount":"$0.015","expiresIn":60}]"#;
    let removed = r#"[{"planId":"another","unitAmount":"$0.015"}]"#;
    for plans in [edited, removed] {
        let mut outside = Outside::new(paid_for(Some(a_month())));
        outside.config.catalog = catalog(plans);
        let Some(Event::Issued { goods }) = outside.run() else {
            panic!("{plans}");
        };
        let claims = goods.claims().unwrap();
        assert_eq!(claims.exp - claims.iat, 2_592_000, "{plans}");
    }
}

#[test]
fn what_nobody_knows_is_a_failed_delivery_and_not_an_hour() {
    let fault = DeliveryFault::PlanGone;
    let mut outside = Outside::new(paid_for(None));
    assert_eq!(outside.run(), Some(Event::IssueFailed { fault }));
    outside.config.backend.issuing = Some(backend());
    assert_eq!(outside.run(), Some(Event::IssueFailed { fault }));
    assert!(outside.calls.borrow().is_empty());
}

/// A paid purchase of a call whose route has the id of a plan.
fn paid_for_a_call() -> Purchase {
    let mut record = paid_for(Some(a_month()));
    record.terms.target = Target::Route {
        id: "basic".parse().unwrap(),
        call: CallDigest::of([]),
    };
    record
}

#[test]
fn a_call_never_becomes_a_token_of_the_plan_of_its_name() {
    let fault = DeliveryFault::PlanGone;
    let mut outside = Outside::new(paid_for_a_call());
    assert_eq!(outside.run(), Some(Event::IssueFailed { fault }));
    outside.config.backend.issuing = Some(backend());
    assert_eq!(outside.run(), Some(Event::IssueFailed { fault }));
    assert!(outside.calls.borrow().is_empty());
}

#[test]
fn the_ledger_is_told_of_a_call_under_its_route() {
    let entry = crate::purchase::ledger_entry(&paid_for_a_call(), 1);
    assert_eq!(entry.target, "route:basic");
}

#[test]
fn the_backend_is_told_of_the_plan_what_it_said_when_it_was_sold() {
    let mut outside = Outside::new(paid_for(Some(a_month())));
    outside.config.backend.issuing = Some(backend());
    let other = r#"[{"planId":"basic","unitAmount":"$0.015","extra":{"tier":"lead"}}]"#;
    outside.config.catalog = catalog(other);
    outside.run();
    let calls = outside.calls.borrow();
    let body: serde_json::Value = serde_json::from_slice(&calls[0].body).unwrap();
    assert_eq!(body["tier"], "gold");
}

fn limited() -> Sold {
    let limits = r#"{"quota":{"calls":1650},"rate":{"calls":100,"per":"minute"}}"#;
    Sold::Access(Access {
        limits: serde_json::from_str(limits).unwrap(),
        ..access()
    })
}

/// The claims of what is delivered, as a token has them.
fn delivered(sold: Sold) -> serde_json::Value {
    let Some(Event::Issued { goods }) = Outside::new(paid_for(Some(sold))).run() else {
        panic!("not delivered");
    };
    serde_json::to_value(goods.claims().unwrap()).unwrap()
}

#[test]
fn the_token_of_a_plan_with_limits_tells_them_and_names_its_purchase_as_the_grant() {
    let claims = delivered(limited());
    assert_eq!(claims["grant"], claims["sub"]);
    let limits = crate::json!({
        "quota": {"calls": 1650},
        "rate": {"calls": 100, "per": "minute"},
    });
    assert_eq!(claims["limits"], limits);
    let claims = delivered(a_month());
    assert_eq!((claims.get("grant"), claims.get("limits")), (None, None));
}

#[test]
fn the_backend_that_issues_hears_the_limits_that_were_sold_and_none_where_there_are_none() {
    let body = |sold: Sold| {
        let mut outside = Outside::new(paid_for(Some(sold)));
        outside.config.backend.issuing = Some(backend());
        outside.run();
        let calls = outside.calls.borrow();
        serde_json::from_slice::<serde_json::Value>(&calls[0].body).unwrap()
    };
    let told = body(limited());
    assert_eq!(told["limits"]["quota"], crate::json!({"calls": 1650}));
    assert!(body(a_month()).get("limits").is_none());
    // What the seller wrote under that name does not pass for limits.
    let Sold::Access(access) = limited() else {
        panic!("no access");
    };
    let extra = serde_json::from_str(r#"{"limits":"none"}"#).unwrap();
    let sold = Sold::Access(Access { extra, ..access });
    assert_eq!(body(sold)["limits"], told["limits"]);
}

fn backend() -> IssuingBackend {
    IssuingBackend {
        url: "https://backend.example".parse().unwrap(),
        timeout_millis: 1_000,
        retries: 0,
    }
}

/// A shop with a purchase that was paid to this wallet and undelivered for so long that the money goes back.
fn to_be_refunded(paid_to: Address) -> Outside {
    let mut record = paid_for(Some(a_month()));
    record.terms.pay_to = paid_to;
    let fault = DeliveryFault::Failed;
    record = apply(Some(&record), Event::IssueFailed { fault }, NOW, &POLICY).unwrap();
    let mut outside = Outside::new(record);
    outside.config.refund.wallet = Some(seller());
    outside.time += 60;
    outside
}

fn seller() -> WalletKey {
    WalletKey::from_hex(&format!("{:064x}", 0x5e11e4)).unwrap()
}

#[test]
fn a_refund_leaves_only_the_wallet_that_received_the_payment() {
    let mut outside = to_be_refunded(seller().address());
    let Some(Event::RefundBegun { authorization }) = outside.run() else {
        panic!("no refund");
    };
    let authorization = authorization.authorization();
    assert_eq!(authorization.from, seller().address());
    assert_eq!(authorization.to, buyer().address());

    outside = to_be_refunded(Address::repeat_byte(9));
    assert_eq!(outside.run(), Some(Event::RefundBlocked));
}

#[test]
fn a_blocked_refund_that_is_retried_without_a_key_is_blocked_again() {
    let outside = to_be_refunded(Address::repeat_byte(9));
    let mut record = outside.store.record();
    for event in [Event::RefundBlocked, Event::RefundRetried] {
        record = apply(Some(&record), event, NOW, &POLICY).unwrap();
    }
    record.holds_target = false;
    let outside = Outside::new(record);
    assert!(outside.config.refund.wallet.is_none());
    assert_eq!(outside.run(), Some(Event::RefundBlocked));
}

fn on_mainnet(record: Purchase) -> Outside {
    let mut outside = Outside::new(record);
    outside.config.network = Network::Base;
    outside.config.backend.notified = Some(Notified {
        url: "https://backend.example".parse().unwrap(),
        secrets: Vec::new(),
    });
    outside
}

#[test]
fn a_purchase_on_another_network_answers_nobody_and_asks_nobody() {
    // A purchase that has not begun answers nobody, either.
    let outside = on_mainnet(submitted());
    outside.forget();
    let mut named = pay(1);
    named.identifier = Some(B256::repeat_byte(5));
    let ask = Ask::Pay(Box::new(named));
    assert_eq!(outside.answer(ask), PayReply::Conflict);
    assert!(outside.asked.borrow().is_empty());

    let delivered = crate::purchase::test_support::delivered_and_noted();
    assert_eq!(delivered.outbox.open[0].kind, NoticeKind::Delivered);
    for record in [
        submitted(),
        failed(),
        expired(),
        paid_for(Some(a_month())),
        delivered,
    ] {
        let outside = on_mainnet(record.clone());
        assert_eq!(outside.ask(), PayReply::Conflict, "{:?}", record.state);
        outside.wake();
        assert!(outside.asked.borrow().is_empty(), "{:?}", record.state);
        assert!(outside.calls.borrow().is_empty(), "{:?}", record.state);
        assert_eq!(outside.searches.get(), 0, "{:?}", record.state);
        let after = outside.store.record();
        assert_eq!(after.state, record.state);
        assert!(after.rest == Rest::NotYet, "{:?}", record.state);
        // Back on its own network, the purchase goes on.
        let back = Outside::new(after);
        assert_ne!(back.ask(), PayReply::Conflict, "{:?}", record.state);
    }
}
