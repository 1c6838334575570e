//! Key documents: what is taken from them and what is refused.

use base64_simd::URL_SAFE_NO_PAD;
use key0_validator::{Config, ConfigError, Flaw, JwksError, ValidationError, Validator};
use serde_json::{Value, json};

use crate::mint::*;

/// Longest document that is read.
pub(crate) const MAX_JWKS_LEN: usize = 65_535;

/// A public key's numbers, read out of its PEM by hand: the modulus stands before the last five bytes.
pub(crate) fn numbers(pem: &str) -> (String, String) {
    let symbols: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64_simd::STANDARD.decode_to_vec(symbols).unwrap();
    let (front, exponent) = der.split_at(der.len() - 3);
    let size = if front.len() > 500 { 512 } else { 256 };
    let modulus = &front[front.len() - 2 - size..front.len() - 2];
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    (text(modulus), text(exponent))
}

pub(crate) fn jwk(pem: &str, kid: &str) -> Value {
    let (n, e) = numbers(pem);
    json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e})
}

pub(crate) fn document(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut key = jwk(A_PUBLIC, "a");
    change(&mut key);
    document(&[key])
}

fn header(kid: &str) -> String {
    format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}"}}"#)
}

#[test]
fn the_named_key_of_a_document_checks_its_tokens() {
    let text = document(&[
        jwk(A_PUBLIC, "a"),
        jwk(B_PUBLIC, "b \" é"),
        jwk(C_PUBLIC, "c"),
    ]);
    let validator = Validator::new(Config::jwks(text).unwrap());
    let check = |header: &str, key| {
        let value = rs_bearer(header, CLAIMS, key);
        validator.validate_at(value.as_str(), NOW).map(|_| ())
    };
    assert_eq!(check(&header("a"), A), Ok(()));
    assert_eq!(check(&header("b \\\" \\u00e9"), B), Ok(()));
    assert_eq!(check(&header("c"), C), Ok(()));
    assert_eq!(check(&header("a"), B), Err(ValidationError::WrongSignature));
    assert_eq!(check(&header("c"), B), Err(ValidationError::WrongSignature));
    assert_eq!(check(&header("d"), A), Err(ValidationError::UnknownKey));
    assert_eq!(check(&header(""), A), Err(ValidationError::UnknownKey));
    for key in [A, B, C] {
        assert_eq!(check(RS_HEADER, key), Ok(()), "no name: all are tried");
    }
}

#[test]
fn a_key_without_a_name_is_tried_for_every_name_that_nobody_has() {
    let nameless = with(|key| {
        key.as_object_mut().unwrap().remove("kid");
    });
    let validator = Validator::new(Config::jwks(nameless).unwrap());
    for header in [RS_HEADER, &header("whatever")] {
        let value = rs_bearer(header, CLAIMS, A);
        assert!(validator.validate_at(value.as_str(), NOW).is_ok());
    }
}

#[test]
fn keys_for_other_purposes_are_passed_over() {
    let ec = json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": "AA", "y": "AA"});
    let strange = json!({"kty": "new", "kid": 7, "n": {}});
    let others = [
        ("use", json!("enc")),
        ("alg", json!("PS256")),
        ("alg", json!("RSA-OAEP")),
        ("key_ops", json!(["encrypt"])),
        ("key_ops", json!([])),
        ("key_ops", json!("verify")),
    ];
    for (name, value) in others {
        let mut other = jwk(B_PUBLIC, "b");
        other[name] = value;
        let alone = document(std::slice::from_ref(&other));
        assert_eq!(
            Config::jwks(alone).err(),
            Some(JwksError::NoUsableKey),
            "{other}"
        );
        let text = document(&[ec.clone(), strange.clone(), other, jwk(A_PUBLIC, "a")]);
        assert!(format!("{:?}", Config::jwks(text).unwrap()).contains("[\"a\"]"));
    }
    let bare = with(|key| {
        let key = key.as_object_mut().unwrap();
        key.remove("use");
        key.remove("alg");
        key.insert("key_ops".into(), json!(["verify"]));
        key.insert("x5c".into(), json!(["ignored"]));
    });
    assert!(Config::jwks(bare).is_ok());
}

#[test]
fn documents_that_cannot_be_trusted_are_refused_whole() {
    let good = document(&[jwk(A_PUBLIC, "a")]);
    let (n, e) = numbers(A_PUBLIC);
    let set = |name: &'static str, value: Value| with(move |key| key[name] = value);
    let without =
        |name: &'static str| with(move |key| drop(key.as_object_mut().unwrap().remove(name)));
    for (text, expected) in [
        (String::new(), JwksError::Malformed(Flaw::NotAnObject)),
        ("[]".to_owned(), JwksError::Malformed(Flaw::NotAnObject)),
        (format!("{good} x"), JwksError::Malformed(Flaw::NotAnObject)),
        (
            good.replace('}', ""),
            JwksError::Malformed(Flaw::NotAnObject),
        ),
        (
            good.replacen('{', "{\"keys\":[],", 1),
            JwksError::Malformed(Flaw::DuplicateName),
        ),
        (
            good.replacen("\"alg\"", "\"kid\":\"x\",\"alg\"", 1),
            JwksError::Malformed(Flaw::DuplicateName),
        ),
        (
            " ".repeat(MAX_JWKS_LEN + 1),
            JwksError::Malformed(Flaw::TooBig),
        ),
        ("{}".to_owned(), JwksError::NoKeys),
        ("{\"keys\":{}}".to_owned(), JwksError::NoKeys),
        ("{\"keys\":null}".to_owned(), JwksError::NoKeys),
        ("{\"keys\":[]}".to_owned(), JwksError::NoUsableKey),
        ("{\"keys\":[1]}".to_owned(), JwksError::BadMember("keys")),
        ("{\"keys\":[[]]}".to_owned(), JwksError::BadMember("keys")),
        ("{\"keys\":[{}]}".to_owned(), JwksError::BadMember("kty")),
        (set("kty", json!(1)), JwksError::BadMember("kty")),
        (set("use", json!(1)), JwksError::BadMember("use")),
        (set("alg", json!(null)), JwksError::BadMember("alg")),
        (set("kid", json!(1)), JwksError::BadMember("kid")),
        (without("n"), JwksError::BadMember("n")),
        (without("e"), JwksError::BadMember("e")),
        (set("n", json!(format!("{n}="))), JwksError::BadMember("n")),
        (set("n", json!(format!("AA{n}"))), JwksError::BadMember("n")),
        (set("n", json!("")), JwksError::BadMember("n")),
        (set("e", json!(format!(" {e}"))), JwksError::BadMember("e")),
        (set("e", json!("AAEAAQ")), JwksError::BadMember("e")),
        (set("e", json!(65537)), JwksError::BadMember("e")),
        (
            set("e", json!("AQ")),
            JwksError::BadKey(ConfigError::NotRsa),
        ),
        (
            set("n", json!("AQAB")),
            JwksError::BadKey(ConfigError::RsaKeySize { bits: 17 }),
        ),
        (set("d", json!("AQAB")), JwksError::SecretKey),
        (set("kty", json!("oct")), JwksError::SecretKey),
        (
            document(&[json!({"kty": "oct", "k": "AAAA"}), jwk(A_PUBLIC, "a")]),
            JwksError::SecretKey,
        ),
        (
            document(&[jwk(A_PUBLIC, "a"), json!({"kty": "RSA", "d": "AQAB"})]),
            JwksError::SecretKey,
        ),
    ] {
        assert_eq!(Config::jwks(&text).err(), Some(expected), "{text}");
    }
    assert!(Config::jwks(good).is_ok());
}

/// RFC 7517 §5.
#[test]
fn one_odd_key_does_not_void_the_others() {
    let (n, e) = numbers(A_PUBLIC);
    let odd = [
        json!(1),
        json!([]),
        json!({}),
        json!({"kty": "RSA", "kid": "weak", "n": "AQAB", "e": e}),
        json!({"kty": "RSA", "kid": "no n", "e": e}),
        json!({"kty": "RSA", "kid": "no e", "n": n}),
        json!({"kty": "RSA", "kid": 7, "n": n, "e": e}),
        json!({"kid": "no kty", "n": n, "e": e}),
        jwk(B_PUBLIC, "a"),
    ];
    let good = rs_bearer(&header("a"), CLAIMS, A);
    for odd in odd {
        let first = odd["kid"] != "a";
        let keys = match first {
            true => [odd.clone(), jwk(A_PUBLIC, "a")],
            false => [jwk(A_PUBLIC, "a"), odd.clone()],
        };
        let config = Config::jwks(document(&keys));
        let validator = Validator::new(config.unwrap_or_else(|error| panic!("{odd}: {error}")));
        assert!(validator.validate_at(good.as_str(), NOW).is_ok(), "{odd}");
    }
    // Sixteen are used. The gateway's own comes first.
    let mut many = vec![jwk(A_PUBLIC, "a")];
    many.extend((0..16).map(|i| jwk(B_PUBLIC, &i.to_string())));
    let validator = Validator::new(Config::jwks(document(&many)).unwrap());
    assert!(validator.validate_at(good.as_str(), NOW).is_ok());
}
