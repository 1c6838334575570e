//! What the ids of offers contain, and what can be bought with them.

use super::*;
use crate::config::Config;
use crate::offer::CallDigest;

fn with_plans(plans: &Value) -> Config {
    Config::from_vars(|name| match name {
        "PLANS" => Some(plans.to_string()),
        "KEY0_TOKEN_TTL_SECONDS" => Some("77".to_owned()),
        _ => crate::config::test_var(name).map(str::to_owned),
    })
    .unwrap()
}

/// The terms of the first offer for this body.
fn terms(config: &Config, body: &Value) -> Terms {
    let answer = post(config, &body.to_string(), None, []);
    let id = answer.body["challengeId"].as_str().unwrap();
    config.offers.keys.open(id).unwrap().terms
}

#[test]
fn an_offer_says_how_long_the_access_lasts_and_what_the_backend_will_be_told() {
    let config = with_plans(&json!([
        {"planId": "usual", "unitAmount": "$1"},
        {"planId": "gold", "unitAmount": "$2", "expiresIn": 5, "extra": {"tier": "gold"}},
    ]));
    let usual = terms(&config, &json!({"planId": "usual"}));
    assert_eq!((usual.lifetime, usual.extra), (77, None));
    let gold = terms(&config, &json!({"planId": "gold"}));
    let sold = config.catalog.plan(&"gold".parse().unwrap()).unwrap();
    assert_eq!(gold.lifetime, 5);
    assert_eq!(
        gold.extra,
        config.offers.keys.digest(&sold.extra, &sold.limits)
    );
    assert!(gold.extra.is_some());
}

#[test]
fn an_offer_says_whether_its_client_has_named_the_purchase() {
    let config = test_config();
    let named = terms(&config, &json!({"planId": PLAN, "requestId": OWN_ID}));
    assert_eq!((named.chosen, named.request_id.as_str()), (true, OWN_ID));
    for body in [json!({"planId": PLAN}), json!({})] {
        assert!(!terms(&config, &body).chosen, "{body}");
    }
}

#[test]
fn who_named_the_purchase_when_asking_for_the_price_need_not_name_it_again_to_pay() {
    let config = test_config();
    let asked = |body: &Value| {
        let offer = post(&config, &body.to_string(), None, []);
        let kept = offer.required.unwrap()["accepts"][0]["extra"].clone();
        let payment = version2(config.wallets.pay_to, price(&config).units(), &kept);
        let answer = send(&json!({"planId": PLAN}), &payment, [granted()]);
        let [(_, Ask::Pay(pay))] = answer.asked.as_slice() else {
            panic!("{:?}", answer.asked);
        };
        pay.sale.as_ref().unwrap().is_chosen()
    };
    assert!(asked(&json!({"planId": PLAN, "requestId": OWN_ID})));
    assert!(!asked(&json!({"planId": PLAN})));
}

#[test]
fn the_offer_after_a_failure_is_another_purchase_that_its_client_has_not_named() {
    let config = test_config();
    let units = price(&config).units();
    let named = "550e8400-e29b-41d4-a716-446655440000";
    let body = json!({"planId": PLAN, "requestId": named});
    let answer = send(
        &body,
        &version1(config.wallets.pay_to, units),
        [refused(true)],
    );
    let extra = &answer.required.unwrap()["accepts"][0]["extra"];
    let terms = config
        .offers
        .keys
        .open(extra["challengeId"].as_str().unwrap())
        .unwrap()
        .terms;
    assert!(terms.request_id.as_str() != named && !terms.chosen);
}

#[test]
fn an_offer_for_a_call_opens_nothing_where_plans_are_sold() {
    let config = test_config();
    let sealed = config.offers.keys.seal(Terms {
        target: Target::Route {
            id: PLAN.parse().unwrap(),
            call: CallDigest::of([]),
        },
        amount: price(&config),
        pay_to: config.wallets.pay_to,
        ..test_offer().terms
    });
    let kept = json!({"challengeId": sealed.id});
    let payment = version2(config.wallets.pay_to, price(&config).units(), &kept);
    let answer = send(&json!({}), &payment, [PayReply::Conflict]);
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    assert_eq!(answer.body["code"], "TIER_NOT_FOUND");
    assert_eq!(answer.body["details"]["routeId"], PLAN);
    // For the plan with the same id as the route, the offer contradicts the request.
    let answer = send(&json!({"planId": PLAN}), &payment, []);
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(answer.body["details"]["mismatch"], json!(["planId"]));
    assert!(answer.asked.is_empty());
}
