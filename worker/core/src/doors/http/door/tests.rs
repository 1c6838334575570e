//! Answers to payments without an offer, after the seller has changed price, wallet or catalog; and answers to payers
//! that must wait.

use crate::json;
use alloy_primitives::B256;
use futures_util::FutureExt as _;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::Value;

use super::*;
use crate::chain::endpoints::EndpointMemory;
use crate::chain::rpc::RpcChain;
use crate::checkout::Brought;
use crate::config::Config;
use crate::config::test_config;
use crate::doors::test_support::{EMPTY, buyer, price, version1, version2};
use crate::offer::{Offer, Target, Terms};
use crate::purchase::test_support::{NOW, answer as answer_to_call, granted};
use crate::purchase::{Ask, NotNow, PayReply, test_offer};
use crate::testing::{ScriptedPurchases, WalletNode, checkout};
use crate::types::{Address, RequestId};
use crate::x402::Refusal;
use crate::x402::header::{PAYMENT_REQUIRED, PAYMENT_SIGNATURE, X_PAYMENT, encode};

const PLAN: &str = "basic";
const GONE: &str = "sold-no-more";
const OWN_ID: &str = "01010101-0101-4101-8101-010101010101";

/// An offer that was made a moment ago.
fn sealed(plan: &str) -> Offer {
    let config = test_config();
    config.offers.keys.seal(Terms {
        request_id: OWN_ID.parse().unwrap(),
        target: Target::Plan(plan.parse().unwrap()),
        amount: price(&config),
        pay_to: config.wallets.pay_to,
        ..test_offer().terms
    })
}

struct Answer {
    status: StatusCode,
    body: Value,
    /// The decoded header for clients of version 2.
    required: Option<Value>,
    /// How many bytes all headers of the answer have together.
    header_bytes: usize,
    counts: bool,
    has_offer: bool,
    retry_after: Option<String>,
    asked: Vec<(RequestId, Ask)>,
    /// The call that was brought to the purchase.
    brought: Option<Brought>,
    /// The free calls that were made.
    made: Vec<Brought>,
    settled: Option<Value>,
}

/// Sends a payment. The purchases that are asked give these replies, one after the other.
fn send(body: &Value, payment: &Value, replies: impl IntoIterator<Item = PayReply>) -> Answer {
    let text = body.to_string();
    post(&test_config(), &text, Some(payment), replies)
}

/// Sends this body to a shop with these settings, with or without a payment.
fn post(
    config: &Config,
    text: &str,
    payment: Option<&Value>,
    replies: impl IntoIterator<Item = PayReply>,
) -> Answer {
    post_with(EMPTY, config, text, payment, replies)
}

fn post_with(
    wallets_say: Result<&'static str, &'static str>,
    config: &Config,
    text: &str,
    payment: Option<&Value>,
    replies: impl IntoIterator<Item = PayReply>,
) -> Answer {
    let shop = ScriptedPurchases::new(replies);
    shop.free.replace(Some(Ok(answer_to_call(1, 200))));
    shop.body.replace(Some(b"sunny".to_vec()));
    let mut headers = HeaderMap::new();
    if let Some(payment) = payment {
        let name = match payment["x402Version"] == 1 {
            true => X_PAYMENT,
            false => PAYMENT_SIGNATURE,
        };
        headers.insert(name, encode(payment).unwrap().parse().unwrap());
    }
    let arrival = Arrival {
        headers: &headers,
        body: text.as_bytes(),
    };
    let node = WalletNode {
        about: "",
        says: Some(wallets_say),
        now: NOW,
    };
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node, &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(config, (&shop, &chain), NOW.to_seconds());
    let response = access(&checkout, &arrival).now_or_never().unwrap();
    let counts = limit::counts(&response);
    let response = response::finish(response::allow_browsers(response), &http::Method::POST);
    let lines = response.headers().iter();
    Answer {
        status: response.status(),
        header_bytes: lines
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum(),
        required: response
            .headers()
            .get(PAYMENT_REQUIRED)
            .map(|value| crate::x402::header::decode(value.to_str().unwrap()).unwrap()),
        counts,
        body: serde_json::from_slice(response.body()).unwrap(),
        has_offer: response.headers().contains_key(PAYMENT_REQUIRED),
        retry_after: response
            .headers()
            .get(RETRY_AFTER)
            .map(|value| value.to_str().unwrap().to_owned()),
        settled: response
            .headers()
            .get("payment-response")
            .map(|value| crate::x402::header::decode(value.to_str().unwrap()).unwrap()),
        asked: shop.asked.into_inner(),
        brought: shop.brought.into_inner(),
        made: shop.made.into_inner(),
    }
}

fn refused(begun: bool) -> PayReply {
    PayReply::Refused {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: Some(B256::repeat_byte(0x66)),
        begun,
    }
}

/// The only question that was asked of a purchase: the purchase's id, and the target in the question.
fn repeat(answer: &Answer) -> (String, String) {
    let [(id, Ask::Pay(pay))] = answer.asked.as_slice() else {
        panic!("{:?}", answer.asked);
    };
    assert_eq!(pay.authorization.payer(), buyer().address());
    assert_eq!(pay.sale, None, "it begins nothing");
    assert_eq!(pay.request_id, *id);
    (id.to_string(), pay.target.as_str().to_owned())
}

/// Payments of both versions that were good until the seller changed the wallet or the price.
fn dated() -> Vec<Value> {
    let config = test_config();
    let units = price(&config).units();
    let old_wallet = Address::repeat_byte(0x0d);
    [(old_wallet, units), (config.wallets.pay_to, units + 1)]
        .into_iter()
        .flat_map(|(to, units)| {
            let dropped = version2(to, units, &Value::Null);
            [version1(to, units), dropped]
        })
        .collect()
}

#[test]
fn a_payment_where_none_is_read_is_told_its_place() {
    let config = test_config();
    let payment = version2(config.wallets.pay_to, price(&config).units(), &Value::Null);
    for (body, place) in [
        (
            json!({"planId": PLAN, "payment": payment}),
            "`payment` in the body",
        ),
        (
            json!({"planId": PLAN, "paymentPayload": {}}),
            "`paymentPayload` in the body",
        ),
        (
            json!({"planId": PLAN, "x": encode(&payment)}),
            "`x` in the body",
        ),
        (payment.clone(), "The body as a whole"),
    ] {
        let told = post(&config, &body.to_string(), None, []);
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{place}");
        let message = told.body["message"].as_str().unwrap();
        assert!(message.contains(place), "{message}");
        assert!(
            message.contains("in the header PAYMENT-SIGNATURE"),
            "{message}"
        );
        assert!(message.contains("Nothing was charged") && !told.counts);
    }
    // With a payment in the header, the one in the body is ignored.
    let both = json!({"planId": PLAN, "payment": payment});
    let told = send(&both, &payment, [granted()]);
    assert_eq!(told.status, StatusCode::OK, "{}", told.body);
}

#[test]
fn a_payment_of_yesterdays_offer_gets_what_its_purchase_answers() {
    for payment in dated() {
        let named = json!({"planId": PLAN, "requestId": OWN_ID, "resourceId": "default"});
        let answer = send(&named, &payment, [granted()]);
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let asked = (OWN_ID.to_owned(), format!("plan {PLAN} default"));
        assert_eq!(repeat(&answer), asked);

        let pending = PayReply::Pending { transaction: None };
        let answer = send(&json!({"planId": PLAN}), &payment, [pending]);
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!answer.has_offer, "it would invite a second payment");
        let (id, target) = repeat(&answer);
        assert!(id.starts_with("x402-"), "{id}");
        assert_eq!(target, format!("plan {PLAN} "), "of any resource");

        let answer = send(&named, &payment, [refused(true)]);
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
        assert!(answer.has_offer, "no money moved: it may be paid anew");
    }
}

#[test]
fn a_payment_that_was_never_taken_is_refused_as_todays_offer_refuses_it() {
    for payment in dated() {
        let body = json!({"planId": PLAN, "requestId": OWN_ID});
        let answer = send(&body, &payment, [PayReply::Conflict]);
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
        assert_eq!(answer.body["code"], "PAYMENT_FAILED");
        assert!(answer.has_offer);
        assert_eq!(repeat(&answer).0, OWN_ID);
    }
}

#[test]
fn a_purchase_that_cannot_be_asked_may_have_been_paid_so_nothing_is_offered() {
    for payment in dated() {
        for plan in [PLAN, GONE] {
            let answer = send(&json!({"planId": plan}), &payment, []);
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(!answer.has_offer);
        }
    }
}

#[test]
fn a_payment_for_what_the_catalog_has_no_more_gets_what_its_purchase_answers() {
    let config = test_config();
    let units = price(&config).units();
    let kept = json!({"challengeId": sealed(GONE).id});
    let own = json!({"planId": GONE, "requestId": OWN_ID});
    for (body, payment) in [
        (own.clone(), version1(config.wallets.pay_to, units)),
        (own, version2(config.wallets.pay_to, units, &Value::Null)),
        (
            json!({"planId": GONE}),
            version2(config.wallets.pay_to, units, &kept),
        ),
    ] {
        let answer = send(&body, &payment, [granted()]);
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let asked = (OWN_ID.to_owned(), format!("plan {GONE} "));
        assert_eq!(repeat(&answer), asked);
        for reply in [PayReply::Conflict, refused(true)] {
            let answer = send(&body, &payment, [reply]);
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            assert_eq!(answer.body["code"], "TIER_NOT_FOUND");
        }
    }
}

#[test]
fn whoever_has_not_signed_reaches_no_purchase() {
    for mut payment in dated() {
        payment["payload"]["authorization"]["nonce"] = json!(B256::repeat_byte(2));
        for plan in [PLAN, GONE] {
            let answer = send(&json!({"planId": plan}), &payment, []);
            let status = match plan {
                PLAN => StatusCode::PAYMENT_REQUIRED,
                _ => StatusCode::BAD_REQUEST,
            };
            assert_eq!(answer.status, status, "{}", answer.body);
            assert!(answer.asked.is_empty());
        }
    }
}

#[test]
fn what_was_wrong_also_before_the_change_reaches_no_purchase() {
    let config = test_config();
    let units = price(&config).units() + 1;
    let mut other_scheme = version1(config.wallets.pay_to, units);
    other_scheme["scheme"] = json!("upto");
    let extra = json!({"requestId": OWN_ID});
    let other_purchase = version2(config.wallets.pay_to, units, &extra);
    for payment in [other_scheme, other_purchase] {
        let answer = send(&json!({"planId": PLAN}), &payment, []);
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
        assert!(answer.asked.is_empty(), "{:?}", answer.asked);
    }
}

#[test]
fn a_payment_whose_resource_the_catalog_chose_is_found_under_the_one_it_chose_then() {
    let config = test_config();
    let payment = version1(config.wallets.pay_to, price(&config).units());
    let target = |body: &Value, payment: &Value| {
        let answer = send(body, payment, [granted()]);
        let [(id, Ask::Pay(pay))] = answer.asked.as_slice() else {
            panic!("{:?}", answer.asked);
        };
        assert_eq!((id.as_str(), pay.request_id.as_str()), (OWN_ID, OWN_ID));
        assert!(pay.sale.is_some(), "it may begin");
        pay.target.as_str().to_owned()
    };
    let unnamed = json!({"planId": PLAN, "requestId": OWN_ID});
    assert_eq!(target(&unnamed, &payment), format!("plan {PLAN} "));
    let named = json!({"planId": PLAN, "requestId": OWN_ID, "resourceId": "default"});
    assert_eq!(target(&named, &payment), format!("plan {PLAN} default"));
    // A payment that sends its offer back is judged by that offer alone.
    let kept = json!({"challengeId": sealed(PLAN).id});
    let kept = version2(config.wallets.pay_to, price(&config).units(), &kept);
    let nothing = json!({"requestId": OWN_ID});
    assert_eq!(target(&nothing, &kept), format!("plan {PLAN} default"));
}

#[test]
fn a_payer_whose_transfers_revert_is_told_how_long_to_wait_and_offered_nothing() {
    let config = test_config();
    let payment = version1(config.wallets.pay_to, price(&config).units());
    let wait = PayReply::Paused { seconds: 3_599 };
    let answer = send(&json!({"planId": PLAN}), &payment, [wait]);
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.body["code"], "RATE_LIMITED");
    assert_eq!(answer.retry_after.as_deref(), Some("3599"));
    assert!(!answer.has_offer);
}

#[test]
fn while_deliveries_keep_failing_buyers_are_told_when_to_come_back_and_offered_nothing() {
    let config = test_config();
    let payment = version1(config.wallets.pay_to, price(&config).units());
    let wait = PayReply::NotNow(NotNow::DeliveriesFail { seconds: 29 });
    let answer = send(&json!({"planId": PLAN}), &payment, [wait]);
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body["code"], "TEMPORARILY_UNAVAILABLE");
    assert_eq!(answer.body["details"]["reason"], "deliveries_fail");
    assert_eq!(answer.retry_after.as_deref(), Some("29"));
    assert!(!answer.has_offer);
}

mod calls;
mod empty_body;
mod limits;
mod mpp;
mod sealed;
