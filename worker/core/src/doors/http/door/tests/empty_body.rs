//! Bodies that name no plan: what is offered, and which plan a payment for such an offer buys.

use super::*;
use crate::config::Config;
use crate::purchase::Pay;

/// A shop with these plans, each with its price.
fn shop(plans: &[(&str, &str)]) -> Config {
    let plans: Vec<_> = plans
        .iter()
        .map(|(id, price)| json!({"planId": id, "unitAmount": price, "description": id}))
        .collect();
    with_plans(&Value::from(plans))
}

fn with_plans(plans: &Value) -> Config {
    Config::from_vars(|name| match name {
        "PLANS" => Some(plans.to_string()),
        _ => crate::config::test_var(name).map(str::to_owned),
    })
    .unwrap()
}

const SOME: [(&str, &str); 5] = [
    ("year", "$99"),
    ("day", "$0.50"),
    ("hour", "$0.02"),
    ("week", "$1"),
    ("month", "$1.01"),
];

fn offered(answer: &Answer) -> Vec<(String, String)> {
    let entries = answer.required.as_ref().unwrap()["accepts"].as_array();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .unwrap()
        .iter()
        .map(|entry| (text(&entry["extra"]["planId"]), text(&entry["amount"])))
        .collect()
}

fn plans(answer: &Answer) -> Vec<String> {
    offered(answer).into_iter().map(|(plan, _)| plan).collect()
}

fn only_question(answer: &Answer) -> &Pay {
    let [(_, Ask::Pay(pay))] = answer.asked.as_slice() else {
        panic!("{:?}", answer.asked);
    };
    pay
}

/// The purchases that were begun: id, plan and amount of each.
fn paid(answer: &Answer) -> Vec<(String, String, u64)> {
    let each = |(id, ask): &(RequestId, Ask)| {
        let Ask::Pay(pay) = ask else {
            panic!("{ask:?}");
        };
        let terms = &pay.sale.as_ref()?.offer.terms;
        let plan = terms.target.id();
        Some((id.to_string(), plan.to_string(), terms.amount.units()))
    };
    answer.asked.iter().filter_map(each).collect()
}

#[test]
fn an_empty_body_is_offered_the_cheapest_plans_and_the_body_is_about_the_first() {
    let config = shop(&SOME);
    for body in [
        "",
        "  \n",
        "{}",
        r#"{"planId":null}"#,
        r#"{"resourceId":"photos"}"#,
    ] {
        let answer = post(&config, body, None, []);
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED, "{body}");
        assert_eq!(plans(&answer), ["hour", "day", "week"], "{body}");
        assert!(!answer.counts, "a question for the price");
        assert_eq!(answer.body["planId"], "hour");
        assert_eq!(answer.body["amount"], "$0.02");
        let version1 = answer.body["accepts"].as_array().unwrap();
        assert_eq!(version1.len(), 1, "its clients send no choice back");
        assert_eq!(version1[0]["maxAmountRequired"], "20000");
        let required = answer.required.as_ref().unwrap();
        assert!(
            required["resource"]["description"]
                .as_str()
                .unwrap()
                .contains("day for $0.50")
        );
        let ids = required["accepts"].as_array().unwrap().iter();
        let ids: Vec<_> = ids.map(|entry| &entry["extra"]["requestId"]).collect();
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        assert_eq!(&answer.body["requestId"], ids[0]);
    }
    let named = post(&config, r#"{"resourceId":"photos"}"#, None, []);
    let entries = &named.required.unwrap()["accepts"];
    assert_eq!(entries[2]["extra"]["resourceId"], "photos");
}

#[test]
fn with_a_request_id_one_plan_is_offered_because_one_id_is_one_purchase() {
    let answer = post(
        &shop(&SOME),
        &json!({"requestId": OWN_ID}).to_string(),
        None,
        [],
    );
    assert_eq!(plans(&answer), ["hour"]);
    assert_eq!(answer.body["requestId"], OWN_ID);
}

#[test]
fn dear_plans_are_offered_one_at_a_time() {
    let answer = post(&shop(&[("b", "$90"), ("a", "$15")]), "{}", None, []);
    assert_eq!(offered(&answer), [("a".to_owned(), "15000000".to_owned())]);
}

#[test]
fn what_was_meant_for_something_is_refused_as_before() {
    let config = shop(&SOME);
    for (body, code) in [
        (r#"{"plan":"hour"}"#, "INVALID_REQUEST"),
        (r#"{"other":1}"#, "INVALID_REQUEST"),
        (r#"{"planId":"gold"}"#, "TIER_NOT_FOUND"),
        (r#"{"resourceId":"../admin"}"#, "INVALID_REQUEST"),
    ] {
        let answer = post(&config, body, None, []);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.body["code"], code);
        assert!(answer.required.is_none());
    }
}

#[test]
fn all_headers_of_an_offer_stay_below_6_kb() {
    let resource = "r".repeat(128);
    let long = |at: u32, resources: &[&str]| {
        json!({
            "planId": format!("{at}{}", "p".repeat(63)),
            "unitAmount": format!("$0.{}", 999_990 + at),
            "description": "\"".repeat(500),
            "resourceIds": resources,
        })
    };
    let many =
        |resources: &[&str]| Value::from((0..9).map(|at| long(at, resources)).collect::<Vec<_>>());
    let short = post(&shop(&SOME), "{}", None, []);
    assert_eq!(plans(&short).len(), 3);
    let default = post(&test_config(), "{}", None, []);
    assert_eq!(plans(&default), ["basic"]);
    let long_names = post(&with_plans(&many(&[])), "{}", None, []);
    let longest = post(&with_plans(&many(&[&resource])), "{}", None, []);
    assert!(plans(&longest).len() < 3, "what does not fit is left out");
    let named = json!({"planId": format!("0{}", "p".repeat(63))}).to_string();
    let one = post(&with_plans(&many(&[&resource])), &named, None, []);
    assert_eq!(plans(&one).len(), 1);
    let nonsense = json!({"x402Version": 2});
    let malformed = post(&with_plans(&many(&[&resource])), "{}", Some(&nonsense), []);
    let poor = version1(test_config().wallets.pay_to, 1);
    let refused = post(
        &with_plans(&many(&[&resource])),
        "{}",
        Some(&poor),
        [PayReply::Conflict],
    );
    assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED);
    for answer in [short, default, long_names, longest, one, malformed, refused] {
        assert!(answer.header_bytes < 6_000, "{}", answer.header_bytes);
        assert!(!plans(&answer).is_empty());
    }
}

/// A payment of version 2 for the entry `at` of the offers to an empty body, and the body of the purchase.
fn choose(config: &Config, at: usize) -> (Value, Value) {
    let answer = post(config, "{}", None, []);
    let entry = answer.required.unwrap()["accepts"][at].clone();
    let units = entry["amount"].as_str().unwrap().parse().unwrap();
    let payment = version2(config.wallets.pay_to, units, &entry["extra"]);
    (payment, entry)
}

#[test]
fn each_of_several_offers_is_paid_by_its_sealed_id_without_a_plan() {
    let config = shop(&SOME);
    for (at, plan, units) in [
        (0, "hour", 20_000),
        (1, "day", 500_000),
        (2, "week", 1_000_000),
    ] {
        let (payment, entry) = choose(&config, at);
        for body in ["", "{}"] {
            let answer = post(&config, body, Some(&payment), [granted()]);
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            let id = entry["extra"]["requestId"].as_str().unwrap();
            assert_eq!(paid(&answer), [(id.to_owned(), plan.to_owned(), units)]);
        }
    }
}

#[test]
fn a_sealed_offer_is_paid_also_when_another_plan_has_become_the_cheapest() {
    let (payment, _) = choose(&shop(&SOME), 0);
    let cheaper = shop(&[("minute", "$0.01"), ("hour", "$0.03")]);
    let answer = post(&cheaper, "{}", Some(&payment), [granted()]);
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let asked = paid(&answer);
    assert_eq!((asked[0].1.as_str(), asked[0].2), ("hour", 20_000));
}

#[test]
fn a_payment_that_echoes_nothing_pays_the_first_plan_if_the_amount_is_its_price() {
    let config = shop(&SOME);
    for payment in [
        version1(config.wallets.pay_to, 20_000),
        version2(config.wallets.pay_to, 20_000, &Value::Null),
    ] {
        let answer = post(&config, "", Some(&payment), [granted()]);
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let [(id, plan, units)] = paid(&answer).try_into().unwrap();
        assert!(id.starts_with("x402-"), "{id}");
        assert_eq!((plan.as_str(), units), ("hour", 20_000));
        let named = json!({"requestId": OWN_ID}).to_string();
        let answer = post(&config, &named, Some(&payment), [granted()]);
        assert_eq!(paid(&answer)[0].0, OWN_ID);
    }
    // These payments have the price of another plan, or of no plan.
    for units in [500_000, 7] {
        let payment = version1(config.wallets.pay_to, units);
        let answer = post(&config, "", Some(&payment), [PayReply::Conflict]);
        assert_eq!(
            answer.status,
            StatusCode::PAYMENT_REQUIRED,
            "{}",
            answer.body
        );
        assert_eq!(plans(&answer), ["hour"]);
        assert!(answer.counts);
        assert_eq!(only_question(&answer).sale, None, "nothing is begun");
    }
}

#[test]
fn of_two_plans_of_one_price_an_empty_body_pays_the_first() {
    let config = shop(&[("b", "$0.02"), ("a", "$0.02")]);
    let payment = version1(config.wallets.pay_to, 20_000);
    let answer = post(&config, "{}", Some(&payment), [granted()]);
    assert_eq!(paid(&answer)[0].1, "b");
}

#[test]
fn a_payment_whose_answer_was_lost_is_found_whatever_is_the_cheapest_plan_by_now() {
    let payment = version1(test_config().wallets.pay_to, 20_000);
    let body = json!({"resourceId": "photos"}).to_string();
    for (body, target) in [("", ""), (body.as_str(), " photos")] {
        // The catalog now has another plan first, at another price or at the same price.
        for (plan, price, may_begin) in [("minute", "$0.01", false), ("other", "$0.02", true)] {
            let config = shop(&[(plan, price), ("hour", "$0.03")]);
            let answer = post(&config, body, Some(&payment), [granted()]);
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            let pay = only_question(&answer);
            assert_eq!(pay.target.as_str(), target);
            assert_eq!(pay.sale.is_some(), may_begin);
        }
    }
}

#[test]
fn a_sealed_id_that_was_not_made_here_is_not_found_without_a_plan_either() {
    let config = shop(&SOME);
    let forged = version2(
        config.wallets.pay_to,
        20_000,
        &json!({"challengeId": "forged"}),
    );
    let answer = post(&config, "{}", Some(&forged), []);
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.body["code"], "CHALLENGE_NOT_FOUND");
    assert!(answer.asked.is_empty());
}
