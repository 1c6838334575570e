use super::*;
use crate::json;
use alloy_primitives::U256;

use crate::offer::CallDigest;
use crate::purchase::test_offer;
use crate::types::RequestId;

fn ours() -> (PaymentRequirements, Value) {
    let requirements = PaymentRequirements::new(&test_offer());
    let value = serde_json::to_value(&requirements).unwrap();
    (requirements, value)
}

#[test]
fn the_offer_has_exactly_the_members_of_the_specification() {
    let (_, value) = ours();
    let names: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        [
            "amount",
            "asset",
            "extra",
            "maxTimeoutSeconds",
            "network",
            "payTo",
            "scheme"
        ]
    );
    assert_eq!(value["extra"]["name"], "USDC");
    assert_eq!(value["extra"]["version"], "2");
    assert_eq!(value["extra"]["paymentFlow"], "upfront");
    assert_eq!(value["asset"], "0x036CbD53842c5426634e7929541eC2318f3dCF7e");
    assert!(value["maxTimeoutSeconds"].is_u64());
}

#[test]
fn an_offer_names_the_plan_or_the_route_that_it_is_for() {
    let (_, plan) = ours();
    assert_eq!(plan["extra"]["planId"], "basic");
    assert_eq!(plan["extra"].get("routeId"), None);
    let mut offer = test_offer();
    offer.terms.target = Target::Route {
        id: "weather".parse().unwrap(),
        call: CallDigest::of([]),
    };
    let requirements = PaymentRequirements::new(&offer);
    let mut route = serde_json::to_value(&requirements).unwrap();
    assert_eq!(route["extra"]["routeId"], "weather");
    assert_eq!(route["extra"].get("planId"), None);
    assert!(requirements.mismatches(&route).is_empty());
    route["extra"]["planId"] = json!("weather");
    assert_eq!(requirements.mismatches(&route), ["planId"]);
}

/// The EIP-712 domain that a client makes from the offer alone gives the domain separator of the token's contract.
#[test]
fn the_offer_names_the_token_as_it_calls_itself_on_each_network() {
    use alloy_primitives::b256;
    use alloy_sol_types::Eip712Domain;

    use crate::types::Network;

    for (network, separator) in [
        (
            Network::Base,
            b256!("0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"),
        ),
        (
            Network::BaseSepolia,
            b256!("0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818"),
        ),
    ] {
        let mut offer = test_offer();
        offer.terms.network = network;
        let offer = serde_json::to_value(PaymentRequirements::new(&offer)).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let chain_id = text(&offer["network"])
            .split_once(':')
            .unwrap()
            .1
            .parse()
            .unwrap();
        let domain = Eip712Domain {
            name: Some(text(&offer["extra"]["name"]).into()),
            version: Some(text(&offer["extra"]["version"]).into()),
            chain_id: Some(U256::from::<u64>(chain_id)),
            verifying_contract: Some(text(&offer["asset"]).parse().unwrap()),
            salt: None,
        };
        assert_eq!(domain.separator(), separator, "{network:?}");
    }
}

#[test]
fn the_offer_fits_the_header_budget_and_is_ascii() {
    let description = "Photos \u{2014} \u{201c}all\u{201d} \u{1f4f7} ".repeat(20);
    let resource = Resource::json("https://shop.example/x402/access", &description);
    let offer = PaymentRequired::new(&test_offer(), [], resource, "Payment required");
    let text = serde_json::to_string(&offer).unwrap();
    assert!(text.is_ascii(), "{text}");
    assert!(!text.contains("null"));
    assert!(encode(&offer).unwrap().len() < 8 * 1024);
}

#[test]
fn the_offer_names_what_is_paid_for_as_it_was_given() {
    let resource = Resource::new("https://shop.example/weather/oslo", "Weather", "text/plain");
    let offer = PaymentRequired::new(&test_offer(), [], resource, "Payment required");
    assert_eq!(
        serde_json::to_value(&offer).unwrap()["resource"],
        json!({
            "url": "https://shop.example/weather/oslo",
            "description": "Weather",
            "mimeType": "text/plain",
        })
    );
}

#[test]
fn an_offer_without_ids_is_the_same_for_everybody_and_at_all_times() {
    let text = |terms: &Terms| {
        let resource = Resource::json("https://shop.example/mcp", "An hour");
        let offer = PaymentRequired::without_ids(terms, resource, "Payment required");
        serde_json::to_string(&offer).unwrap()
    };
    let terms = test_offer().terms;
    let other = Terms {
        request_id: RequestId::from_random([8; 16]),
        chosen: true,
        issued_at: terms.issued_at.plus(77),
        expires_at: terms.expires_at.plus(77),
        ..terms.clone()
    };
    assert_eq!(text(&terms), text(&other));
    let dearer = Terms {
        amount: crate::types::UsdcAmount::from_units(15_001),
        ..terms.clone()
    };
    assert_ne!(text(&terms), text(&dearer));
    let shown: Value = serde_json::from_str(&text(&terms)).unwrap();
    let extra = shown["accepts"][0]["extra"].as_object().unwrap();
    let names: Vec<_> = extra.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["name", "paymentFlow", "planId", "resourceId", "version"]
    );
}

#[test]
fn who_copies_an_offer_without_ids_accepts_the_offer_of_the_moment() {
    let (requirements, _) = ours();
    let mut copy =
        serde_json::to_value(PaymentRequirements::without_ids(&test_offer().terms)).unwrap();
    assert!(requirements.mismatches(&copy).is_empty());
    copy["amount"] = json!("1");
    assert_eq!(requirements.mismatches(&copy), ["amount"]);
}

#[test]
fn an_unchanged_copy_matches_also_in_other_case_and_number_form() {
    let (requirements, mut copy) = ours();
    assert!(requirements.mismatches(&copy).is_empty());
    copy["payTo"] = json!(copy["payTo"].as_str().unwrap().to_lowercase());
    copy["maxTimeoutSeconds"] = json!(300.0);
    copy["extra"]["added"] = json!("by the client");
    assert!(requirements.mismatches(&copy).is_empty());
    copy["extra"] = Value::Null;
    assert!(requirements.mismatches(&copy).is_empty());
}

#[test]
fn each_tampered_member_is_named() {
    for (path, value, name) in [
        ("/scheme", json!("upto"), "scheme"),
        ("/network", json!("eip155:8453"), "network"),
        ("/amount", json!("1"), "amount"),
        ("/amount", json!(15000), "amount"),
        ("/amount", Value::Null, "amount"),
        (
            "/asset",
            json!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
            "asset",
        ),
        (
            "/payTo",
            json!("0x0000000000000000000000000000000000000001"),
            "payTo",
        ),
        ("/maxTimeoutSeconds", json!(301), "maxTimeoutSeconds"),
        ("/extra/name", json!("USD Coin"), "name"),
        ("/extra/version", json!("1"), "version"),
        ("/extra/paymentFlow", json!("authorization"), "paymentFlow"),
        ("/extra/planId", json!("pro-monthly"), "planId"),
        ("/extra/requestId", json!("other"), "requestId"),
        ("/extra/resourceId", json!("other"), "resourceId"),
        ("/extra/challengeId", json!("other"), "challengeId"),
    ] {
        let (requirements, mut copy) = ours();
        *copy.pointer_mut(path).unwrap() = value;
        assert_eq!(requirements.mismatches(&copy), [name], "{path}");
    }
}
