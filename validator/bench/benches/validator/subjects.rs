//! What is measured. Each answers whether it decided as it should.

use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use graviola::signing::rsa::{SigningKey, VerifyingKey};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use jwt_compact::alg::{Hs256, Hs256Key, Rsa, RsaPublicKey};
use jwt_compact::{AlgorithmExt, TimeOptions, Token, UntrustedToken, ValidationError};
use key0_validator::{Config, Validator};
use serde::Deserialize;
use sha2::block_api::compress256;

use crate::measure::{Subject, peer, subject, together};

const SECRET: &[u8] = b"the secret of this benchmark, long enough";
const PRIVATE: &str = include_str!("../../../tests/keys/a.pem");
const PUBLIC: &str = include_str!("../../../tests/keys/a.pub.pem");
const PKCS1: &str = include_str!("../../../tests/keys/a.pkcs1.pub.pem");

/// What a gateway writes for a purchase, in its order. It runs out in the year 2286.
const CLAIMS: &str = r#"{"sub":"2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11","jti":"5d1c1d6e-0f2b-4a55-8f0e-3b1f6a4e9c07","resourceId":"default","planId":"basic","txHash":"0xba3fe88f3af34e3c7ded838942ffb4d3d3de3feadbaef99c972a22271f2fa299","iat":1799999990,"exp":9999999999,"iss":"https://seller.example","payer":"0x70997970C51812dc3A010C7d01b50e0d17dc79C8","chainId":8453}"#;

/// The name of the RSA key, as long as the gateway's are (RFC 7638).
const KID: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Claims {
    sub: String,
    jti: String,
    resource_id: String,
    plan_id: String,
    tx_hash: String,
    iat: u64,
    exp: u64,
    iss: String,
    payer: String,
    chain_id: u64,
}

/// What `jwt-compact` leaves of them: it takes the dates itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Undated {
    sub: String,
    jti: String,
    resource_id: String,
    plan_id: String,
    tx_hash: String,
    iss: String,
    payer: String,
    chain_id: u64,
}

fn signed(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode_to_string(text);
    format!("{}.{}", encode(header), encode(claims))
}

fn mac(signed: &str) -> [u8; 32] {
    aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET),
        signed.as_bytes(),
    )
    .as_ref()
    .try_into()
    .expect("32 bytes")
}

fn hs256_with(header: &str) -> String {
    hs256_of(header, CLAIMS)
}

fn hs256_of(header: &str, claims: &str) -> String {
    let signed = signed(header, claims);
    format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode_to_string(mac(&signed))
    )
}

pub fn hs256_token() -> String {
    hs256_of(&hs256_header(), CLAIMS)
}

/// In the gateway's order, with the name that it gives its key.
fn hs256_header() -> String {
    let kid = key0_validator::key_id(SECRET);
    format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#)
}

fn der(pem: &str) -> Vec<u8> {
    let symbols: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode_to_vec(symbols).expect("a test key")
}

pub fn rs256_token() -> String {
    let header = format!(r#"{{"alg":"RS256","kid":"{KID}","typ":"JWT"}}"#);
    let signed = signed(&header, CLAIMS);
    let mut room = [0; 256];
    let key = SigningKey::from_pkcs8_der(&der(PRIVATE)).expect("a test key");
    let signature = key
        .sign_pkcs1_sha256(&mut room, signed.as_bytes())
        .expect("it signs");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode_to_string(signature))
}

/// As many compressions over ready blocks as the token needs, and a comparison: what no check with this MAC can be faster than.
fn mac_bound(token: &str) -> impl FnMut() -> bool + 'static {
    let (signed, signature) = token.rsplit_once('.').expect("a token");
    let message = signed.as_bytes().to_vec();
    let expected: [u8; 32] = URL_SAFE_NO_PAD
        .decode_to_vec(signature)
        .expect("base64")
        .try_into()
        .expect("32 bytes");
    let pad = |pad: u8| {
        let mut block = [pad; 64];
        block
            .iter_mut()
            .zip(SECRET)
            .for_each(|(byte, key)| *byte ^= key);
        let mut state = INITIAL;
        compress256(&mut state, &[block]);
        state
    };
    let (inner, outer) = (pad(0x36), pad(0x5c));
    move || {
        let digest = finish(
            black_box(outer),
            &finish(black_box(inner), black_box(&message)),
        );
        digest
            .iter()
            .zip(&expected)
            .fold(0, |all, (a, b)| all | (a ^ b))
            == 0
    }
}

const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

fn finish(mut state: [u32; 8], message: &[u8]) -> [u8; 32] {
    let (blocks, tail) = message.as_chunks();
    compress256(&mut state, blocks);
    let mut last = [0; 64];
    last[..tail.len()].copy_from_slice(tail);
    last[tail.len()] = 0x80;
    if tail.len() >= 56 {
        compress256(&mut state, &[last]);
        last = [0; 64];
    }
    last[56..].copy_from_slice(&(8 * (64 + message.len() as u64)).to_be_bytes());
    compress256(&mut state, &[last]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// The same claims as others may write them: each must be as good as a gateway's own.
fn legal() -> Vec<(&'static str, String)> {
    let dates = r#""iat":1799999990,"exp":9999999999"#;
    let members: Vec<_> = CLAIMS.trim_matches(['{', '}']).split(',').collect();
    let inside = |order: &[usize]| {
        let members: Vec<_> = order.iter().map(|at| members[*at]).collect();
        format!("{{{}}}", members.join(","))
    };
    let more = r#","nbf":1700000000,"aud":"https://api.example","scope":"read write"}"#;
    let shuffled = inside(&[3, 8, 0, 6, 9, 2, 5, 1, 7, 4]);
    let spaced = |claims: &str| claims.replace(',', ", ").replace("\":", "\": ");
    vec![
        ("as a gateway writes it", CLAIMS.to_owned()),
        (
            "exp before iat",
            CLAIMS.replace(dates, r#""exp":9999999999,"iat":1799999990"#),
        ),
        ("in reverse", inside(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 0])),
        ("one more claim", CLAIMS.replace('}', ",\"x\":1}")),
        ("one more claim in front", CLAIMS.replace('{', "{\"x\":1,")),
        ("three more claims", CLAIMS.replace('}', more)),
        ("white space", spaced(CLAIMS)),
        (
            "shuffled, three more, white space",
            spaced(&shuffled.replace('}', more)),
        ),
        ("shuffled", shuffled),
    ]
}

/// Each legal token, and the bare MAC over it.
pub fn any_legal() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for (name, claims) in legal() {
        let token = hs256_of(&hs256_header(), &claims);
        let value = format!("Bearer {token}");
        let validator = Validator::new(Config::hs256(SECRET).expect("long enough"));
        subjects.push(subject("MAC bound", mac_bound(&token)));
        subjects.push(subject(name, move || {
            validator.validate(black_box(value.as_str())).is_ok()
        }));
    }
    subjects
}

fn ours(config: Config, token: &str) -> Vec<Subject> {
    let value = format!("Bearer {token}");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock")
        .as_secs();
    let own = |config: &Config| (Validator::new(config.clone()), value.clone());
    let (owned, owned_value) = own(&config);
    let (timed, timed_value) = own(&config);
    let (remembering, remembered_value) = own(&config.clone().verified_cache(1000));
    vec![
        subject("ours", move || {
            owned.validate(black_box(owned_value.as_str())).is_ok()
        }),
        subject("ours, time given", move || {
            timed
                .validate_at(black_box(timed_value.as_str()), now)
                .is_ok()
        }),
        subject("ours, cache hit", move || {
            remembering
                .validate(black_box(remembered_value.as_str()))
                .is_ok()
        }),
    ]
}

fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation
}

fn jsonwebtoken(name: &'static str, algorithm: Algorithm) -> Subject {
    let (token, key) = match algorithm {
        Algorithm::HS256 => (
            hs256_token(),
            DecodingKey::from_secret(SECRET).expect("long enough"),
        ),
        _ => (
            rs256_token(),
            DecodingKey::from_rsa_pem(PUBLIC.as_bytes()).expect("a test key"),
        ),
    };
    let validation = validation(algorithm);
    peer(name, move || {
        jsonwebtoken::decode::<Claims>(black_box(&token), &key, &validation).is_ok()
    })
}

fn jsonwebtoken_11(algorithm: jsonwebtoken_11::Algorithm) -> Subject {
    use jsonwebtoken_11::{Algorithm, DecodingKey, Validation, decode};
    let (token, key) = match algorithm {
        Algorithm::HS256 => (hs256_token(), DecodingKey::from_secret(SECRET)),
        _ => (
            rs256_token(),
            DecodingKey::from_rsa_pem(PUBLIC.as_bytes()).expect("a test key"),
        ),
    };
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    // Not a peer by whose speed we are judged: that is the current version.
    subject("(jsonwebtoken 11, rust_crypto)", move || {
        decode::<Claims>(black_box(&token), &key, &validation).is_ok()
    })
}

pub fn hs256() -> Vec<Subject> {
    let _first = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
    let mut subjects = vec![subject("MAC bound", mac_bound(&hs256_token()))];
    subjects.extend(ours(
        Config::hs256(SECRET).expect("long enough"),
        &hs256_token(),
    ));
    let (token, key) = (hs256_token(), Hs256Key::new(SECRET));
    subjects.push(peer("jwt-compact", move || {
        let token = UntrustedToken::new(black_box(&token)).expect("a token");
        is_in_time(Hs256.validator(&key).validate(&token))
    }));
    subjects.push(jsonwebtoken(
        "jsonwebtoken 12, rust_crypto",
        Algorithm::HS256,
    ));
    subjects.push(jsonwebtoken_11(jsonwebtoken_11::Algorithm::HS256));
    subjects
}

/// The rest of jwt-compact's check.
fn is_in_time(token: Result<Token<Undated>, ValidationError>) -> bool {
    token.is_ok_and(|token| {
        token
            .claims()
            .validate_expiration(&TimeOptions::default())
            .is_ok()
    })
}

pub fn rs256() -> Vec<Subject> {
    let token = rs256_token();
    let (signed, signature) = token.rsplit_once('.').expect("a token");
    let (message, signature) = (
        signed.as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode_to_vec(signature).expect("base64"),
    );
    let (aws_message, aws_signature) = (message.clone(), signature.clone());
    let graviola = VerifyingKey::from_pkcs1_der(&der(PKCS1)).expect("a test key");
    let aws = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der(PKCS1)).expect("a test key");
    let mut subjects = vec![
        subject("RSA bound (graviola)", move || {
            graviola
                .verify_pkcs1_sha256(black_box(&signature), &message)
                .is_ok()
        }),
        subject("RSA bound (aws-lc-rs)", move || {
            aws.verify_sig(black_box(&aws_message), &aws_signature)
                .is_ok()
        }),
    ];
    subjects.extend(ours(Config::jwks(document()).expect("a test key"), &token));
    let key = jwt_compact::jwk::JsonWebKey::from(jwk());
    let key = RsaPublicKey::try_from(&key).expect("a test key");
    subjects.push(peer("jwt-compact", move || {
        let token = UntrustedToken::new(black_box(&token)).expect("a token");
        is_in_time(Rsa::rs256().validator(&key).validate(&token))
    }));
    subjects.push(jsonwebtoken(
        "jsonwebtoken 12, rust_crypto",
        Algorithm::RS256,
    ));
    subjects.push(jsonwebtoken_11(jsonwebtoken_11::Algorithm::RS256));
    subjects
}

/// The key as a gateway publishes it.
fn document() -> String {
    let jwk = serde_json::to_value(jwk()).expect("it is JSON");
    let key = serde_json::json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID, "n": jwk["n"], "e": jwk["e"]});
    serde_json::json!({ "keys": [key] }).to_string()
}

fn jwk() -> jwt_compact::jwk::JsonWebKey<'static> {
    let der = der(PKCS1);
    let (front, exponent) = der.split_at(der.len() - 3);
    let modulus = &front[front.len() - 2 - 256..front.len() - 2];
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    serde_json::from_value(
        serde_json::json!({"kty": "RSA", "n": text(modulus), "e": text(exponent)}),
    )
    .expect("a key")
}

pub fn hostile() -> Vec<Subject> {
    let good = hs256_token();
    let refused = |name, value: String| {
        let validator = Validator::new(Config::hs256(SECRET).expect("long enough"));
        subject(name, move || {
            validator.validate(black_box(value.as_str())).is_err()
        })
    };
    let (rest, _) = good.rsplit_once('.').expect("a token");
    vec![
        refused(
            "tampered signature",
            format!("Bearer {rest}.{}", "A".repeat(43)),
        ),
        refused(
            "alg none, signed",
            format!("Bearer {}", hs256_with(r#"{"alg":"none"}"#)),
        ),
        refused(
            "alg none, no signature",
            format!(
                "Bearer {}.",
                hs256_with(r#"{"alg":"none"}"#)
                    .rsplit_once('.')
                    .expect("a token")
                    .0
            ),
        ),
        refused("8 KiB and more", format!("Bearer {}", "A".repeat(8186))),
        refused("8 KiB of letters", format!("Bearer {}", "A".repeat(8185))),
        refused("no scheme", good.clone()),
        refused(
            "a foreign algorithm's length",
            format!("Bearer {rest}.{}", "A".repeat(342)),
        ),
    ]
}

/// A validator that has seen a token, and that token: for many threads at once.
pub fn seen() -> (Validator, String) {
    let config = Config::jwks(document())
        .expect("a test key")
        .verified_cache(1000);
    (Validator::new(config), format!("Bearer {}", rs256_token()))
}

pub fn count(name: &str, calls: u32) {
    let subjects = hs256();
    let mut subject = subjects
        .into_iter()
        .find(|subject| subject.name == name)
        .expect("a subject");
    for _ in 0..calls {
        black_box((subject.call)());
    }
}

/// One line: nanoseconds and allocations of jsonwebtoken on aws-lc-rs.
pub fn peer_alone(algorithm: &str) {
    let _first = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let algorithm = match algorithm {
        "hs256" => Algorithm::HS256,
        _ => Algorithm::RS256,
    };
    for line in together(vec![jsonwebtoken("aws_lc_rs", algorithm)]) {
        println!("{} {}", line.ns, line.allocations);
    }
}
