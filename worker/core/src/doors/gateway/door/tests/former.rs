//! Payments for calls of routes that the seller has changed since.

use http::{HeaderName, StatusCode};

use super::*;
use crate::catalog::{Found, Route};
use crate::checkout::Order;
use crate::doors::test_support::{buyer, credential, version2};
use crate::purchase::test_support::{answer, answered, receipt};
use crate::response::Response;
use crate::x402::header::PAYMENT_SIGNATURE;

fn selling(routes: Vec<Route>) -> Config {
    let mut config = test_config();
    config.catalog = Catalog::with_routes(config.catalog.plans().to_vec(), routes);
    config
}

fn varying(names: &[&'static str]) -> Route {
    Route {
        vary: names
            .iter()
            .map(|name| HeaderName::from_static(name))
            .collect(),
        ..testing::route("weather", "GET", "/api/weather/:city")
    }
}

/// A call of the shop, and what its purchase replies.
struct Request<'a> {
    config: &'a Config,
    url: &'a str,
    payment: Option<&'a Value>,
    replies: Vec<PayReply>,
}

impl Request<'_> {
    /// The answer, and what was asked. `None` if no route has the path and no payment tells of one.
    fn send(self) -> (Option<Response>, Vec<(RequestId, Ask)>) {
        let mut headers = HeaderMap::new();
        headers.insert("accept", "text/plain".parse().unwrap());
        if let Some(payment) = self.payment {
            let text = encode(payment).unwrap();
            let (name, text) = match is_credential(payment) {
                true => ("authorization", format!("Payment {text}")),
                false => (PAYMENT_SIGNATURE, text),
            };
            headers.insert(name, text.parse().unwrap());
        }
        let purchases = ScriptedPurchases::new(self.replies);
        let memory = EndpointMemory::default();
        let (urls, network) = (&self.config.chain.rpc_urls, self.config.network);
        let chain = RpcChain::new(node(), urls, network, &memory);
        let checkout = checkout(self.config, (&purchases, &chain), NOW);
        let (path, query) = self.url.split_once('?').unwrap_or((self.url, ""));
        let path = path.strip_prefix("https://shop.example").unwrap();
        let response = match self.config.catalog.find(&Method::GET, path) {
            Found::Route(route, path) => {
                let call = Call::new(route, path, query, &headers, b"").unwrap();
                let arrival = Arrival {
                    call: &call,
                    method: &Method::GET,
                    url: self.url,
                    headers: &headers,
                    body: b"",
                };
                let entered = enter(&checkout, &ScriptedMeters::default(), None, &arrival)
                    .now_or_never()
                    .unwrap();
                match entered {
                    Passage::Answer(response) => Some(response),
                    Passage::Forward { .. } => panic!("{entered:?}"),
                }
            }
            _ => stray(&checkout, &Method::GET, self.url, &headers, b"")
                .now_or_never()
                .unwrap(),
        };
        (response, purchases.asked.into_inner())
    }
}

fn is_credential(payment: &Value) -> bool {
    payment.get("challenge").is_some()
}

/// Payments of the offer for this call, which the shop made before it changed: one by x402, and one by the Machine
/// Payments Protocol.
fn paid(before: &Config, url: &str) -> [Value; 2] {
    let request = Request {
        config: before,
        url,
        payment: None,
        replies: Vec::new(),
    };
    let (response, _) = request.send();
    let body: Value = serde_json::from_slice(response.unwrap().body()).unwrap();
    let id = body["challengeId"].as_str().unwrap();
    let offer = before.offers.keys.open(id).unwrap();
    let extra = json!({"challengeId": id});
    [
        version2(before.wallets.pay_to, CENT, &extra),
        credential(&offer, 0),
    ]
}

fn delivered() -> PayReply {
    PayReply::Granted {
        goods: answered(answer(1, 200), None),
        receipt: Some(receipt(buyer().address())),
        again: false,
    }
}

/// The status for a payment that is taken.
fn taken(payment: &Value) -> StatusCode {
    match is_credential(payment) {
        true => StatusCode::FORBIDDEN,
        false => StatusCode::CONFLICT,
    }
}

fn is_look(asked: &[(RequestId, Ask)]) -> bool {
    matches!(asked, [(_, Ask::Pay(pay))] if pay.sale.is_none())
}

const OSLO: &str = "https://shop.example/API/weather/oslo/?days=3";

#[test]
fn a_payment_gets_its_answer_again_after_its_route_was_renamed_respelt_moved_or_varies() {
    let before = selling(vec![varying(&[])]);
    let payments = paid(&before, OSLO);
    let renamed = testing::route("climate", "GET", "/api/weather/:city");
    let respelt = testing::route("weather", "GET", "/api/Weather/:place/");
    let moved = testing::route("weather", "GET", "/v2/weather/:city");
    for after in [renamed, respelt, moved, varying(&["accept"])] {
        let config = selling(vec![after]);
        for payment in &payments {
            let request = Request {
                config: &config,
                url: OSLO,
                payment: Some(payment),
                replies: vec![delivered()],
            };
            let (response, asked) = request.send();
            let response = response.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{config:?}");
            assert!(response::is_of_api(&response));
            let receipt = match is_credential(payment) {
                true => "payment-receipt",
                false => "payment-response",
            };
            assert!(response.headers().contains_key(receipt));
            assert!(is_look(&asked), "{asked:?}");
        }
    }
}

#[test]
fn a_spent_payment_for_another_call_is_taken_and_gets_neither_an_answer_nor_an_offer() {
    let before = selling(vec![varying(&["accept", "accept-language"])]);
    let payments = paid(&before, OSLO);
    let other = "https://shop.example/api/weather/rome?days=3";
    let longer = "https://shop.example/api/weather/oslo?days=4";
    let fewer = selling(vec![varying(&[])]);
    let premium = testing::route("premium", "GET", "/api/premium/:city");
    let more = selling(vec![varying(&["accept", "accept-language"]), premium]);
    let dear = "https://shop.example/api/premium/oslo";
    for (config, url) in [
        (&more, other),
        (&more, longer),
        (&more, dear),
        (&fewer, OSLO),
    ] {
        for payment in &payments {
            let request = Request {
                config,
                url,
                payment: Some(payment),
                replies: vec![delivered()],
            };
            let (response, asked) = request.send();
            let response = response.unwrap();
            assert_eq!(response.status(), taken(payment), "{url}");
            assert!(!response::is_of_api(&response));
            for offer in ["payment-required", "www-authenticate"] {
                assert!(!response.headers().contains_key(offer));
            }
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["code"], "TX_ALREADY_REDEEMED");
            assert!(is_look(&asked), "{asked:?}");
        }
    }
}

#[test]
fn a_payment_that_has_begun_nothing_is_offered_the_call_as_it_is_now() {
    let before = selling(vec![varying(&[])]);
    let config = selling(vec![varying(&["accept"])]);
    for payment in &paid(&before, OSLO) {
        let request = Request {
            config: &config,
            url: OSLO,
            payment: Some(payment),
            replies: vec![PayReply::Conflict],
        };
        let (response, asked) = request.send();
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
        let headers = response.headers();
        assert!(headers.contains_key("payment-required"));
        let has_challenge = headers.contains_key("www-authenticate");
        assert_eq!(has_challenge, is_credential(payment));
        assert!(is_look(&asked), "{asked:?}");
    }
}

#[test]
fn a_path_that_no_route_ever_had_is_not_found_whatever_comes_with_it() {
    let config = selling(vec![varying(&[])]);
    let [payment, accredited] = paid(&config, OSLO);
    let plan = Order::default();
    let memory = EndpointMemory::default();
    let purchases = ScriptedPurchases::new([]);
    let chain = RpcChain::new(node(), &config.chain.rpc_urls, config.network, &memory);
    let quote = checkout(&config, (&purchases, &chain), NOW)
        .quote(&plan)
        .unwrap();
    let extra = json!({"challengeId": quote.first.offer.id});
    let of_plan = version2(config.wallets.pay_to, 15_000, &extra);
    let plan_accredited = credential(&quote.first.offer, 0);
    let nowhere = "https://shop.example/nowhere";
    for (payment, replies) in [
        (None, vec![]),
        (Some(&of_plan), vec![]),
        (Some(&plan_accredited), vec![]),
        (Some(&payment), vec![PayReply::Conflict]),
        (Some(&accredited), vec![PayReply::Conflict]),
    ] {
        let request = Request {
            config: &config,
            url: nowhere,
            payment,
            replies,
        };
        assert!(request.send().0.is_none());
    }
    // What the payment has bought is not given out elsewhere.
    for payment in [&payment, &accredited] {
        let request = Request {
            config: &config,
            url: nowhere,
            payment: Some(payment),
            replies: vec![delivered()],
        };
        let response = request.send().0.unwrap();
        assert_eq!(response.status(), taken(payment));
        assert!(!response.headers().contains_key("www-authenticate"));
    }
}
