//! The same door for clients of the Machine Payments Protocol.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY, WWW_AUTHENTICATE};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::doors::test_support::credential;
use crate::goods::DeliveryFault;
use crate::mpp::{PAYMENT_RECEIPT, Problem};
use crate::offer::SealKeys;
use crate::purchase::test_support::{answered, receipt};
use crate::types::{Secret, Status};

const BODY: &str = r#"{"planId":"basic"}"#;
const AUTHORIZATION: &str = "authorization";
const FREE: &str = "payment-authorization";
const BEARER: &str = "Bearer abc";

/// A change of a credential.
type Change<'a> = &'a dyn Fn(&mut Value);

/// The answer to a request with these headers, and the questions that purchases were asked.
fn ask(
    config: &Config,
    body: &str,
    lines: &[(&'static str, String)],
    replies: impl IntoIterator<Item = PayReply>,
) -> (Response, Vec<(RequestId, Ask)>) {
    let shop = ScriptedPurchases::new(replies);
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    let arrival = Arrival {
        headers: &headers,
        body: body.as_bytes(),
    };
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(
        crate::doors::test_support::node(),
        &config.chain.rpc_urls,
        config.network,
        &memory,
    );
    let checkout = checkout(config, (&shop, &chain), NOW.to_seconds());
    let response = access(&checkout, &arrival).now_or_never().unwrap();
    (response, shop.asked.into_inner())
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    Some(response.headers().get(name)?.to_str().unwrap())
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// Whether purchases were at most asked what has become of the payment.
fn begins_nothing(asked: &[(RequestId, Ask)]) -> bool {
    let looks = |ask: &Ask| matches!(ask, Ask::Pay(pay) if pay.sale.is_none());
    asked.iter().all(|(_, ask)| looks(ask))
}

/// The credential for the sealed offer, as a header's value, after `change`.
fn written(change: impl FnOnce(&mut Value)) -> String {
    let mut credential = credential(&sealed(PLAN), 0);
    change(&mut credential);
    format!("Payment {}", URL_SAFE_NO_PAD.encode(credential.to_string()))
}

/// The answer to a credential without a body, where the purchase replies so.
fn paid(reply: PayReply) -> Response {
    let lines = [(AUTHORIZATION, written(|_| {}))];
    let (response, asked) = ask(&test_config(), "", &lines, [reply]);
    let [(id, Ask::Pay(pay))] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert_eq!(id.as_str(), OWN_ID);
    assert_eq!(pay.authorization.payer(), buyer().address());
    response
}

/// Status, problem type, and whether there is a challenge. The header for x402 comes and goes with it.
fn told(response: &Response) -> (u16, String, bool) {
    assert_eq!(
        header(response, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(header(response, "cache-control"), Some("no-store"));
    assert_eq!(header(response, PAYMENT_RECEIPT), None);
    assert_eq!(header(response, "payment-response"), None);
    let body = body(response);
    assert_eq!(body["status"], response.status().as_u16());
    assert_eq!(body["detail"], body["message"]);
    assert!(body["title"].is_string() && body["code"].is_string());
    let challenge = header(response, "www-authenticate");
    assert_eq!(
        challenge.is_some(),
        response.headers().contains_key(PAYMENT_REQUIRED)
    );
    let name = body["type"].as_str().unwrap();
    let name = name.rsplit('/').next().unwrap().to_owned();
    (response.status().as_u16(), name, challenge.is_some())
}

#[test]
fn a_402_has_a_challenge_beside_the_offer_of_x402_and_the_same_price() {
    let (response, asked) = ask(&test_config(), BODY, &[], []);
    assert!(asked.is_empty());
    assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(
        response.headers()[VARY],
        "Accept, Accept-Payment, Authorization"
    );
    let challenge = header(&response, "www-authenticate").unwrap();
    let body = body(&response);
    assert_eq!(body["type"], "X402Challenge");
    let digest = STANDARD.encode(Sha256::digest(BODY));
    for part in [
        format!("Payment id=\"{}\", ", body["challengeId"].as_str().unwrap()),
        "realm=\"shop.example\", method=\"evm\", intent=\"charge\", ".to_owned(),
        format!(", digest=\"sha-256=:{digest}:\""),
        "description=\"Plan basic: $".to_owned(),
    ] {
        assert!(challenge.contains(&part), "{challenge}: {part}");
    }
    assert!(!challenge.contains("header="), "{challenge}");
    let required = header(&response, PAYMENT_REQUIRED).unwrap();
    let required = crate::x402::header::decode(required).unwrap();
    let extra = &required["accepts"][0]["extra"];
    assert_eq!(extra["challengeId"], body["challengeId"]);
}

#[test]
fn a_client_of_the_protocol_reads_a_problem_and_version_1_still_finds_its_offer() {
    for lines in [
        [("accept-payment", "evm/charge".to_owned())],
        [("accept", "application/problem+json".to_owned())],
    ] {
        let (response, _) = ask(&test_config(), BODY, &lines, []);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = body(&response);
        assert_eq!(body["type"], Problem::PaymentRequired.uri());
        assert_eq!(body["status"], 402);
        assert_eq!(body["detail"], body["message"]);
        assert_eq!(body["x402Version"], 1);
        assert!(body["accepts"][0]["extra"].is_object());
    }
}

#[test]
fn another_scheme_keeps_its_header() {
    let lines = [(AUTHORIZATION, BEARER.to_owned())];
    let (response, _) = ask(&test_config(), "", &lines, []);
    let challenge = header(&response, "www-authenticate").unwrap();
    assert!(
        challenge.ends_with(", header=\"Payment-Authorization\""),
        "{challenge}"
    );
    let free = |credential: &mut Value| {
        credential["challenge"]["header"] = json!("Payment-Authorization");
    };
    let lines = [(AUTHORIZATION, BEARER.to_owned()), (FREE, written(free))];
    let (response, _) = ask(&test_config(), "", &lines, [granted()]);
    assert_eq!(response.status(), StatusCode::OK);
    // What the challenge did not ask for does not count.
    for (name, change) in [
        (FREE, &(|_: &mut Value| {}) as Change<'_>),
        (AUTHORIZATION, &free),
    ] {
        let lines = [(name, written(change))];
        let (response, asked) = ask(&test_config(), "", &lines, [PayReply::Conflict]);
        assert_eq!(told(&response), (402, "invalid-challenge".to_owned(), true));
        assert!(begins_nothing(&asked));
    }
    let joined = format!("{BEARER}, {}", written(|_| {}));
    let (response, _) = ask(&test_config(), "", &[(AUTHORIZATION, joined)], [granted()]);
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn both_nonces_pay_the_same_purchase_and_the_receipt_is_the_payments() {
    for form in [0, 1] {
        let credential = credential(&sealed(PLAN), form).to_string();
        let text = format!("payment {}", STANDARD.encode(credential));
        let (response, asked) = ask(&test_config(), "", &[(AUTHORIZATION, text)], [granted()]);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(asked[0].0.as_str(), OWN_ID);
        assert!(
            header(&response, "cache-control")
                .unwrap()
                .contains("private")
        );
        assert_eq!(header(&response, "payment-response"), None);
        let text = header(&response, PAYMENT_RECEIPT).unwrap();
        let receipt: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        assert_eq!(receipt["challengeId"], json!(sealed(PLAN).id));
        assert_eq!(receipt["chainId"], 84532);
        assert_eq!(receipt["status"], "success");
    }
}

#[test]
fn a_credential_is_refused_with_the_problem_that_it_has_and_a_new_challenge() {
    let foreign = SealKeys::new(&Secret::new("another"), &[]).seal(sealed(PLAN).terms);
    let refused: [(&str, Change<'_>); 9] = [
        ("invalid-challenge", &|it| *it = credential(&foreign, 0)),
        ("invalid-challenge", &|it| {
            it["challenge"]["id"] = json!("x")
        }),
        ("invalid-challenge", &|it| {
            it["challenge"]["request"]["amount"] = json!("1")
        }),
        ("invalid-challenge", &|it| {
            it["challenge"]["digest"] = json!("sha-256=:AA==:")
        }),
        ("invalid-challenge", &|it| {
            it["challenge"]["opaque"] = json!("e30")
        }),
        ("verification-failed", &|it| {
            it["payload"]["nonce"] = json!(B256::repeat_byte(1))
        }),
        ("verification-failed", &|it| {
            it["source"] = json!("did:pkh:eip155:1:0x00")
        }),
        ("verification-failed", &|it| {
            it["payload"]["value"] = json!("1")
        }),
        ("verification-failed", &|it| {
            it["payload"]["signature"] = json!("0x00")
        }),
    ];
    for (at, (problem, change)) in refused.into_iter().enumerate() {
        let lines = [(AUTHORIZATION, written(change))];
        // A payment over another amount may be one for an earlier price, so the purchase is asked.
        let (response, asked) = ask(&test_config(), "", &lines, [PayReply::Conflict]);
        assert_eq!(told(&response), (402, problem.to_owned(), true), "{at}");
        assert!(begins_nothing(&asked));
        assert!(limit::counts(&response));
    }
    for (problem, status, text) in [
        ("malformed-credential", 402, "Payment garbage".to_owned()),
        ("malformed-credential", 402, "Payment".to_owned()),
        (
            "malformed-credential",
            402,
            format!("Payment {}", "A".repeat(20_000)),
        ),
        (
            "invalid-payload",
            402,
            written(|it| it["payload"]["type"] = json!("hash")),
        ),
        (
            "method-unsupported",
            400,
            written(|it| it["challenge"]["method"] = json!("tempo")),
        ),
    ] {
        let (response, asked) = ask(&test_config(), "", &[(AUTHORIZATION, text)], []);
        assert_eq!(told(&response), (status, problem.to_owned(), status == 402));
        assert!(asked.is_empty());
    }
}

#[test]
fn what_the_request_says_beside_must_fit_the_challenge() {
    let lines = [(AUTHORIZATION, written(|_| {}))];
    let (response, asked) = ask(&test_config(), BODY, &lines, [PayReply::Conflict]);
    assert_eq!(told(&response), (402, "invalid-challenge".to_owned(), true));
    assert_eq!(body(&response)["details"]["mismatch"], json!(["digest"]));
    assert!(begins_nothing(&asked));
    // The same order in other words gets what was paid for.
    let (response, asked) = ask(&test_config(), BODY, &lines, [granted()]);
    assert_eq!(response.status(), StatusCode::OK);
    assert!(begins_nothing(&asked));
}

#[test]
fn a_call_is_not_paid_for_where_plans_are_sold() {
    let mut offer = sealed(PLAN);
    offer.terms.target = Target::Route {
        id: "weather".parse().unwrap(),
        call: crate::offer::CallDigest::of([b"GET".as_slice()]),
    };
    let mut config = test_config();
    let route = crate::catalog::testing::route("weather", "GET", "/weather");
    let plans = config.catalog.plans().to_vec();
    config.catalog = crate::catalog::Catalog::new(plans, vec![route]);
    let offer = config.offers.keys.seal(offer.terms);
    let lines = [(AUTHORIZATION, written(|it| *it = credential(&offer, 0)))];
    let (response, asked) = ask(&config, "", &lines, [PayReply::Conflict]);
    assert_eq!(told(&response), (400, "about:blank".to_owned(), false));
    assert_eq!(body(&response)["code"], "MISSING_RESOURCE_FIELD");
    assert!(begins_nothing(&asked));
    let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(BODY)));
    let lines = [(
        AUTHORIZATION,
        written(|it| {
            *it = credential(&offer, 0);
            it["challenge"]["digest"] = json!(digest);
        }),
    )];
    let (response, asked) = ask(&config, BODY, &lines, []);
    assert_eq!(told(&response), (402, "invalid-challenge".to_owned(), true));
    assert!(asked.is_empty());
}

#[test]
fn every_offer_of_a_plan_says_its_limits() {
    let mut config = test_config();
    let plan = r#"[{"planId":"basic","unitAmount":"$1","description":"An hour","rate":{"calls":100,"per":"minute"}}]"#;
    config.catalog = crate::catalog::Catalog::from_json(plan).unwrap();
    let (response, _) = ask(&config, r#"{"planId":"basic"}"#, &[], []);
    let said = "An hour. At most 100 calls a minute.";
    let challenge = header(&response, "www-authenticate").unwrap();
    assert!(challenge.contains(said), "{challenge}");
    let required = header(&response, "payment-required").unwrap();
    let required: Value = serde_json::from_slice(&STANDARD.decode(required).unwrap()).unwrap();
    assert_eq!(required["resource"]["description"], said);
}

#[test]
fn a_call_that_is_described_is_paid_for_where_it_is_described() {
    let mut config = test_config();
    let route = crate::catalog::testing::route("weather", "GET", "/weather/:city");
    let plans = config.catalog.plans().to_vec();
    config.catalog = crate::catalog::Catalog::with_routes(plans, vec![route]);
    let wish = |city: &str| {
        let path = format!("/weather/{city}");
        json!({"routeId": "weather", "resource": {"path": path}}).to_string()
    };
    let oslo = wish("oslo");
    let (response, _) = ask(&config, &oslo, &[], []);
    let challenge = header(&response, "www-authenticate").unwrap();
    let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&oslo)));
    for part in [&digest, "description=\"One call of weather: $"] {
        assert!(challenge.contains(part), "{challenge}");
    }
    let id = body(&response)["challengeId"].as_str().unwrap().to_owned();
    let offer = config.offers.keys.open(&id).unwrap();
    let mut credential = credential(&offer, 1);
    credential["challenge"]["digest"] = json!(digest);
    let text = format!("Payment {}", URL_SAFE_NO_PAD.encode(credential.to_string()));
    let lines = [(AUTHORIZATION, text)];
    let answered = |is_paid: bool| PayReply::Granted {
        goods: answered(answer_to_call(1, 404), None),
        receipt: is_paid.then(|| receipt(buyer().address())),
        again: false,
    };
    for is_paid in [true, false] {
        let (response, asked) = ask(&config, &oslo, &lines, [answered(is_paid)]);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(body(&response)["type"], "ResourceResponse");
        assert_eq!(body(&response)["resource"]["status"], 404);
        assert_eq!(header(&response, PAYMENT_RECEIPT).is_some(), is_paid);
        let [(_, Ask::Pay(pay))] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        let sold = &pay.sale.as_ref().unwrap().offer.terms.target;
        assert_eq!(*sold, offer.terms.target);
    }
    // Another call is not paid for. Whoever has paid is not invited to pay again.
    let rome = wish("rome");
    let (response, _) = ask(&config, &rome, &lines, [PayReply::Conflict]);
    assert_eq!(told(&response), (402, "invalid-challenge".to_owned(), true));
    let (response, asked) = ask(&config, &rome, &lines, [answered(true)]);
    assert_eq!(told(&response).0, 403);
    assert!(begins_nothing(&asked));
    assert!(header(&response, "www-authenticate").is_none());
}

#[test]
fn two_payments_in_one_request_are_refused() {
    let config = test_config();
    let x402 = version1(config.wallets.pay_to, price(&config).units());
    for second in [
        (AUTHORIZATION, written(|_| {})),
        (FREE, written(|_| {})),
        (X_PAYMENT, encode(&x402).unwrap()),
        (PAYMENT_SIGNATURE, "garbage".to_owned()),
    ] {
        let lines = [(AUTHORIZATION, written(|_| {})), second];
        let (response, asked) = ask(&config, "", &lines, []);
        assert_eq!(told(&response), (400, "bad-request".to_owned(), false));
        assert!(asked.is_empty());
    }
    let proof = r#"{"proof":{"challengeId":"x","txHash":"0x1111111111111111111111111111111111111111111111111111111111111111"}}"#;
    let (response, asked) = ask(&config, proof, &[(AUTHORIZATION, written(|_| {}))], []);
    assert_eq!(told(&response).0, 400);
    assert!(asked.is_empty());
}

#[test]
fn only_where_nothing_was_begun_there_is_a_challenge() {
    let refused = |reason, begun| PayReply::Refused {
        reason,
        transaction: None,
        begun,
    };
    let funds = Refusal::InsufficientFunds;
    let used = Refusal::InvalidExactEvmNonceAlreadyUsed;
    let simulated = Refusal::InvalidExactEvmTransactionSimulationFailed;
    let late = Refusal::InvalidExactEvmPayloadAuthorizationValidBefore;
    let hash = Some(B256::repeat_byte(9));
    for (reply, status, problem, has_challenge) in [
        (refused(funds, false), 402, "payment-insufficient", true),
        (refused(simulated, false), 402, "verification-failed", true),
        (refused(late, false), 402, "payment-expired", true),
        (PayReply::Expired, 402, "payment-expired", true),
        (PayReply::Withdrawn, 402, "invalid-challenge", true),
        (refused(funds, true), 403, "verification-failed", false),
        (refused(simulated, true), 403, "verification-failed", false),
        (refused(used, false), 403, "verification-failed", false),
        (PayReply::Cancelled, 403, "verification-failed", false),
        (
            PayReply::Spent { reason: funds },
            403,
            "verification-failed",
            false,
        ),
        (PayReply::Taken, 403, "verification-failed", false),
        (
            PayReply::NeedsFreshSignature,
            403,
            "verification-failed",
            false,
        ),
        (PayReply::Conflict, 409, "about:blank", false),
        (
            PayReply::Calling { transaction: None },
            409,
            "about:blank",
            false,
        ),
        (
            PayReply::Pending { transaction: hash },
            503,
            "internal-payment-error",
            false,
        ),
        (PayReply::Unbegun, 503, "internal-payment-error", false),
        (
            PayReply::NotNow(NotNow::GasTooDear),
            503,
            "internal-payment-error",
            false,
        ),
        (PayReply::Unavailable, 502, "about:blank", false),
        (PayReply::Paused { seconds: 7 }, 429, "about:blank", false),
        (
            PayReply::Undelivered {
                fault: DeliveryFault::Failed,
                receipt: receipt(buyer().address()),
                refund_at: None,
            },
            502,
            "about:blank",
            false,
        ),
        (
            PayReply::Refund {
                status: Status::RefundPending,
                transaction: None,
            },
            502,
            "about:blank",
            false,
        ),
        (
            PayReply::AccessEnded {
                transaction: B256::ZERO,
            },
            410,
            "about:blank",
            false,
        ),
    ] {
        let name = format!("{reply:?}");
        let response = paid(reply);
        let expected = (status, problem.to_owned(), has_challenge);
        assert_eq!(told(&response), expected, "{name}");
        let waits = [429, 503].contains(&status) || name == "Unavailable";
        if waits {
            assert!(header(&response, "retry-after").is_some(), "{name}");
        }
    }
    // Nobody answers.
    let lines = [(AUTHORIZATION, written(|_| {}))];
    let (response, _) = ask(&test_config(), "", &lines, []);
    assert_eq!(told(&response).0, 503);
}

#[test]
fn a_seller_that_has_moved_asks_the_purchase_before_it_refuses() {
    let moved = |it: &mut Value| it["challenge"]["realm"] = json!("old.example");
    let lines = [(AUTHORIZATION, written(moved))];
    let (response, _) = ask(
        &test_config(),
        "",
        &lines,
        [PayReply::Pending { transaction: None }],
    );
    assert_eq!(told(&response).0, 503);
    let (response, _) = ask(&test_config(), "", &lines, [PayReply::Conflict]);
    assert_eq!(told(&response), (402, "invalid-challenge".to_owned(), true));
}

#[test]
fn answers_to_x402_are_as_before() {
    let config = test_config();
    let payment = version2(
        config.wallets.pay_to,
        price(&config).units() + 1,
        &Value::Null,
    );
    let lines = [(PAYMENT_SIGNATURE, encode(&payment).unwrap())];
    let (response, _) = ask(&config, BODY, &lines, [PayReply::Conflict]);
    assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(header(&response, "www-authenticate"), None);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
}

#[test]
fn without_the_protocol_a_402_is_that_of_x402_and_a_credential_is_no_payment() {
    let mut config = test_config();
    config.mpp.enabled = false;
    for lines in [vec![], vec![(AUTHORIZATION, written(|_| {}))]] {
        let (response, asked) = ask(&config, "", &lines, []);
        assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert!(asked.is_empty());
    }
}
