//! Signs anything at all, with a foreign library's MAC, so that the tests do not lean on what they test.

use base64_simd::URL_SAFE_NO_PAD;
use graviola::signing::rsa::SigningKey;
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{Algorithm, AlgorithmSignature};
use key0_validator::{Config, Validator};

pub(crate) const SECRET: &str = "the current secret of these tests, long enough";
pub(crate) const OLD_SECRET: &str = "the secret before it, which is long enough too";
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
pub(crate) const CLAIMS: &str = r#"{"sub":"2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11","jti":"c-77","resourceId":"default","planId":"basic","txHash":"0xabc","iat":1799999990,"exp":1800003600,"iss":"https://seller.example","payer":"0x70997970C51812dc3A010C7d01b50e0d17dc79C8","chainId":8453}"#;

pub(crate) fn config() -> Config {
    Config::hs256(SECRET)
        .unwrap()
        .fallback_secret(OLD_SECRET)
        .unwrap()
}

pub(crate) fn validator() -> Validator {
    Validator::new(config())
}

/// `Bearer`, and a token of exactly these bytes.
pub(crate) fn bearer(header: &[u8], payload: &[u8], secret: &str) -> String {
    format!("Bearer {}", token(header, payload, secret))
}

pub(crate) fn token(header: &[u8], payload: &[u8], secret: &str) -> String {
    let encode = |bytes| URL_SAFE_NO_PAD.encode_to_string(bytes);
    sign(&format!("{}.{}", encode(header), encode(payload)), secret)
}

/// Signs what is already in base64url, or is not.
pub(crate) fn sign(parts: &str, secret: &str) -> String {
    let key = Hs256Key::new(secret);
    let signature = Hs256.sign(&key, parts.as_bytes());
    format!(
        "{parts}.{}",
        URL_SAFE_NO_PAD.encode_to_string(signature.as_bytes())
    )
}

/// A good token's claims with one member replaced, or taken out.
pub(crate) fn claims_with(name: &str, json: Option<&str>) -> String {
    let mut claims: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(CLAIMS).unwrap();
    claims.remove(name);
    let text = serde_json::to_string(&claims).unwrap();
    match json {
        None => text,
        Some(json) => format!("{{\"{name}\":{json},{}", &text[1..]),
    }
}

/// Test keys of RSA: `a` and `b` of 2048 bits, `c` of 4096.
pub(crate) const A: &str = include_str!("../keys/a.pem");
pub(crate) const A_PUBLIC: &str = include_str!("../keys/a.pub.pem");
pub(crate) const B: &str = include_str!("../keys/b.pem");
pub(crate) const B_PUBLIC: &str = include_str!("../keys/b.pub.pem");
pub(crate) const C: &str = include_str!("../keys/c.pem");
pub(crate) const C_PUBLIC: &str = include_str!("../keys/c.pub.pem");

pub(crate) const RS_HEADER: &str = r#"{"alg":"RS256","typ":"JWT"}"#;

/// `Bearer`, and a token of exactly these bytes, signed with RS256.
pub(crate) fn rs_bearer(header: &str, payload: &str, private_pem: &str) -> String {
    let encode = |bytes: &str| URL_SAFE_NO_PAD.encode_to_string(bytes);
    let signed = format!("{}.{}", encode(header), encode(payload));
    let symbols: String = private_pem
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let der = base64_simd::STANDARD.decode_to_vec(symbols).unwrap();
    let mut room = [0; 512];
    let signature = SigningKey::from_pkcs8_der(&der)
        .unwrap()
        .sign_pkcs1_sha256(&mut room, signed.as_bytes())
        .unwrap();
    format!(
        "Bearer {signed}.{}",
        URL_SAFE_NO_PAD.encode_to_string(signature)
    )
}
