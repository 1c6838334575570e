//! How a client gets the answer to a call again.

use crate::json;
use futures_util::FutureExt as _;
use serde_json::Value;

use super::*;
use crate::book::TargetKey;
use crate::catalog::{Catalog, testing};
use crate::chain::endpoints::EndpointMemory;
use crate::chain::rpc::RpcChain;
use crate::config::test_config;
use crate::doors::test_support::{node, version1};
use crate::purchase::{Ask, PayReply};
use crate::testing::{ScriptedMeters, ScriptedPurchases, checkout};
use crate::types::RequestId;
use crate::x402::header::{X_PAYMENT, encode};

const NOW: UnixSeconds = UnixSeconds(1_800_000_010);
const CENT: u64 = 10_000;

fn shop() -> Config {
    let mut config = test_config();
    let route = testing::route("weather", "GET", "/weather");
    config.catalog = Catalog::new(Vec::new(), vec![route]);
    config
}

/// Pays for a call as a client of version 1, with this idempotency key; its purchase gives this reply. Returns the
/// answer, and what was asked of which purchase.
fn pay(key: Option<&str>, reply: PayReply) -> (Value, Vec<(RequestId, Ask)>) {
    let config = shop();
    let [route] = config.catalog.routes() else {
        panic!("one route");
    };
    let mut headers = HeaderMap::new();
    let payment = encode(&version1(config.wallets.pay_to, CENT)).unwrap();
    headers.insert(X_PAYMENT, payment.parse().unwrap());
    if let Some(key) = key {
        headers.insert("idempotency-key", key.parse().unwrap());
    }
    let call = Call::new(route, "/weather".to_owned(), "", &headers, b"").unwrap();
    let purchases = ScriptedPurchases::new([reply]);
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node(), &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(&config, (&purchases, &chain), NOW);
    let arrival = Arrival {
        call: &call,
        method: &Method::GET,
        url: "https://shop.example/weather",
        headers: &headers,
        body: b"",
    };
    let entered = enter(&checkout, &ScriptedMeters::default(), None, &arrival)
        .now_or_never()
        .unwrap();
    let Passage::Answer(response) = entered else {
        panic!("{entered:?}");
    };
    let told = json!({
        "status": response.status().as_u16(),
        "body": serde_json::from_slice::<Value>(response.body()).unwrap(),
    });
    (told, purchases.asked.into_inner())
}

#[test]
fn an_answer_whose_payment_is_public_is_had_again_with_a_new_signature_and_the_id_that_is_told() {
    let (told, asked) = pay(None, PayReply::NeedsFreshSignature);
    let id = asked[0].0.clone();
    assert!(id.is_derived());
    assert_eq!(told["status"], 409);
    assert_eq!(told["body"]["details"]["requestId"], json!(id));
    let message = told["body"]["message"].as_str().unwrap();
    assert!(message.contains("Idempotency-Key"), "{message}");

    let other = RequestId::derived(&[7; 16]);
    let (_, asked) = pay(Some(other.as_str()), PayReply::Unavailable);
    let [(id, Ask::Pay(pay))] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(*id, other);
    let sale = pay.sale.as_ref().unwrap();
    assert!(!sale.is_chosen());
    assert_eq!(sale.offer.terms.request_id, other);
    assert_eq!(
        pay.target,
        TargetKey::of_any_resource(&sale.offer.terms.target)
    );
}

#[test]
fn a_key_of_the_client_s_own_names_a_purchase_of_its_own() {
    for key in [
        "x402-mine",
        "order 1",
        "550e8400-e29b-41d4-a716-446655440000",
    ] {
        let (_, asked) = pay(Some(key), PayReply::Unavailable);
        let [(id, Ask::Pay(pay))] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(*id, RequestId::from_name(key));
        assert!(pay.sale.as_ref().unwrap().is_chosen());
    }
}

mod counted;
mod former;
mod mpp;
