//! Signatures of every kind, honest and not. The node gives the answers that a test chooses, and remembers the
//! questions.

use std::collections::BTreeMap;

use crate::json;
use alloy_primitives::{B256, Bytes, U256, hex};
use alloy_sol_types::{SolType, sol_data};
use proptest::prelude::*;
use serde_json::Value;

use super::super::endpoints::bench::{Bench, Node};
use super::super::settlement_call::settlement_call;
use super::super::signature::{Deployment, MAX_SIGNATURE_BYTES};
use super::super::wallet_call::{MAX_DEPLOYMENT_GAS, MAX_WALLET_GAS, MULTICALL};
use super::*;
use crate::types::WalletKey;

mod key;

const NETWORK: Network = Network::BaseSepolia;
const AMOUNT: UsdcAmount = UsdcAmount::from_units(15_000);
const SELLER: Address = Address::repeat_byte(0x22);
const FACTORY: Address = Address::repeat_byte(0xfa);
const WALLET: Address = Address::repeat_byte(0x3a);

const YES: &str = "0x1626ba7e00000000000000000000000000000000000000000000000000000000";
const NO: &str = "0xffffffff00000000000000000000000000000000000000000000000000000000";
const NO_CODE: &str = "0x";

fn key() -> WalletKey {
    WalletKey::from_hex(&format!("{:064x}", 5)).unwrap()
}

fn authorization(from: Address) -> Authorization {
    Authorization {
        from,
        to: SELLER,
        value: AMOUNT.to_u256(),
        valid_after: U256::ZERO,
        valid_before: U256::from(2_000u64),
        nonce: B256::repeat_byte(3),
    }
}

fn key_signature(from: Address) -> Vec<u8> {
    let digest = usdc::authorization_digest(&authorization(from), NETWORK);
    key().sign(&digest).unwrap().as_bytes().to_vec()
}

fn presented(from: Address, signature: &[u8]) -> Result<Presented, Refusal> {
    Presented::new(authorization(from), signature, NETWORK, SELLER, AMOUNT)
}

type Outcome = (
    Result<Result<SignedAuthorization, Refusal>, ChainError>,
    Vec<Value>,
);

/// Proves a signature where calls of these addresses return these texts. Also returns the calls that were made.
fn prove(signature: &[u8], returns: &[(Address, &str)], factories: &[Address]) -> Outcome {
    // Calls of all other addresses revert.
    let returns: BTreeMap<Address, String> = returns
        .iter()
        .map(|(at, what)| (*at, (*what).to_owned()))
        .collect();
    let node = Node::new(move |question| {
        assert_eq!(question["method"], "eth_call");
        let to = question["params"][0]["to"].as_str().unwrap();
        match returns.get(&to.parse::<Address>().unwrap()) {
            Some(text) if text == "down" => json!({"error": {"code": -32603}}),
            Some(result) => json!({"result": result}),
            None => json!({"error": {"code": 3, "message": "execution reverted"}}),
        }
    });
    let bench = Bench::new([node]);
    let outcome = bench.ask(async |chain| match presented(WALLET, signature) {
        Ok(presented) => presented.prove(chain, factories).await,
        Err(refusal) => Ok(Err(refusal)),
    });
    // The first request also has the questions for the chain's identity, which come before ours.
    let question = |body: Value| body.get(2).cloned().unwrap_or(body);
    let posts = bench.posts.take().into_iter();
    let asked = posts.map(|post| question(post.body)["params"][0].clone());
    (outcome, asked.collect())
}

fn counterfactual(factory: Address, call: &[u8], inner: &[u8]) -> Vec<u8> {
    type Wrapped = (sol_data::Address, sol_data::Bytes, sol_data::Bytes);
    let parts = (
        factory,
        Bytes::copy_from_slice(call),
        Bytes::copy_from_slice(inner),
    );
    let mut bytes = Wrapped::abi_encode_params(&parts);
    bytes.extend(hex!(
        "6492649264926492649264926492649264926492649264926492649264926492"
    ));
    bytes
}

/// What Multicall3 returns when the factory's call succeeds or not (`deployed`), and the wallet then returns
/// `returned`.
fn multicall(deployed: bool, returned: &str) -> String {
    use super::super::wallet_call::tests::results;
    hex::encode_prefixed(results(deployed, true, &hex::decode(returned).unwrap()))
}

const BAD: Refusal = Refusal::InvalidExactEvmPayloadSignature;

#[test]
fn a_wallet_whose_code_does_not_accept_its_key_is_told_from_one_without_code() {
    let asked = |told: &'static str| {
        let node = Node::new(move |_| match told {
            "down" => json!({"error": {"code": -32603}}),
            told => json!({"result": told}),
        });
        let bench = Bench::new([node]);
        bench.ask(async |chain| key_is_refused(chain, &key()).await)
    };
    assert_eq!(asked(NO_CODE).ok(), Some(false));
    assert_eq!(asked(YES).ok(), Some(false));
    assert_eq!(asked(NO).ok(), Some(true));
    assert!(asked("down").is_err(), "not known");
}

#[test]
fn the_signature_of_a_key_is_proven_without_asking_anybody() {
    let from = key().address();
    let proven = presented(from, &key_signature(from)).unwrap();
    assert!(matches!(proven, Presented::Proven(signed) if signed.payer() == from));
    let mut zero_based = key_signature(from);
    zero_based[64] -= 27;
    assert!(matches!(
        presented(from, &zero_based),
        Ok(Presented::Proven(_))
    ));
}

#[test]
fn what_is_wrong_with_the_terms_is_told_before_anybody_is_asked() {
    let wrong = |change: fn(&mut Authorization)| {
        let mut changed = authorization(WALLET);
        change(&mut changed);
        Presented::new(changed, &[1; 70], NETWORK, SELLER, AMOUNT)
    };
    assert_eq!(
        wrong(|a| a.to = WALLET),
        Err(Refusal::InvalidExactEvmPayloadRecipientMismatch)
    );
    assert_eq!(
        wrong(|a| a.value = U256::from(1)),
        Err(Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch)
    );
    assert_eq!(
        wrong(|a| a.from = SELLER),
        Err(Refusal::InvalidExactEvmPayloadPayer)
    );
}

#[test]
fn signatures_that_cannot_be_any_wallets_are_refused_without_asking() {
    let suffix_only = hex!("6492649264926492649264926492649264926492649264926492649264926492");
    let mut cut = counterfactual(FACTORY, &[1], &[2; 65]);
    cut.drain(..32);
    for signature in [
        vec![],
        vec![1; MAX_SIGNATURE_BYTES + 1],
        suffix_only.to_vec(),
        cut,
        counterfactual(FACTORY, &[1], &[]),
        counterfactual(FACTORY, &[1; MAX_SIGNATURE_BYTES], &[2; 65]),
    ] {
        let (outcome, asked) = prove(&signature, &[(WALLET, YES), (MULTICALL, YES)], &[FACTORY]);
        assert_eq!(outcome, Ok(Err(BAD)), "{} bytes", signature.len());
        assert!(asked.is_empty(), "{asked:?}");
    }
}

#[test]
fn a_wallet_is_asked_once_with_bounded_gas_and_only_its_magic_word_is_a_yes() {
    let mut trailing = YES.to_owned();
    trailing.push_str("00");
    for signature in [
        vec![1],
        vec![1; 64],
        vec![1; 65],
        vec![1; 66],
        vec![1; MAX_SIGNATURE_BYTES],
    ] {
        for (returned, expected) in [
            (YES, None),
            (NO, Some(BAD)),
            (NO_CODE, Some(BAD)),
            ("0x1626ba7e", Some(BAD)),
            (
                "0x0000000000000000000000000000000000000000000000000000000000000001",
                Some(BAD),
            ),
            (trailing.as_str(), Some(BAD)),
        ] {
            let (outcome, asked) = prove(&signature, &[(WALLET, returned)], &[]);
            assert_eq!(outcome.unwrap().err(), expected, "{returned}");
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0]["gas"], format!("{MAX_WALLET_GAS:#x}"));
        }
        let (reverts, _) = prove(&signature, &[], &[]);
        assert_eq!(reverts, Ok(Err(BAD)));
    }
}

#[test]
fn when_the_chain_cannot_be_asked_nothing_is_proven() {
    for returns in [
        vec![(WALLET, "down")],
        vec![(WALLET, NO_CODE), (MULTICALL, "down")],
    ] {
        let wrapped = counterfactual(FACTORY, &[1], &[2; 65]);
        let (outcome, _) = prove(&wrapped, &returns, &[FACTORY]);
        assert!(outcome.is_err(), "{outcome:?}");
    }
}

#[test]
fn the_key_of_an_owner_is_not_the_wallets_signature_until_the_wallet_says_so() {
    // The wallet's owner has signed for the wallet: the 65 bytes are a good signature, but of another address than
    // `from`.
    let signature = key_signature(WALLET);
    let (yes, _) = prove(&signature, &[(WALLET, YES)], &[]);
    assert!(
        matches!(yes, Ok(Ok(signed)) if signed.signature_hex() == hex::encode_prefixed(&signature))
    );
    let (no, _) = prove(&signature, &[(WALLET, NO)], &[]);
    assert_eq!(no, Ok(Err(BAD)));
}

#[test]
fn the_call_of_a_foreign_factory_is_never_made() {
    let call = [0xde, 0xad, 0xbe, 0xef];
    let wrapped = counterfactual(FACTORY, &call, &[2; 65]);
    for factories in [vec![], vec![Address::repeat_byte(0xfb)]] {
        for returned in [YES, NO, NO_CODE] {
            let returns = [(WALLET, returned), (MULTICALL, YES), (FACTORY, YES)];
            let (outcome, asked) = prove(&wrapped, &returns, &factories);
            assert_eq!(asked.len(), 1, "only the wallet itself is asked");
            assert!(!asked[0].to_string().contains("deadbeef"));
            match returned {
                // The wallet exists by now: its own answer counts, and its factory is not kept.
                YES => assert_eq!(outcome.unwrap().unwrap().deployment(), None),
                NO => assert_eq!(outcome, Ok(Err(BAD))),
                _ => assert_eq!(outcome, Ok(Err(Refusal::Eip6492FactoryNotAllowed))),
            }
        }
    }
}

#[test]
fn a_wallet_of_a_listed_factory_is_asked_as_it_would_be_when_it_exists() {
    let wrapped = counterfactual(FACTORY, &[0xca, 0x11], &[2; 65]);
    for (deployed, returned, expected) in [
        (true, YES, None),
        // Somebody else has created the wallet between two questions.
        (false, YES, None),
        (true, NO, Some(BAD)),
        (true, NO_CODE, Some(Refusal::SmartWalletDeploymentFailed)),
        (false, NO_CODE, Some(Refusal::SmartWalletDeploymentFailed)),
    ] {
        let answer = multicall(deployed, returned);
        let returns = [(WALLET, NO_CODE), (MULTICALL, answer.as_str())];
        let (outcome, asked) = prove(&wrapped, &returns, &[FACTORY]);
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1]["gas"], format!("{MAX_DEPLOYMENT_GAS:#x}"));
        match (outcome.unwrap(), expected) {
            (Ok(signed), None) => {
                let deployment = Deployment {
                    factory: FACTORY,
                    call: Bytes::from_static(&[0xca, 0x11]),
                };
                assert_eq!(signed.deployment(), Some(&deployment));
                assert_eq!(signed.signature_hex(), hex::encode_prefixed([2; 65]));
                let call = settlement_call(&signed, NETWORK);
                assert_eq!((call.to, call.max_gas), (MULTICALL, MAX_DEPLOYMENT_GAS));
            }
            (refused, _) => assert_eq!(refused.err(), expected),
        }
    }
    let returns = [(WALLET, NO_CODE), (MULTICALL, "0x00")];
    assert!(
        prove(&wrapped, &returns, &[FACTORY]).0.is_err(),
        "no answer of Multicall3"
    );
}

#[test]
fn what_is_stored_of_a_signature_can_be_read_again() {
    let from = key().address();
    let Presented::Proven(of_key) = presented(from, &key_signature(from)).unwrap() else {
        panic!("a key's signature");
    };
    let stored = serde_json::to_value(&of_key).unwrap();
    assert!(
        stored["signature"]["r"].is_string(),
        "as in the first version: {stored}"
    );
    let answer = multicall(true, YES);
    let wrapped = counterfactual(FACTORY, &[1], &[2; 3]);
    let returns = [(WALLET, NO_CODE), (MULTICALL, answer.as_str())];
    let of_new_wallet = prove(&wrapped, &returns, &[FACTORY]).0.unwrap().unwrap();
    let of_wallet = prove(&[2; 3], &[(WALLET, YES)], &[]).0.unwrap().unwrap();
    assert_eq!(
        serde_json::to_value(&of_new_wallet).unwrap()["signature"],
        json!({"bytes": "0x020202", "deployment": {"factory": FACTORY, "call": "0x01"}})
    );
    assert_eq!(
        serde_json::to_value(&of_wallet).unwrap()["signature"],
        json!({"bytes": "0x020202"})
    );
    for signed in [of_key, of_wallet, of_new_wallet] {
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(
            serde_json::from_str::<SignedAuthorization>(&text).unwrap(),
            signed
        );
    }
}

proptest! {
    #[test]
    fn hostile_signatures_never_panic(mut bytes: Vec<u8>, wrapped: bool) {
        if wrapped {
            bytes.extend(hex!("6492649264926492649264926492649264926492649264926492649264926492"));
        }
        let _ = prove(&bytes, &[(WALLET, NO_CODE)], &[FACTORY]);
    }
}
