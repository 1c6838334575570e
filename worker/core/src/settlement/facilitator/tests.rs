//! Tests of the request to a facilitator, and of every answer that it may give.

use crate::json;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::catalog::{Route, testing};
use crate::offer::{CallDigest, Target, Terms};
use crate::purchase::test_offer;
use crate::purchase::test_support::signed;
use crate::settlement::cdp::CdpKey;
use crate::types::Network;
use crate::x402::Refusal;

const HASH: &str = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn a_request_is_ours_in_every_member_and_names_no_purchase() {
    let offer = test_offer();
    let body = request(&offer.terms, "https://shop.example", &signed(1), true, None);
    let sent: Value = serde_json::from_slice(&body).unwrap();
    let requirements = json!({
        "scheme": "exact",
        "network": "eip155:84532",
        "amount": "15000",
        "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
        "payTo": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
        "maxTimeoutSeconds": 300,
        "extra": {"name": "USDC", "version": "2", "paymentFlow": "upfront"},
    });
    assert_eq!(sent["x402Version"], 2);
    assert_eq!(sent["paymentRequirements"], requirements);
    assert_eq!(sent["paymentPayload"]["x402Version"], 2);
    assert_eq!(sent["paymentPayload"]["accepted"], requirements);
    assert_eq!(
        sent["paymentPayload"]["payload"]["authorization"]["validBefore"],
        "1800000300"
    );
    assert_eq!(
        sent["paymentPayload"]["payload"]["signature"],
        signed(1).signature_hex()
    );
    let text = String::from_utf8(body).unwrap();
    assert!(!text.contains(offer.id.as_str()));
    assert!(!text.contains(offer.terms.request_id.as_str()));
}

#[test]
fn a_facilitator_is_told_where_a_plan_is_bought_and_of_a_call_the_path_of_its_route() {
    let sent = |terms: &Terms, route: Option<&Route>| {
        let body = request(terms, "https://shop.example", &signed(1), true, route);
        serde_json::from_slice::<Value>(&body).unwrap()["paymentPayload"].clone()
    };
    let plan = test_offer().terms;
    let of_plan = sent(&plan, None);
    assert_eq!(
        of_plan["resource"]["url"],
        "https://shop.example/x402/access"
    );
    let bought = &of_plan["extensions"]["bazaar"]["info"]["input"]["body"];
    assert_eq!(bought["planId"], "basic");
    let call = Terms {
        target: Target::Route {
            id: "weather".parse().unwrap(),
            call: CallDigest::of([]),
        },
        resource: "/weather/:city".parse().unwrap(),
        ..plan
    };
    let of_call = sent(&call, None);
    assert_eq!(
        of_call["resource"]["url"],
        "https://shop.example/weather/:city"
    );
    assert_eq!(of_call["extensions"], json!({}));
    let mut route = testing::route("weather", "GET", "/weather/:city");
    route.shapes.example = Some(json!({"celsius": 11}));
    route.shapes.output = Some(json!({"title": "t".repeat(10_000)}));
    let of_route = sent(&call, Some(&route));
    let bazaar = &of_route["extensions"]["bazaar"];
    assert_eq!(bazaar["info"]["input"]["method"], "GET");
    assert_eq!(bazaar["routeTemplate"], "/weather/:city");
    assert_eq!(bazaar["info"]["output"]["example"], json!({"celsius": 11}));
    assert!(bazaar.to_string().len() < 8_192);
}

#[test]
fn verify_refuses_only_with_a_reason_that_is_known_to_be_about_the_payment() {
    let unclear = |said: &str| Verification::Unclear(said.to_owned());
    for (body, wanted) in [
        (r#"{"isValid":true,"payer":null}"#, Verification::Valid),
        (
            r#"{"isValid":false,"invalidReason":"insufficient_funds"}"#,
            Verification::Invalid {
                reason: Refusal::InsufficientFunds,
                said: "insufficient_funds".to_owned(),
            },
        ),
        (
            r#"{"isValid":false,"invalidReason":"unexpected_verify_error"}"#,
            unclear("isValid false: unexpected_verify_error"),
        ),
        (
            r#"{"isValid":false,"invalid_reason":"never heard\nof"}"#,
            unclear("isValid false: never heard of"),
        ),
        (
            r#"{"isValid":false,"invalidReason":null}"#,
            unclear("isValid false: "),
        ),
        ("", unclear("no JSON")),
        ("[]", unclear("no member `isValid`")),
        ("null", unclear("no member `isValid`")),
        (r#"{"isValid":"true"}"#, unclear("no member `isValid`")),
        (r#"{"error":"internal"}"#, unclear("no member `isValid`")),
    ] {
        assert_eq!(Verification::parse(body.as_bytes()), wanted, "{body}");
    }
}

#[test]
fn what_is_wrong_is_told_in_the_facilitators_words_without_keys() {
    let summary = |status: u16, body: &str| {
        let body = body.as_bytes().to_vec();
        FacilitatorAnswer { status, body }.summary()
    };
    let jwt = format!("eyJ{}", "a1".repeat(60));
    for (status, body, wanted) in [
        (
            401,
            r#"{"errorType":"unauthorized","errorMessage":"The API key is unknown."}"#.to_owned(),
            "status 401: The API key is unknown.",
        ),
        (
            400,
            r#"{"error":{"message":"bad network"}}"#.to_owned(),
            "status 400: bad network",
        ),
        (
            403,
            format!(r#"{{"message":"token {jwt} has\u0000 expired\u001b[31m"}}"#),
            "status 403: token … has expired[31m",
        ),
        (500, "{}".to_owned(), "status 500"),
        (502, "<html>".to_owned(), "status 502: no JSON"),
    ] {
        assert_eq!(summary(status, &body), wanted);
    }
    let long = format!(r#"{{"error":"{}"}}"#, "word ".repeat(1_000));
    assert!(summary(400, &long).len() < 120);
}

#[test]
fn only_a_hash_or_a_clear_no_is_an_answer_of_settle() {
    let hash = Settled::Named(HASH.parse().unwrap());
    let declined = |reason, said: &str| Settled::Declined {
        reason,
        said: said.to_owned(),
    };
    let with =
        |head: &str, transaction: &str| format!(r#"{{{head},"transaction":"{transaction}"}}"#);
    for (body, wanted) in [
        (with(r#""success":true"#, HASH), hash.clone()),
        (
            with(
                r#""success":false,"errorReason":"settlement_pending""#,
                HASH,
            ),
            hash.clone(),
        ),
        (
            with(
                r#""success":false,"errorReason":"invalid_exact_evm_transaction_failed""#,
                HASH,
            ),
            hash,
        ),
        (
            with(r#""success":false,"errorReason":"insufficient_funds""#, ""),
            declined(Refusal::InsufficientFunds, "insufficient_funds"),
        ),
        (
            r#"{"success":false,"error_reason":"invalid_payment_expired","network":"base"}"#
                .to_owned(),
            declined(
                Refusal::InvalidExactEvmPayloadAuthorizationValidBefore,
                "invalid_payment_expired",
            ),
        ),
    ] {
        assert_eq!(Settled::parse(body.as_bytes()), wanted, "{body}");
    }
    let zero = format!("0x{}", "0".repeat(64));
    for body in [
        with(r#""success":true"#, ""),
        with(r#""success":true"#, &zero),
        with(r#""success":true"#, &HASH[2..]),
        with(r#""success":true"#, &HASH[..64]),
        with(r#""success":false,"errorReason":"settlement_pending""#, ""),
        with(r#""success":false,"errorReason":"never heard of""#, ""),
        r#"{"success":true}"#.to_owned(),
        r#"{"success":false}"#.to_owned(),
        r#"{"success":1}"#.to_owned(),
        r#"{"isValid":true}"#.to_owned(),
        "<html>".to_owned(),
        String::new(),
    ] {
        let settled = Settled::parse(body.as_bytes());
        assert!(
            matches!(settled, Settled::Unclear(_)),
            "{body}: {settled:?}"
        );
    }
}

#[test]
fn a_facilitator_serves_a_network_only_if_it_names_scheme_version_and_chain() {
    let body = |version: u32, scheme: &str, network: &str| {
        json!({"kinds": [{"x402Version": version, "scheme": scheme, "network": network}]})
            .to_string()
    };
    let supported = |body: String| supports(body.as_bytes(), Network::BaseSepolia);
    assert_eq!(supported(body(2, "exact", "eip155:84532")), Some(true));
    assert_eq!(supported(body(2, "exact", "eip155:8453")), Some(false));
    assert_eq!(supported(body(1, "exact", "base-sepolia")), Some(false));
    assert_eq!(supported(body(2, "upto", "eip155:84532")), Some(false));
    assert_eq!(supported("{}".to_owned()), None);
    assert_eq!(supported("gone".to_owned()), None);
}

#[test]
fn only_coinbase_gets_what_the_key_signs() {
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::STANDARD.encode([7; 64]);
    let key = CdpKey::new("id", &secret).unwrap();
    for (url, wanted) in [
        ("https://api.cdp.coinbase.com/platform/v2/x402", true),
        ("https://API.cdp.coinbase.com:443/platform/v2/x402/", true),
        ("http://api.cdp.coinbase.com/platform/v2/x402", false),
        ("https://api.cdp.coinbase.com:444/platform/v2/x402", false),
        ("https://api.cdp.coinbase.com.evil.example/x402", false),
        ("https://evil.example/api.cdp.coinbase.com", false),
        ("https://x402.org/facilitator", false),
    ] {
        let facilitator = Facilitator::new(url.parse().unwrap(), Some(&key));
        assert_eq!(facilitator.key().is_some(), wanted, "{url}");
    }
}

proptest! {
    #[test]
    fn hostile_answers_never_panic(body: Vec<u8>, text in ".{0,200}") {
        let _ = (Verification::parse(&body), Settled::parse(&body), supports(&body, Network::Base));
        let said = json!({"success": false, "isValid": false, "errorReason": text, "invalidReason": text});
        let said = said.to_string().into_bytes();
        let _ = (Verification::parse(&said), Settled::parse(&said));
    }
}
