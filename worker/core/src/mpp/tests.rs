//! What published clients send for known challenges, and what a credential must agree with.

use crate::json;
use alloy_primitives::{B256, hex};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::chain::usdc::authorization_digest;
use crate::goods::Receipt;
use crate::purchase::test_offer;
use crate::types::{Network, UnixSeconds, UsdcAmount, WalletKey};
use crate::x402::Authorization;

const REALM: &str = "gw.example";
const RECIPIENT: &str = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";
const PAYER: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";

/// What a published client has signed: nonce, digest and signature.
struct Signed(&'static str, &'static str, &'static str);

/// The challenge of a vector.
fn challenge(id: &str, network: Network) -> Challenge {
    Challenge {
        id: id.to_owned(),
        realm: REALM.to_owned(),
        request: json!({
            "amount": "10000",
            "currency": network.usdc().to_checksum(None),
            "recipient": RECIPIENT,
            "methodDetails": {"chainId": network.chain_id(), "credentialTypes": ["authorization"], "decimals": 6},
        }),
        expires: UnixSeconds(1_800_000_000).to_rfc3339(),
        digest: None,
        field: Field::Authorization,
    }
}

fn authorization(nonce: B256) -> Authorization {
    Authorization {
        from: PAYER.parse().unwrap(),
        to: RECIPIENT.parse().unwrap(),
        value: UsdcAmount::from_units(10_000).to_u256(),
        valid_after: crate::types::U256::ZERO,
        valid_before: crate::types::U256::from(1_800_000_000u64),
        nonce,
    }
}

/// The credential that a client sends for a challenge.
fn sent(challenge: &Challenge, nonce: &str, signature: &str) -> Value {
    let object = challenge.object("");
    let mut repeated = object.as_object().unwrap().clone();
    repeated.remove("description");
    repeated.insert(
        "request".to_owned(),
        json!(challenge::encoded(&challenge.request)),
    );
    if let Some(field) = challenge.field.parameter() {
        repeated.insert("header".to_owned(), json!(field));
    }
    let chain = &challenge.request["methodDetails"]["chainId"];
    json!({
        "challenge": repeated,
        "payload": {
            "type": "authorization",
            "from": PAYER,
            "to": RECIPIENT,
            "value": "10000",
            "validAfter": "0",
            "validBefore": "1800000000",
            "nonce": nonce,
            "signature": signature,
        },
        "source": format!("did:pkh:eip155:{chain}:{PAYER}"),
    })
}

fn written(credential: &Value) -> String {
    URL_SAFE_NO_PAD.encode(credential.to_string())
}

/// Checks that both derivations give the nonces of published clients, that their typed data and signatures are ours, and
/// that their credentials agree with the challenge.
fn check(challenge: &Challenge, network: Network, signed: &[Signed]) {
    let key = WalletKey::from_hex(&format!("{:064x}", 1)).unwrap();
    for (at, Signed(nonce, digest, signature)) in signed.iter().enumerate() {
        let ours = nonces(&challenge.id, REALM)[at];
        assert_eq!(ours.to_string(), *nonce);
        let typed = authorization_digest(&authorization(ours), network);
        assert_eq!(typed.to_string(), *digest);
        let text = hex::encode_prefixed(key.sign(&typed).unwrap().as_bytes());
        assert_eq!(text, *signature);
        let credential = Credential::parse(&written(&sent(challenge, nonce, signature))).unwrap();
        assert_eq!(credential.mismatches(challenge), [""; 0]);
        assert_eq!(credential.authorization, authorization(ours));
        assert_eq!(credential.challenge_id(), challenge.id);
    }
}

const A: &str = "U9IKVxQiWeKnYCuOcCWk8RpwSse6jZGB56A-ahCXBFU";
const A_REQUEST: &str = "eyJhbW91bnQiOiIxMDAwMCIsImN1cnJlbmN5IjoiMHgwMzZDYkQ1Mzg0MmM1NDI2NjM0ZTc5Mjk1NDFlQzIzMThmM2RDRjdlIiwibWV0aG9kRGV0YWlscyI6eyJjaGFpbklkIjo4NDUzMiwiY3JlZGVudGlhbFR5cGVzIjpbImF1dGhvcml6YXRpb24iXSwiZGVjaW1hbHMiOjZ9LCJyZWNpcGllbnQiOiIweDIwOTY5M0JjNmFmYzBDNTMyOGJBMzZGYUYwM0M1MTRFRjMxMjI4N0MifQ";

#[test]
fn the_header_is_the_one_that_published_clients_read() {
    let header = challenge(A, Network::BaseSepolia).header("");
    assert_eq!(
        header,
        format!(
            "Payment id=\"{A}\", realm=\"gw.example\", method=\"evm\", intent=\"charge\", request=\"{A_REQUEST}\", \
             expires=\"2027-01-15T08:00:00Z\""
        )
    );
}

#[test]
fn both_nonces_of_published_clients_belong_to_their_challenge_on_base_sepolia() {
    check(
        &challenge(A, Network::BaseSepolia),
        Network::BaseSepolia,
        &[
            Signed(
                "0x31defbf71b5a958afaad6fd606f7c1b4ee4beb1280a6ca6eb3d2a399066fa9b1",
                "0x380882b52dd3424ccf1c1321e58cf8d14c9b0fe5d8ce16fb3b7d276d58b348eb",
                "0x3fa0f108faacfe413a1071bec6bb8a467d72e16fe0b9b2095e6883bf460515dd1e3de9aa1ec1b3c6f672a70c0ec30c1e64d4f2ad57b5ca907da92f0405d201011b",
            ),
            Signed(
                "0xd7b592ceae782c61887bb8bcddbe5dd945bcf76ffb93e9c62c1152e47c2e62d0",
                "0xfa88669a7b5a9273a73c0a966020d3e270a7281a707e376fafb441f89d562632",
                "0x1a874406bb91b32f217635926b0d79e456c98f856d86ace82a80d2aac0a295c33497885f5d16dab720baed137124579de571942a94fab6dbfdc1cc2be3ccb16b1c",
            ),
        ],
    );
}

#[test]
fn both_nonces_of_published_clients_belong_to_their_challenge_on_base() {
    check(
        &challenge("ri1SKOk1Qw8Pd9NKbrMRrUjCywwk8l7iL0TsXT3uY8s", Network::Base),
        Network::Base,
        &[
            Signed(
                "0x2e1894461ac4fa30af573bf486f4fba621636bfed3d12467124a5f4997fe6672",
                "0xde606722d3a1f7d3db95eff2fb1b54e00bd1c627fee8b4940934f35b507626ac",
                "0x9138a082eee58fae905a31c207b1a31a783510c6ad9b983fdb37161922858f7438f066bd0c730168ac1846b3d23fb525096d7b55375f96623af5f2bd138530021b",
            ),
            Signed(
                "0xa2b2a233fcc236496745216c361b16dd0aec351e6e639e9ea5b2bb97fc39631c",
                "0x5b1909df087a1918c3602479eadf033cc03acb8847d9da58faff3f6094eb47e5",
                "0x45e5d0556b8a2822dcc957a5d0e023bb3f884767193f89a6c4a98efafed1eb8e0af9910f3284529557d49b7cf10cc8642e68462e1f23095f3b08e393bcb749011c",
            ),
        ],
    );
}

#[test]
fn the_digest_of_a_body_and_the_nonce_of_a_longer_challenge_are_those_of_a_published_client() {
    let offer = test_offer();
    let setting = Setting {
        realm: REALM.to_owned(),
        body: Some(Sha256::digest(br#"{"planId":"basic"}"#).into()),
        field: Field::Authorization,
    };
    let digest = "sha-256=:Atoh2AXT93YJ3NK2fwaX1gKNUqvHHMjINjoP/hC3rNA=:";
    assert_eq!(
        Challenge::new(&offer, &setting).digest.as_deref(),
        Some(digest)
    );
    // The signature covers neither digest nor request: they are bound by the id alone.
    let mut longer = challenge(
        "5BoAPTv46GPPA84bCP_yzIpBNZwMnqN3LW-FzjO4A9Q",
        Network::BaseSepolia,
    );
    longer.digest = Some(digest.to_owned());
    longer.request["externalId"] = json!("41fca0bb-55b6-425f-82a2-b8a4ebd4ca15");
    let nonce = "0x4500310c981ef264d7e1e797a6328d1d8478cc1390ba5bf94a624defce099ab4";
    let signature = "0xb0a0840905fe12c24178d8efe6787e4ae8f57beab6b49e010e45bd943674e9b1544570df5aedea4cee85d4b65f93321e323f2204e193fbeec4c7a0aa2cbb73c51b";
    check(
        &longer,
        Network::BaseSepolia,
        &[Signed(
            nonce,
            "0x61b2bc26819d5e47b0de16e3b3e05798a630d7c1441d8dd51178bb7b91ffd633",
            signature,
        )],
    );
    // This seller sends no `opaque`, so what repeats one is not for a challenge of ours.
    let mut credential = sent(&longer, nonce, signature);
    credential["challenge"]["opaque"] = json!("eyJjaGFsbGVuZ2VJZCI6ImMxIiwicGxhbklkIjoiYmFzaWMifQ");
    let read = Credential::read(&credential).unwrap();
    assert_eq!(read.mismatches(&longer), ["opaque"]);
}

#[test]
fn the_receipt_is_the_one_that_published_clients_read() {
    let settled = Receipt {
        transaction: B256::repeat_byte(0xab),
        network: Network::BaseSepolia,
        payer: PAYER.parse().unwrap(),
        amount: UsdcAmount::from_units(10_000),
        settled_at: UnixSeconds(1_799_999_700),
    };
    assert_eq!(
        PaymentReceipt::new(&settled, A).header().unwrap(),
        "eyJjaGFsbGVuZ2VJZCI6IlU5SUtWeFFpV2VLbllDdU9jQ1drOFJwd1NzZTZqWkdCNTZBLWFoQ1hCRlUiLCJjaGFpbklkIjo4NDUzMiwibWV0aG9kIjoiZXZtIiwicmVmZXJlbmNlIjoiMHhhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiIiwic3RhdHVzIjoic3VjY2VzcyIsInRpbWVzdGFtcCI6IjIwMjctMDEtMTVUMDc6NTU6MDBaIn0"
    );
}

fn first_nonce() -> String {
    nonces(A, REALM)[0].to_string()
}

/// What is found wrong after `change` was made to a good credential.
fn wrong(change: impl Fn(&mut Value)) -> Vec<&'static str> {
    let challenge = challenge(A, Network::BaseSepolia);
    let mut credential = sent(&challenge, &first_nonce(), "0x");
    change(&mut credential);
    let read = Credential::parse(&written(&credential)).unwrap();
    read.mismatches(&challenge)
}

#[test]
fn what_is_repeated_of_the_challenge_must_be_the_challenge() {
    assert_eq!(wrong(|_| {}), [""; 0]);
    for (name, value) in [
        ("id", json!("other")),
        ("realm", json!("other.example")),
        ("expires", json!("2027-01-15T09:00:00Z")),
        ("expires", Value::Null),
        ("digest", json!("sha-256=:AA==:")),
        ("opaque", json!("e30")),
        ("opaque", json!({})),
        ("header", json!("Payment-Authorization")),
        ("request", json!("e30")),
        ("request", json!("!")),
        ("request", json!({})),
    ] {
        let found = wrong(|credential| credential["challenge"][name] = value.clone());
        assert_eq!(found, [name], "{value}");
    }
    for (path, value) in [
        ("/amount", json!("1")),
        (
            "/currency",
            json!("0x0000000000000000000000000000000000000001"),
        ),
        ("/recipient", json!(PAYER)),
        ("/methodDetails/chainId", json!(8453)),
    ] {
        let found = wrong(|credential| {
            let mut request = challenge(A, Network::BaseSepolia).request;
            *request.pointer_mut(path).unwrap() = value.clone();
            let text = URL_SAFE_NO_PAD.encode(request.to_string());
            credential["challenge"]["request"] = json!(text);
        });
        assert_eq!(found, ["request"], "{path}");
    }
}

#[test]
fn the_request_may_be_written_anew_or_be_an_object() {
    let request = challenge(A, Network::BaseSepolia).request;
    let padded = base64::engine::general_purpose::STANDARD
        .encode(serde_json::to_string_pretty(&request).unwrap());
    for written in [json!(padded), request] {
        let found = wrong(|credential| credential["challenge"]["request"] = written.clone());
        assert_eq!(found, [""; 0]);
    }
    let found = wrong(|credential| {
        credential["challenge"]["description"] = json!("anything");
        credential["challenge"]["another"] = json!(1);
        credential.as_object_mut().unwrap().remove("source");
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_nonce_of_another_challenge_and_a_source_that_is_not_the_payer_are_found() {
    let other = nonces("other", REALM)[0].to_string();
    assert_eq!(
        wrong(|credential| credential["payload"]["nonce"] = json!(other)),
        ["nonce"]
    );
    for source in [
        format!("did:pkh:eip155:8453:{PAYER}"),
        format!("did:pkh:eip155:84532:{RECIPIENT}"),
        "did:key:z6Mk".to_owned(),
        String::new(),
    ] {
        let found = wrong(|credential| credential["source"] = json!(source));
        assert_eq!(found, ["source"], "{source}");
    }
    let lower = format!("did:pkh:eip155:84532:{}", PAYER.to_lowercase());
    assert_eq!(
        wrong(|credential| credential["source"] = json!(lower)),
        [""; 0]
    );
}

#[test]
fn a_credential_that_cannot_be_read_is_told_what_is_wrong() {
    let read = |change: &dyn Fn(&mut Value)| {
        let mut credential = sent(&challenge(A, Network::BaseSepolia), &first_nonce(), "0x");
        change(&mut credential);
        let fault = Credential::read(&credential).unwrap_err();
        (fault.problem, fault.member.unwrap_or_default())
    };
    let malformed = Problem::MalformedCredential;
    for path in [
        "challenge",
        "challenge.id",
        "challenge.realm",
        "challenge.method",
        "challenge.intent",
        "challenge.request",
        "payload",
        "source",
    ] {
        let pointer = format!("/{}", path.replace('.', "/"));
        let change = |credential: &mut Value| *credential.pointer_mut(&pointer).unwrap() = json!(7);
        assert_eq!(read(&change), (malformed, path));
    }
    for name in ["method", "intent"] {
        let change = |credential: &mut Value| credential["challenge"][name] = json!("tempo");
        let member = ["challenge.", name].concat();
        assert_eq!(read(&change), (Problem::MethodUnsupported, member.as_str()));
    }
    for kind in ["hash", "permit2", "transaction", ""] {
        let change = |credential: &mut Value| credential["payload"]["type"] = json!(kind);
        assert_eq!(read(&change), (Problem::InvalidPayload, "payload.type"));
    }
    for name in [
        "from",
        "to",
        "value",
        "validAfter",
        "validBefore",
        "nonce",
        "signature",
    ] {
        let change = |credential: &mut Value| credential["payload"][name] = json!(1);
        let member = ["payload.", name].concat();
        assert_eq!(read(&change), (Problem::InvalidPayload, member.as_str()));
    }
    for text in ["", "!", "e30", "W10", "a, b"] {
        let fault = Credential::parse(text).unwrap_err();
        assert_eq!(fault.problem, malformed, "{text}");
    }
    let long = "A".repeat(crate::response::MAX_PAYMENT_HEADER_CHARS + 1);
    assert_eq!(Credential::parse(&long).unwrap_err().problem, malformed);
}

#[test]
fn a_description_is_quoted_plain_and_short() {
    let header = challenge(A, Network::BaseSepolia).header("\"10\" \\ café\u{2028}\r\n");
    assert!(
        header.ends_with(r#"description="\"10\" \\ caf?   ""#),
        "{header}"
    );
    let long = challenge(A, Network::BaseSepolia).header(&"x".repeat(500));
    assert!(!long.contains(&"x".repeat(121)), "{long}");
    assert!(header.is_ascii() && schemes(&header).len() == 1);
}

#[test]
fn every_problem_has_a_uri_and_a_title() {
    let status = StatusCode::CONFLICT;
    assert_eq!(Problem::Other.uri(), "about:blank");
    assert_eq!(Problem::Other.title(status), "Conflict");
    let problem = Problem::MalformedCredential;
    assert_eq!(
        (problem.uri(), problem.title(status)),
        (
            "https://paymentauth.org/problems/malformed-credential",
            "Malformed Credential"
        )
    );
}

proptest! {
    #[test]
    fn hostile_credentials_never_panic(text in "\\PC{0,200}") {
        let _ = Credential::parse(&text);
    }

    #[test]
    fn hostile_members_never_panic(
        path in prop::sample::select(vec![
            "/challenge", "/challenge/id", "/challenge/realm", "/challenge/request", "/challenge/expires",
            "/payload/from", "/payload/value", "/payload/nonce", "/payload/signature", "/source",
        ]),
        text in "\\PC{0,80}",
    ) {
        let challenge = challenge(A, Network::BaseSepolia);
        let mut credential = sent(&challenge, &first_nonce(), "0x");
        *credential.pointer_mut(path).unwrap() = json!(text);
        if let Ok(read) = Credential::read(&credential) {
            prop_assert!(path.starts_with("/payload") || !read.mismatches(&challenge).is_empty());
        }
    }

    #[test]
    fn the_same_id_and_realm_give_the_same_nonces_and_no_others_do(
        id in "[A-Za-z0-9_-]{1,40}", realm in "[a-z.]{1,20}", other in "[A-Za-z0-9_-]{1,40}",
    ) {
        let [draft, list] = nonces(&id, &realm);
        prop_assert_ne!(draft, list);
        if other != id {
            prop_assert!(!nonces(&other, &realm).contains(&list));
        }
    }
}
