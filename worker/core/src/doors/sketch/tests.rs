use futures_util::FutureExt as _;

use super::*;
use crate::book::TargetKey;
use crate::chain::endpoints::EndpointMemory;
use crate::chain::rpc::RpcChain;
use crate::chain::transfer::text_digest;
use crate::config::test_config;
use crate::doors::test_support::{buyer, node, price, version2};
use crate::purchase::test_support::{claims, receipt};
use crate::purchase::{Ask, PayReply, test_offer};
use crate::testing::{ScriptedPurchases, checkout};
use crate::types::{B256, UnixSeconds};
use crate::x402::Refusal;

const PLAN: &str = "basic";

/// The door's answer when purchases give this reply, and the questions that the purchases got.
fn send(message: Message, reply: Option<PayReply>) -> (Response, Value, Vec<Ask>) {
    let config = test_config();
    let shop = ScriptedPurchases::new(reply);
    let node = node();
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node, &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(&config, (&shop, &chain), UnixSeconds(1_800_000_010));
    let response = answer(&checkout, message).now_or_never().unwrap();
    let body = serde_json::from_slice(response.body()).unwrap();
    let asked = shop.asked.into_inner();
    (
        response,
        body,
        asked.into_iter().map(|(_, ask)| ask).collect(),
    )
}

fn paid() -> Message {
    let config = test_config();
    let units = price(&config).units();
    let payment = version2(config.wallets.pay_to, units, &Value::Null);
    Message::Pay(PLAN.parse().unwrap(), payment)
}

#[test]
fn a_price_is_stated_without_asking_any_purchase() {
    let (response, body, asked) = send(Message::Price(PLAN.parse().unwrap()), None);
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(body["accepts"][0]["extra"]["planId"], PLAN);
    assert!(asked.is_empty());
}

#[test]
fn a_payment_gets_its_grant() {
    let reply = PayReply::Granted {
        goods: crate::goods::Goods::Token { claims: claims() },
        receipt: Some(receipt(buyer().address())),
        again: false,
    };
    let (response, body, asked) = send(paid(), Some(reply));
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(body["grant"]["planId"], PLAN);
    assert_eq!(body["error"], Value::Null);
    assert!(matches!(asked.as_slice(), [Ask::Pay(_)]), "{asked:?}");
}

/// A proof of a transfer that pays an offer of the shop.
fn proof() -> TransferProof {
    let offer = test_config().offers.keys.seal(test_offer().terms);
    let signature = buyer().sign(&text_digest(offer.id.as_str())).unwrap();
    TransferProof {
        challenge_id: offer.id.to_string(),
        transaction: B256::repeat_byte(1),
        signature: Some(signature.as_bytes().to_vec()),
        chain_id: None,
        payer: None,
    }
}

/// A claim as a door reads it from its storage.
fn claim() -> Claim {
    let terms = test_offer().terms;
    let kept = json!({
        "requestId": terms.request_id,
        "payer": buyer().address(),
        "target": TargetKey::of(&terms),
    });
    serde_json::from_value(kept).unwrap()
}

#[test]
fn whatever_is_pending_carries_a_time_to_come_back_and_no_offer() {
    let pending = || PayReply::Pending { transaction: None };
    for message in [
        paid,
        || Message::Redeem(proof()),
        || Message::AskAgain(claim()),
    ] {
        // The purchase may have been paid, even if it gives no answer.
        for reply in [Some(pending()), None] {
            let (response, body, asked) = send(message(), reply);
            assert_eq!(asked.len(), 1, "{body}");
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(response.headers().contains_key(RETRY_AFTER));
            assert!(body["pending"].is_string(), "{body}");
            assert!(!body.to_string().contains("accepts"), "{body}");
        }
    }
}

#[test]
fn where_no_money_moved_the_price_is_stated_again() {
    let reply = PayReply::Refused {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: None,
        begun: true,
    };
    let (response, body, _) = send(paid(), Some(reply));
    assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(body["error"]["code"], "PAYMENT_FAILED");
    assert_eq!(body["offers"]["accepts"][0]["extra"]["planId"], PLAN);
}

#[test]
fn a_payment_of_another_purchase_is_told_why_and_offered_nothing() {
    let (response, body, _) = send(paid(), Some(PayReply::Taken));
    assert_eq!(body["stopped"], "invalid_exact_evm_nonce_already_used");
    assert_eq!(body["error"]["code"], "TX_ALREADY_REDEEMED");
    assert!(limit::counts(&response));
}
