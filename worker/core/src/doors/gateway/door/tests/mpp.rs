//! Calls that clients of the Machine Payments Protocol pay for.

use http::StatusCode;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};

use super::*;
use crate::catalog::Route;
use crate::doors::test_support::{buyer, credential};
use crate::mpp::{PAYMENT_AUTHORIZATION, PAYMENT_RECEIPT};
use crate::offer::{Offer, Target};
use crate::purchase::test_support::{answer, answered, receipt};
use crate::response::is_of_api;

const TEXT: &[u8] = b"hello";

/// A shop with one route, which takes a body and which the plan `basic` opens, if `is_open`.
fn shop_of(is_open: bool) -> Config {
    let mut config = test_config();
    let plans = match is_open {
        true => vec!["basic".parse().unwrap()],
        false => Vec::new(),
    };
    let route = Route {
        plans,
        ..testing::route("notes", "POST", "/notes")
    };
    config.catalog = Catalog::new(Vec::new(), vec![route]);
    config
}

/// The answer to a call with this query and body.
fn call(
    config: &Config,
    query: &str,
    body: &[u8],
    lines: &[(&'static str, String)],
    reply: Option<PayReply>,
) -> Response {
    let [route] = config.catalog.routes() else {
        panic!("one route");
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "text/plain".parse().unwrap());
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    let call = Call::new(route, "/notes".to_owned(), query, &headers, body).unwrap();
    let purchases = ScriptedPurchases::new(reply);
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node(), &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(config, (&purchases, &chain), NOW);
    let arrival = Arrival {
        call: &call,
        method: &Method::POST,
        url: &format!("https://shop.example/notes?{query}"),
        headers: &headers,
        body,
    };
    let entered = enter(&checkout, &ScriptedMeters::default(), None, &arrival)
        .now_or_never()
        .unwrap();
    let Passage::Answer(response) = entered else {
        panic!("{entered:?}");
    };
    response
}

fn challenge(response: &Response) -> Option<&str> {
    Some(response.headers().get(WWW_AUTHENTICATE)?.to_str().unwrap())
}

/// The offer for this call, and the parameter `digest` of its challenge.
fn offered(config: &Config, body: &[u8]) -> (Offer, String) {
    let response = call(config, "", body, &[], None);
    assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
    let challenge = challenge(&response).unwrap();
    let part = |name: &str| {
        let (_, rest) = challenge.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let offer = config.offers.keys.open(&part("id")).unwrap();
    assert!(matches!(offer.terms.target, Target::Route { .. }));
    (offer, part("digest"))
}

/// The credential for the offer of a call with [`TEXT`].
fn written(config: &Config, is_free: bool) -> String {
    let (offer, digest) = offered(config, TEXT);
    let mut credential = credential(&offer, 1);
    credential["challenge"]["digest"] = json!(digest);
    if is_free {
        credential["challenge"]["header"] = json!("Payment-Authorization");
    }
    format!("Payment {}", encode(&credential).unwrap())
}

fn goods(status: u16) -> PayReply {
    PayReply::Granted {
        goods: answered(answer(1, status), None),
        receipt: Some(receipt(buyer().address())),
        again: false,
    }
}

#[test]
fn where_a_token_may_open_the_route_its_header_stays_free() {
    let plain = shop_of(false);
    let (name, text) = ("authorization", written(&plain, false));
    let response = call(&plain, "", TEXT, &[], None);
    assert!(!challenge(&response).unwrap().contains("header="));
    let response = call(&plain, "", TEXT, &[(name, text)], Some(goods(200)));
    assert!(is_of_api(&response));

    let open = shop_of(true);
    let response = call(&open, "", TEXT, &[], None);
    let told = challenge(&response).unwrap();
    assert!(told.ends_with("header=\"Payment-Authorization\""), "{told}");
    let lines = [
        (name, "Bearer not.ours".to_owned()),
        (PAYMENT_AUTHORIZATION, written(&open, true)),
    ];
    let response = call(&open, "", TEXT, &lines, Some(goods(200)));
    assert!(is_of_api(&response));
    for is_free in [false, true] {
        let lines = [(name, written(&open, is_free))];
        let response = call(&open, "", TEXT, &lines, Some(PayReply::Conflict));
        assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
    }
    // What was paid for before a plan opened the route is not offered again.
    let lines = [(name, written(&plain, false))];
    let response = call(&open, "", TEXT, &lines, Some(goods(200)));
    assert!(is_of_api(&response));
}

#[test]
fn an_answer_of_the_api_has_a_receipt_if_it_is_a_good_one() {
    let config = shop_of(false);
    for (status, has_receipt) in [(200, true), (201, true), (404, false), (302, false)] {
        let lines = [("authorization", written(&config, false))];
        let response = call(&config, "", TEXT, &lines, Some(goods(status)));
        assert_eq!(response.status().as_u16(), status);
        let found = response.headers().contains_key(PAYMENT_RECEIPT);
        assert_eq!(found, has_receipt, "{status}");
    }
}

#[test]
fn a_credential_pays_for_its_own_call_only() {
    let config = shop_of(false);
    let lines = [("authorization", written(&config, false))];
    for (query, body) in [("a=1", TEXT), ("", b"other"), ("", b"")] {
        let response = call(&config, query, body, &lines, Some(PayReply::Conflict));
        assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
        let told: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            told["type"],
            "https://paymentauth.org/problems/invalid-challenge"
        );
        assert!(challenge(&response).is_some() && limit::counts(&response));
        // Whoever has paid for the other call, or may have, is not invited to pay again.
        for reply in [Some(goods(200)), None] {
            let response = call(&config, query, body, &lines, reply);
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            assert!(challenge(&response).is_none() && !is_of_api(&response));
        }
    }
}
