//! Any bytes as an Authorization header; and any bytes as header and claims under a good signature, where what we accept is
//! held against `jwt-compact` and `serde_json`.
#![no_main]

use std::sync::LazyLock;

use base64_simd::URL_SAFE_NO_PAD;
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{Algorithm, AlgorithmExt, AlgorithmSignature, UntrustedToken};
use key0_validator::{Config, ServiceValidator, Validator};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "the secret of the fuzzer, long enough for it";
const NOW: u64 = 1_800_000_000;

static HS256: LazyLock<Validator> = LazyLock::new(|| {
    Validator::new(
        Config::hs256(SECRET)
            .expect("long enough")
            .verified_cache(64),
    )
});
static SERVICE: LazyLock<ServiceValidator> =
    LazyLock::new(|| ServiceValidator::new(Config::hs256(SECRET).expect("long enough"), "default"));
static RS256: LazyLock<Validator> = LazyLock::new(|| {
    let pem = concat!(
        include_str!("../../tests/keys/a.pub.pem"),
        include_str!("../../tests/keys/c.pub.pem")
    );
    Validator::new(Config::rs256(pem).expect("test keys"))
});

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let bearer = format!("Bearer {text}");
        for header in [text, &bearer] {
            assert!(
                HS256.validate_at(header, NOW).is_err(),
                "nobody can guess a MAC"
            );
            assert!(RS256.validate_at(header, NOW).is_err(), "nor a signature");
        }
    }
    let (header, payload) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&br#"{"alg":"HS256"}"#[..], data),
    };
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = Hs256.sign(&Hs256Key::new(SECRET), signed.as_bytes());
    let token = format!("{signed}.{}", encode(&signature.as_bytes()));
    let value = format!("Bearer {token}");

    let outcome = HS256.validate_at(value.as_str(), NOW);
    let alone = HS256.validate_token_at(&token, NOW);
    assert_eq!(outcome, alone, "with and without a scheme");
    let service = SERVICE.validate_at(value.as_str(), NOW);
    assert!(
        outcome.is_err() || service.is_err(),
        "a token is one thing or the other"
    );
    let Ok(access) = outcome else { return };

    // What we accept is JSON to others, and says the same to them.
    if let Ok(theirs) = serde_json::from_slice::<serde_json::Value>(payload) {
        assert_eq!(theirs["sub"], access.sub());
        assert_eq!(theirs["jti"], access.jti());
        assert_eq!(theirs["resourceId"], access.resource_id());
        assert_eq!(theirs["planId"], access.plan_id());
        assert_eq!(theirs["txHash"], access.tx_hash());
        assert_eq!(
            theirs["chainId"].as_f64(),
            access.chain_id().map(|id| id as f64)
        );
    } else {
        // Numbers beyond a double are legal, and too much for them.
        let text = std::str::from_utf8(payload).expect("we found it to be UTF-8");
        assert!(text.contains(['e', 'E']) || text.len() > 300, "{text}");
    }
    // It reads fewer kinds of dates than JSON has; but about the signature there can be no two opinions.
    let key = Hs256Key::new(SECRET);
    if let Ok(token) = UntrustedToken::new(&token) {
        let theirs = Hs256.validator::<serde_json::Value>(&key).validate(&token);
        assert!(!matches!(
            theirs,
            Err(jwt_compact::ValidationError::InvalidSignature)
        ));
    }

    // No neighbour of a good token is good.
    let at = "Bearer ".len() + data.len() % token.len();
    let mut changed = value.clone().into_bytes();
    changed[at] ^= 1 << (data.len() % 7);
    if let Ok(changed) = String::from_utf8(changed) {
        assert!(HS256.validate_at(changed.as_str(), NOW).is_err());
    }
});
