//! Tests of the proofs that are refused before an object or a network is asked, and of the errors for them.

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;

use alloy_primitives::hex;
use serde_json::Value;

use super::super::instructions::{Instructions, Way};
use crate::chain::endpoints::EndpointMemory;
use crate::chain::rpc::RpcChain;
use crate::chain::signature::MAX_SIGNATURE_BYTES;
use crate::chain::transfer::ProofFault;
use crate::config::Config;
use crate::config::{ProofBinding, test_config};
use crate::doors::http::Arrival;
use crate::doors::http::access;
use crate::goods::DeliveryFault;
use crate::json;
use crate::meter::Limits;
use crate::offer::{Offer, Target, Terms};
use crate::purchase::test_support::{buyer, claims, receipt};
use crate::purchase::{Ask, PayReply, Prove, test_offer};
use crate::testing::{ScriptedPurchases, WalletNode, checkout};
use crate::types::Address;

use crate::types::{Network, PlanId, UnixSeconds, UsdcAmount};

const GONE: &str = "gone-from-the-catalog";
const HASH: &str = "0x7777777777777777777777777777777777777777777777777777777777777777";

/// A contract wallet's answer. `None`: the door must not ask the chain.
type Said = Option<Result<&'static str, &'static str>>;

const WALLET: &str = "0xabababababababababababababababababababab";
const YES: &str = "0x1626ba7e00000000000000000000000000000000000000000000000000000000";
const NO: &str = "0xffffffff00000000000000000000000000000000000000000000000000000000";

fn config(binding: ProofBinding) -> Config {
    let mut config = test_config();
    config.offers.proof_binding = binding;
    config
}

fn offer(config: &Config, network: Network) -> Offer {
    config.offers.keys.seal(Terms {
        target: Target::Plan(GONE.parse().unwrap()),
        pay_to: config.wallets.pay_to,
        network,
        ..test_offer().terms
    })
}

fn sign(offer: &Offer) -> String {
    let digest = alloy_primitives::eip191_hash_message(offer.id.as_str());
    hex::encode_prefixed(buyer().sign(&digest).unwrap().as_bytes())
}

/// The body with a good proof.
fn body(offer: &Offer) -> Value {
    json!({"proof": {"challengeId": offer.id, "txHash": HASH, "signature": sign(offer)}})
}

/// Sends a body. Returns the status, the answer, and the questions that the purchase got.
fn send(config: &Config, reply: PayReply, body: &Value) -> (StatusCode, Value, Vec<Prove>) {
    send_with(config, reply, body, &HeaderMap::new())
}

fn send_with(
    config: &Config,
    reply: PayReply,
    body: &Value,
    headers: &HeaderMap,
) -> (StatusCode, Value, Vec<Prove>) {
    send_to(config, reply, body, headers, None)
}

fn send_to(
    config: &Config,
    reply: PayReply,
    body: &Value,
    headers: &HeaderMap,
    says: Said,
) -> (StatusCode, Value, Vec<Prove>) {
    let shop = ScriptedPurchases::new([reply]);
    let text = body.to_string();
    let arrival = Arrival {
        headers,
        body: text.as_bytes(),
    };
    let now = UnixSeconds(1_900_000_000);
    let node = WalletNode {
        about: WALLET,
        says,
        now: now.to_millis(),
    };
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node, &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(config, (&shop, &chain), now);
    let response = access(&checkout, &arrival).now_or_never().unwrap();
    let told = serde_json::from_slice(response.body()).unwrap();
    let proofs = shop.asked.take().into_iter().map(|(_, ask)| match ask {
        Ask::Prove(prove) => *prove,
        ask => panic!("{ask:?}"),
    });
    (response.status(), told, proofs.collect())
}

#[test]
fn a_proof_reaches_its_purchase_long_after_the_offer_with_the_signer_as_payer() {
    let config = config(ProofBinding::Signature);
    let offer = offer(&config, config.network);
    let (status, told, asked) = send(&config, PayReply::Taken, &body(&offer));
    assert_eq!(
        (status, told["code"].as_str()),
        (StatusCode::CONFLICT, Some("TX_ALREADY_REDEEMED"))
    );
    let [prove] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert_eq!(prove.payer, Some(buyer().address()));
    assert_eq!(prove.transaction.to_string(), HASH);
    assert_eq!(prove.offer, offer);
}

#[test]
fn what_was_sold_is_what_the_offer_says_and_not_what_the_catalog_says_by_now() {
    let mut config = config(ProofBinding::Signature);
    let gone = offer(&config, config.network);
    let lifetime = |config: &Config, offer: &Offer| {
        let (_, _, asked) = send(config, PayReply::Taken, &body(offer));
        asked[0]
            .sold
            .as_ref()
            .map(|sold| sold.access().unwrap().lifetime)
    };
    assert_eq!(lifetime(&config, &gone), Some(3_600));
    let plans =
        r#"[{"planId":"gone-from-the-catalog","unitAmount":"$1","expiresIn":77,"extra":{"a":1}}]"#;
    config.catalog = crate::catalog::Catalog::from_json(plans).unwrap();
    assert_eq!(lifetime(&config, &gone), Some(3_600));
    // The offer has only a digest of what the backend is told, so that is never made up.
    let extra = serde_json::from_value(json!({"a": 2})).unwrap();
    let told = config.offers.keys.seal(Terms {
        extra: config.offers.keys.digest(&extra, &Limits::default()),
        ..gone.terms
    });
    assert_eq!(lifetime(&config, &told), None);
}

#[test]
fn what_is_wrong_by_itself_reaches_nobody() {
    let config = config(ProofBinding::Signature);
    let ours = offer(&config, config.network);
    let mainnet = offer(&config, Network::Base);
    let good = body(&ours);
    let changed = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().insert(name.to_owned(), value);
        body
    };
    let mut elsewhere = good.clone();
    elsewhere["proof"]["chainId"] = json!(8453);
    let altered = format!("B{}", &ours.id.as_str()[1..]);
    for (body, code, status) in [
        (json!({"proof": 1}), "INVALID_REQUEST", 400),
        (json!({"proof": {}}), "INVALID_REQUEST", 400),
        (
            changed("/proof/txHash", json!("0x12")),
            "INVALID_REQUEST",
            400,
        ),
        (changed("/proof/txHash", json!(7)), "INVALID_REQUEST", 400),
        (
            changed("/proof/signature", json!("zz")),
            "INVALID_REQUEST",
            400,
        ),
        (
            changed("/proof/signature", json!("0x00")),
            "INVALID_PROOF",
            400,
        ),
        (
            changed("/proof/signature", Value::Null),
            "INVALID_PROOF",
            400,
        ),
        (
            changed("/proof/challengeId", json!(altered)),
            "CHALLENGE_NOT_FOUND",
            404,
        ),
        (body(&mainnet), "CHAIN_MISMATCH", 400),
        (elsewhere, "CHAIN_MISMATCH", 400),
        (with("planId", json!("basic")), "INVALID_REQUEST", 400),
        (with("resourceId", json!("other")), "INVALID_REQUEST", 400),
        (
            with("requestId", json!("550e8400-e29b-41d4-a716-446655440000")),
            "INVALID_REQUEST",
            400,
        ),
    ] {
        let (got, told, asked) = send(&config, PayReply::Taken, &body);
        assert_eq!(
            (told["code"].as_str(), got.as_u16()),
            (Some(code), status),
            "{body}"
        );
        assert!(asked.is_empty(), "{body}");
    }
}

#[test]
fn a_payment_header_beside_a_proof_is_refused() {
    let config = config(ProofBinding::Signature);
    let mut headers = HeaderMap::new();
    headers.insert("payment-signature", HeaderValue::from_static("e30="));
    let body = body(&offer(&config, config.network));
    let (_, told, asked) = send_with(&config, PayReply::Taken, &body, &headers);
    assert_eq!(told["code"], "INVALID_REQUEST");
    assert!(asked.is_empty());
}

#[test]
fn without_binding_no_signature_is_needed_and_a_given_one_still_binds() {
    let config = config(ProofBinding::TxHash);
    let offer = offer(&config, config.network);
    let mut unsigned = body(&offer);
    unsigned["proof"]["signature"] = Value::Null;
    let (_, _, asked) = send(&config, PayReply::Taken, &unsigned);
    assert_eq!(asked[0].payer, None);
    let (_, _, asked) = send(&config, PayReply::Taken, &body(&offer));
    assert_eq!(asked[0].payer, Some(buyer().address()));
}

#[test]
fn a_contract_wallet_is_named_and_asked() {
    let config = config(ProofBinding::Signature);
    let offer = offer(&config, config.network);
    let wallet: Address = WALLET.parse().unwrap();
    let signed = |signature: Value| json!({"proof": {"challengeId": offer.id, "txHash": HASH, "signature": signature, "payer": WALLET}});
    let ask = |body: &Value, answer| {
        let (_, told, asked) = send_to(&config, PayReply::Taken, body, &HeaderMap::new(), answer);
        (
            told["code"].as_str().unwrap().to_owned(),
            asked.first().map(|prove| prove.payer),
        )
    };
    let taken = ("TX_ALREADY_REDEEMED".to_owned(), Some(Some(wallet)));
    // One signature is made with the wallet owner's key, the other has a form of the wallet's own.
    for signature in [json!(sign(&offer)), json!("0x0102")] {
        assert_eq!(ask(&signed(signature), Some(Ok(YES))), taken);
    }
    let invalid = ("INVALID_PROOF".to_owned(), None);
    for answer in [NO, "0x"] {
        assert_eq!(ask(&signed(json!(sign(&offer))), Some(Ok(answer))), invalid);
    }
    let gone = ask(&signed(json!("0x01")), Some(Err("status 503")));
    assert_eq!(gone, ("ADAPTER_ERROR".to_owned(), None));
    // With these signatures the wallet is not even asked.
    let long = format!("0x{}", "01".repeat(MAX_SIGNATURE_BYTES + 1));
    for signature in [json!("0x"), json!(long)] {
        assert_eq!(ask(&signed(signature), None), invalid);
    }
    let named = json!({"proof": {"challengeId": offer.id, "txHash": HASH, "signature": sign(&offer), "payer": buyer().address()}});
    let known = (
        "TX_ALREADY_REDEEMED".to_owned(),
        Some(Some(buyer().address())),
    );
    assert_eq!(ask(&named, None), known, "a key needs no asking");
}

#[test]
fn each_fault_has_its_code() {
    let config = config(ProofBinding::Signature);
    let body = body(&offer(&config, config.network));
    let received = UsdcAmount::from_units(14_999);
    for (fault, code, status) in [
        (ProofFault::TxUnconfirmed, "TX_UNCONFIRMED", 202),
        (ProofFault::TransactionReverted, "INVALID_PROOF", 400),
        (ProofFault::NotIncluded, "INVALID_PROOF", 400),
        (ProofFault::NoTransfer, "INVALID_PROOF", 400),
        (ProofFault::PayerMismatch, "INVALID_PROOF", 400),
        (ProofFault::AmountMismatch(received), "AMOUNT_MISMATCH", 400),
        (ProofFault::TransferBeforeOffer, "INVALID_PROOF", 400),
        (ProofFault::TransferAfterExpiry, "CHALLENGE_EXPIRED", 410),
        (ProofFault::ShownTooLate, "CHALLENGE_EXPIRED", 410),
        (ProofFault::WalletNotUsed, "INVALID_PROOF", 400),
        (
            ProofFault::AuthorizationOpen(UnixSeconds(1_800_000_330)),
            "TX_UNCONFIRMED",
            202,
        ),
    ] {
        let (got, told, _) = send(&config, PayReply::Unproven(fault), &body);
        assert_eq!((told["code"].as_str(), got.as_u16()), (Some(code), status));
        match fault {
            ProofFault::TxUnconfirmed => {}
            ProofFault::AmountMismatch(_) => {
                let both = json!({"expected": "$0.015", "received": "$0.014999"});
                assert_eq!(told["details"], both);
            }
            ProofFault::ShownTooLate => {
                assert_eq!(told["details"]["showBefore"], "2027-02-14T08:16:00.000Z");
            }
            fault => assert_eq!(told["details"]["reason"], fault.code()),
        }
    }
}

#[test]
fn a_purchase_of_a_plan_that_has_left_the_catalog_is_answered_all_the_same() {
    let config = config(ProofBinding::Signature);
    let offer = offer(&config, config.network);
    assert!(
        config
            .catalog
            .plan(&"gone-from-the-catalog".parse::<PlanId>().unwrap())
            .is_none()
    );
    let granted = |again| PayReply::Granted {
        goods: crate::goods::Goods::Token { claims: claims() },
        receipt: Some(receipt(buyer().address())),
        again,
    };
    let (status, first, _) = send(&config, granted(false), &body(&offer));
    assert_eq!((status, first.get("code")), (StatusCode::OK, None));
    let (status, again, _) = send(&config, granted(true), &body(&offer));
    assert_eq!(
        (status, &again["code"]),
        (StatusCode::OK, &json!("PROOF_ALREADY_REDEEMED"))
    );
    assert_eq!(again["accessToken"], first["accessToken"]);
    let undelivered = PayReply::Undelivered {
        fault: DeliveryFault::Timeout,
        receipt: receipt(buyer().address()),
        refund_at: None,
    };
    let (status, _, _) = send(&config, undelivered, &body(&offer));
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
}

#[test]
fn the_offer_says_what_to_sign_only_where_a_signature_is_wanted() {
    let config = config(ProofBinding::Signature);
    let offer = offer(&config, config.network);
    let shown =
        |binding| serde_json::to_value(Instructions::new(&offer, binding, Way::Post)).unwrap();
    let signed = shown(ProofBinding::Signature);
    assert_eq!(signed["sign"], offer.id.as_str());
    assert_eq!(signed["amount"], "15000");
    assert_eq!(signed["body"]["proof"]["challengeId"], offer.id.as_str());
    assert!(signed["body"]["proof"].get("signature").is_some());
    let unsigned = shown(ProofBinding::TxHash);
    assert!(unsigned.get("sign").is_none());
    assert!(unsigned["body"]["proof"].get("signature").is_none());
}

#[test]
fn what_is_no_proof_says_which_member_is_wrong_as_each_door_calls_it() {
    for (name, is_near) in [
        ("transactionHash", true),
        ("tx_hash", true),
        ("TX", true),
        ("transaction hash of the payment", false),
        ("blockHash", false),
    ] {
        let proof = json!({"challengeId": "id", name: HASH});
        for (way, member) in [(Way::Post, "proof.txHash"), (Way::Message, "txHash")] {
            let refused = super::parse(&proof, way).unwrap_err();
            assert_eq!(refused.details, Some(json!({"member": member})));
            let names = format!("Instead of a member like `{name}` send `txHash`.");
            assert_eq!(
                refused.message.contains(&names),
                is_near,
                "{}",
                refused.message
            );
        }
    }
    let good = json!({"challengeId": "id", "txHash": HASH, "hash": "0x1"});
    assert!(super::parse(&good, Way::Post).is_ok());
}

proptest! {
    #[test]
    fn hostile_proofs_never_panic(id in ".{0,80}", hash in "(0x)?[0-9a-fA-Fxyz]{0,70}", signature in "(0x)?[0-9a-f]{0,140}", chain in any::<f64>()) {
        let _ = super::parse(&json!({"challengeId": id, "txHash": hash, "signature": signature, "chainId": chain}), Way::Post);
    }

    #[test]
    fn hostile_members_never_panic_and_are_not_repeated_at_length(name in ".{0,80}", value in ".{0,8}") {
        let proof = json!({(&name): value});
        let _ = super::is_meant(&proof);
        for way in [Way::Post, Way::Message] {
            let refused = super::parse(&proof, way).unwrap_err();
            prop_assert!(refused.message.len() < 300);
        }
    }
}
