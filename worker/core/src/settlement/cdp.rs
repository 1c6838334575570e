//! Authentication at Coinbase's facilitator: reads the key in the forms that Coinbase gives to operators, and makes the
//! token that is signed with it. <https://docs.cdp.coinbase.com/get-started/authentication/jwt-authentication>
//!
//! The platform makes the signature.

use core::fmt;

use alloy_primitives::hex;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::types::UnixSeconds;

/// The only host that tokens are made for.
pub const CDP_HOST: &str = "api.cdp.coinbase.com";
const TOKEN_SECONDS: u64 = 120;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The bytes of PKCS#8 before the 32 bytes of an Ed25519 seed (RFC 8410).
const ED25519_PREFIX: [u8; 16] = hex!("302e020100300506032b657004220420");
/// The version and algorithm of a P-256 key in PKCS#8 (RFC 5208, RFC 5480).
const P256_ALGORITHM: [u8; 24] = hex!("020100301306072a8648ce3d020106082a8648ce3d030107");
/// The version of SEC1 and the tag of 32 key bytes (RFC 5915).
const SEC1_KEY: [u8; 5] = hex!("0201010420");
const P256: [u8; 10] = hex!("06082a8648ce3d030107");

/// The algorithm that signs a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CdpAlgorithm {
    /// ECDSA with P-256 and SHA-256; the signature is r and s.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// An API key of the Coinbase Developer Platform.
#[derive(Clone, Eq, PartialEq)]
pub struct CdpKey {
    id: String,
    algorithm: CdpAlgorithm,
    pkcs8: Vec<u8>,
}

impl fmt::Debug for CdpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CdpKey(…)")
    }
}

impl CdpKey {
    /// Reads a secret as Coinbase hands it out: base64 of 64 bytes (Ed25519), or PEM (P-256; PKCS#8 or SEC1), in which line
    /// ends may be written as `\n`. `None` for anything else.
    pub fn new(id: &str, secret: &str) -> Option<Self> {
        let (algorithm, pkcs8) = if secret.contains("-----BEGIN") {
            (CdpAlgorithm::Es256, p256(secret)?)
        } else {
            let bytes = LENIENT.decode(secret.trim()).ok()?;
            let bytes: [u8; 64] = bytes.try_into().ok()?;
            let (seed, _) = bytes.split_at(32);
            (CdpAlgorithm::EdDsa, [&ED25519_PREFIX, seed].concat())
        };
        Some(Self {
            id: id.to_owned(),
            algorithm,
            pkcs8,
        })
    }

    /// The algorithm that signs with this key.
    pub const fn algorithm(&self) -> CdpAlgorithm {
        self.algorithm
    }

    /// The private key as PKCS#8.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The text to sign for one request: header and claims of a JWT that is good for this method, host and path only.
    pub fn token_input(
        &self,
        method: &str,
        path: &str,
        now: UnixSeconds,
        nonce: [u8; 16],
    ) -> String {
        let alg = match self.algorithm {
            CdpAlgorithm::Es256 => "ES256",
            CdpAlgorithm::EdDsa => "EdDSA",
        };
        let (id, nonce) = (Value::from(self.id.as_str()), hex::encode(nonce));
        let header = format!(r#"{{"alg":"{alg}","kid":{id},"typ":"JWT","nonce":"{nonce}"}}"#);
        let (now, end) = (now.0, now.plus(TOKEN_SECONDS).0);
        let uri = Value::from(format!("{method} {CDP_HOST}{path}"));
        let claims = format!(
            r#"{{"sub":{id},"iss":"cdp","iat":{now},"nbf":{now},"exp":{end},"uris":[{uri}]}}"#
        );
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        format!("{}.{}", part(header), part(claims))
    }

    /// The whole token, from its input and the signature of the input.
    pub fn token(input: &str, signature: &[u8]) -> String {
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The PKCS#8 form of a P-256 key in PEM.
fn p256(pem: &str) -> Option<Vec<u8>> {
    let pem = pem.replace("\\n", "\n");
    if let Some(der) = block(&pem, "PRIVATE KEY") {
        return contains(&der, &P256_ALGORITHM).then_some(der);
    }
    let sec1 = block(&pem, "EC PRIVATE KEY")?;
    let at = sec1
        .windows(SEC1_KEY.len())
        .position(|window| window == SEC1_KEY)?;
    let parameters = sec1.get(at + SEC1_KEY.len() + 32..)?;
    // The key may omit its curve. If it names one, that must be P-256.
    if at > 4 || (parameters.first() == Some(&0xa0) && !contains(parameters, &P256)) {
        return None;
    }
    let key = der(0x04, &sec1)?;
    der(0x30, &[P256_ALGORITHM.as_slice(), &key].concat())
}

/// The content of one PEM block.
fn block(pem: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (text, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let text: String = text.split_whitespace().collect();
    LENIENT.decode(text).ok()
}

/// One DER element of at most 255 bytes.
fn der(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(content.len()).ok()?;
    Some(match length {
        0..=127 => [&[tag, length], content].concat(),
        _ => [&[tag, 0x81, length], content].concat(),
    })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
