//! The paid tool for clients of the Machine Payments Protocol.

use super::*;
use crate::catalog::{Catalog, testing};
use crate::doors::test_support::credential;
use crate::purchase::test_support::{answer as answer_to_call, answered};

const CREDENTIAL: &str = "org.paymentauth/credential";

fn required(told: &Told) -> &Value {
    &told.result()["_meta"]["org.paymentauth/payment-required"]
}

/// The credential for the challenge of an answer.
fn pays(shop: &Shop, told: &Told) -> Value {
    let challenge = &required(told)["challenges"][0];
    let id = challenge["id"].as_str().unwrap();
    let credential = credential(&shop.config.offers.keys.open(id).unwrap(), 0);
    for name in ["id", "realm", "method", "intent", "request", "expires"] {
        assert_eq!(credential["challenge"][name], challenge[name], "{name}");
    }
    credential
}

#[test]
fn an_offer_has_a_challenge_beside_it_and_its_credential_buys() {
    let shop = Shop::new();
    let offer = shop.access(&basic(), &Value::Null, []);
    assert!(offer.offers());
    assert_eq!(required(&offer)["httpStatus"], 402);
    let described = &required(&offer)["challenges"][0]["description"];
    assert!(described.as_str().unwrap().starts_with("Plan basic: $"));
    let meta = json!({CREDENTIAL: pays(&shop, &offer)});
    let bought = shop.access_with(&basic(), &meta, [granted()]);
    let result = bought.result();
    assert_eq!(result["isError"], false, "{result}");
    assert_eq!(result["structuredContent"]["status"], "access_granted");
    let receipt = &result["_meta"]["org.paymentauth/receipt"];
    assert_eq!(receipt["status"], "success");
    assert_eq!(receipt["challengeId"], meta[CREDENTIAL]["challenge"]["id"]);
    assert!(bought.receipt().is_null() && required(&bought).is_null());
}

#[test]
fn there_is_a_challenge_again_only_where_nothing_was_begun() {
    let shop = Shop::new();
    let offer = shop.access(&basic(), &Value::Null, []);
    let refused = |begun| PayReply::Refused {
        reason: Refusal::InsufficientFunds,
        transaction: None,
        begun,
    };
    for (reply, problem) in [
        (refused(false), Some("payment-insufficient")),
        (PayReply::Expired, Some("payment-expired")),
        (refused(true), None),
        (PayReply::Taken, None),
        (PayReply::Conflict, None),
        (PayReply::Pending { transaction: None }, None),
        (PayReply::Unavailable, None),
    ] {
        let name = format!("{reply:?}");
        let meta = json!({CREDENTIAL: pays(&shop, &offer)});
        let told = shop.access_with(&basic(), &meta, [reply]);
        assert_eq!(told.result()["isError"], true, "{name}");
        let found = required(&told)["problem"]["type"].as_str();
        let found = found.map(|uri| uri.rsplit('/').next().unwrap());
        assert_eq!(found, problem, "{name}");
        assert_eq!(told.offers(), problem.is_some(), "{name}");
        if name.starts_with("Pending") {
            let text = told.texts()[0];
            assert!(text.contains("\"requestId\""), "{text}");
        }
    }
}

#[test]
fn what_cannot_be_read_or_is_for_something_else_gets_a_new_challenge() {
    let mut shop = Shop::new();
    let offer = shop.access(&basic(), &Value::Null, []);
    let mut changed = pays(&shop, &offer);
    changed["challenge"]["request"]["amount"] = json!("1");
    let mut other = pays(&shop, &offer);
    other["challenge"]["method"] = json!("tempo");
    for (credential, problem) in [
        (json!("garbage"), Some("malformed-credential")),
        (json!({}), Some("malformed-credential")),
        (changed, Some("invalid-challenge")),
        (other, None),
    ] {
        let told = shop.access_with(&basic(), &json!({CREDENTIAL: credential}), []);
        let found = required(&told)["problem"]["type"].as_str();
        let found = found.map(|uri| uri.rsplit('/').next().unwrap());
        assert_eq!(found, problem);
        assert!(told.counts && told.asked.is_empty());
    }
    let both = json!({CREDENTIAL: pays(&shop, &offer), "x402/payment": shop.payment()});
    let told = shop.access_with(&basic(), &both, []);
    assert_eq!(told.fails(), "INVALID_REQUEST");
    shop.config.mpp.enabled = false;
    let told = shop.access_with(&basic(), &json!({}), []);
    assert!(told.offers() && required(&told).is_null());
}

#[test]
fn a_call_of_a_route_has_a_challenge_and_its_credential_buys_the_answer() {
    let mut shop = Shop::new();
    let weather = json!({"routeId": "weather", "resource": {"path": "/weather/oslo"}});
    let selling = |shop: &mut Shop, id: &str| {
        let plans = shop.config.catalog.plans().to_vec();
        let routes = vec![testing::route(id, "GET", "/weather/:city")];
        shop.config.catalog = Catalog::with_routes(plans, routes);
    };
    selling(&mut shop, "weather");
    let offer = shop.access(&weather, &Value::Null, []);
    let described = &required(&offer)["challenges"][0]["description"];
    assert!(
        described
            .as_str()
            .unwrap()
            .starts_with("One call of weather: $")
    );
    let meta = json!({CREDENTIAL: pays(&shop, &offer)});
    let answer = || PayReply::Granted {
        goods: answered(answer_to_call(1, 200), None),
        receipt: Some(receipt(buyer().address())),
        again: false,
    };
    let bought = shop.access_with(&weather, &meta, [answer()]);
    assert_eq!(bought.brought.as_ref().unwrap().target, "/weather/oslo");
    let result = bought.result();
    assert_eq!(result["isError"], false, "{result}");
    assert_eq!(result["structuredContent"]["type"], "ResourceResponse");
    assert_eq!(
        result["_meta"]["org.paymentauth/receipt"]["status"],
        "success"
    );
    // After the seller has renamed the route, the same credential gets the same answer.
    selling(&mut shop, "climate");
    let climate = json!({"routeId": "climate", "resource": {"path": "/weather/oslo"}});
    let again = shop.access_with(&climate, &meta, [answer()]);
    assert!(required(&again).is_null());
    assert_eq!(
        again.result()["structuredContent"]["type"],
        "ResourceResponse"
    );
    let [(_, Ask::Pay(asked))] = &again.asked[..] else {
        panic!("{:?}", again.asked);
    };
    assert!(asked.sale.is_none());
    let rome = json!({"routeId": "climate", "resource": {"path": "/weather/rome"}});
    let other = shop.access_with(&rome, &meta, [answer()]);
    assert_eq!(other.fails(), "TX_ALREADY_REDEEMED");
    assert!(required(&other).is_null());
    let unpaid = shop.access_with(&rome, &meta, [PayReply::Conflict]);
    assert_eq!(required(&unpaid)["httpStatus"], 402);
}
