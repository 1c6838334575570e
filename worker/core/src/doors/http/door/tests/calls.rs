//! Calls of routes that are described in the body.

use super::*;
use crate::catalog::{Catalog, testing};
use crate::offer::CallDigest;
use crate::purchase::test_support::{answered, receipt};
use crate::types::UsdcAmount;

const CENT: u64 = 10_000;

fn shop() -> Config {
    let mut config = test_config();
    let free = crate::catalog::Route {
        price: None,
        ..testing::route("status", "GET", "/status")
    };
    let dear = crate::catalog::Route {
        price: Some(UsdcAmount::from_units(1_000_000)),
        ..testing::route("premium", "GET", "/api/premium/:city")
    };
    let routes = vec![
        testing::route("weather", "GET", "/api/weather/:city"),
        testing::route("note", "POST", "/api/notes"),
        dear,
        free,
    ];
    config.catalog = Catalog::with_routes(config.catalog.plans().to_vec(), routes);
    config
}

fn weather() -> Value {
    json!({"routeId": "weather", "resource": {"method": "GET", "path": "/api/weather/oslo?days=3"}})
}

fn offer_of(wish: &Value) -> Value {
    let answer = post(&shop(), &wish.to_string(), None, []);
    assert_eq!(
        answer.status,
        StatusCode::PAYMENT_REQUIRED,
        "{}",
        answer.body
    );
    assert_eq!(answer.asked, []);
    answer.required.unwrap()
}

/// Pays an offer, in a request with this body.
fn pay(required: &Value, wish: &Value, replies: impl IntoIterator<Item = PayReply>) -> Answer {
    let config = shop();
    let extra = &required["accepts"][0]["extra"];
    let payment = version2(config.wallets.pay_to, CENT, extra);
    post(&config, &wish.to_string(), Some(&payment), replies)
}

fn answer_of(status: u16, is_paid: bool) -> PayReply {
    PayReply::Granted {
        goods: answered(answer_to_call(1, status), None),
        receipt: is_paid.then(|| receipt(buyer().address())),
        again: false,
    }
}

#[test]
fn a_call_that_is_described_is_offered_like_one_that_is_made() {
    let required = offer_of(&weather());
    let [offer] = required["accepts"].as_array().unwrap().as_slice() else {
        panic!("{required}");
    };
    assert_eq!(offer["amount"], CENT.to_string());
    assert_eq!(offer["extra"]["routeId"], "weather");
    let url = "https://shop.example/api/weather/oslo?days=3";
    assert_eq!(required["resource"]["url"], url);
    let answer = post(&shop(), &weather().to_string(), None, []);
    assert_eq!(answer.body["nextStep"]["body"], weather());
    assert_eq!(
        answer.body["nextStep"]["url"],
        "https://shop.example/x402/access"
    );
    assert!(answer.body.get("transferInstead").is_none());
}

#[test]
fn the_purchase_gets_the_call_that_was_paid_for_and_the_buyer_its_answer_as_json() {
    let required = offer_of(&weather());
    let paid = pay(&required, &weather(), [answer_of(200, true)]);
    assert_eq!(paid.status, StatusCode::OK, "{}", paid.body);
    let brought = paid.brought.unwrap();
    assert_eq!(brought.target, "/api/weather/oslo?days=3");
    assert_eq!(brought.method, "GET");
    let [(_, Ask::Pay(asked))] = &paid.asked[..] else {
        panic!("{:?}", paid.asked);
    };
    let sale = asked.sale.as_ref().unwrap();
    let target = Target::Route {
        id: "weather".parse().unwrap(),
        call: brought.digest,
    };
    assert_eq!(sale.offer.terms.target, target);
    let hash = receipt(buyer().address()).transaction;
    assert_eq!(paid.body["type"], "ResourceResponse");
    assert_eq!(paid.body["resource"]["status"], 200);
    assert_eq!(paid.body["resource"]["body"], "sunny");
    assert_eq!(paid.body["txHash"], json!(hash));
    assert_eq!(paid.body["charged"], true);
    let settled = paid.settled.unwrap();
    assert_eq!(settled["success"], true);
    assert_eq!(settled["transaction"], json!(hash));
}

#[test]
fn an_answer_that_is_not_charged_for_has_its_status_and_no_receipt() {
    let required = offer_of(&weather());
    let told = pay(&required, &weather(), [answer_of(404, false)]);
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(told.body["resource"]["status"], 404);
    assert_eq!(told.body["charged"], false);
    assert_eq!((told.settled, told.body.get("txHash")), (None, None));
}

#[test]
fn the_payment_for_one_call_does_not_pay_for_another() {
    let required = offer_of(&weather());
    for other in [
        json!({"routeId": "weather", "resource": {"path": "/api/weather/oslo?days=4"}}),
        json!({"routeId": "weather", "resource": {"path": "/api/weather/rome?days=3"}}),
        json!({"routeId": "premium", "resource": {"path": "/api/premium/oslo"}}),
        json!({"planId": "basic"}),
    ] {
        let refused = pay(&required, &other, [PayReply::Conflict]);
        assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED, "{other}");
        let mut asked = refused.asked.iter();
        // The purchase of its own call may be looked at, and nothing begins.
        assert!(
            asked.all(|(_, ask)| matches!(ask, Ask::Pay(pay) if pay.sale.is_none())),
            "{other}"
        );
    }
    // The id of the cheap route does not make the dear one cheap.
    let dear = json!({"routeId": "weather", "resource": {"path": "/api/premium/oslo"}});
    let refused = pay(&required, &dear, []);
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.body["code"], "INVALID_REQUEST");
}

#[test]
fn a_payment_for_a_call_without_the_call_hears_where_it_belongs() {
    let required = offer_of(&weather());
    for reply in [PayReply::Conflict, PayReply::Calling { transaction: None }] {
        let told = pay(&required, &json!({}), [reply]);
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{}", told.body);
        assert_eq!(told.body["code"], "MISSING_RESOURCE_FIELD");
        assert_eq!(
            told.body["details"]["url"],
            "https://shop.example/api/weather/:city"
        );
        assert_eq!((told.has_offer, told.settled), (false, None));
        let [(_, Ask::Pay(asked))] = &told.asked[..] else {
            panic!("{:?}", told.asked);
        };
        assert_eq!(asked.sale, None, "it begins nothing");
    }
    // What was answered before is answered again.
    let told = pay(&required, &json!({}), [answer_of(200, true)]);
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(told.body["resource"]["body"], "sunny");
}

#[test]
fn a_free_call_is_made_and_answered_without_a_payment() {
    let wish =
        json!({"routeId": "status", "requestId": OWN_ID, "resource": {"path": "/status?x=1"}});
    let told = post(&shop(), &wish.to_string(), None, []);
    assert_eq!(told.status, StatusCode::OK, "{}", told.body);
    assert_eq!(told.body["type"], "ResourceResponse");
    assert_eq!(told.body["challengeId"], format!("free-{OWN_ID}"));
    assert_eq!(told.body["resource"]["body"], "sunny");
    assert!(told.settled.is_none() && told.asked.is_empty());
    let [made] = &told.made[..] else {
        panic!("{:?}", told.made);
    };
    assert_eq!(made.target, "/status?x=1");
    assert_ne!(made.digest, CallDigest::of([]));
}

#[test]
fn a_call_that_does_not_fit_its_route_is_refused_before_any_price_is_told() {
    for (wish, code) in [
        (json!({"routeId": "gone"}), "TIER_NOT_FOUND"),
        (json!({"routeId": "weather"}), "MISSING_RESOURCE_FIELD"),
        (
            json!({"routeId": "weather", "planId": "basic"}),
            "INVALID_REQUEST",
        ),
        (json!({"routeId": "w w"}), "INVALID_REQUEST"),
    ] {
        let told = post(&shop(), &wish.to_string(), None, []);
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{wish}");
        assert_eq!(told.body["code"], code, "{wish}");
        assert!(!told.has_offer, "{wish}");
    }
}
