//! RSA public keys, as they come: PEM text or the numbers of a JSON Web Key.

use core::fmt;
use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::ring::Key;
use crate::{ConfigError, der, pem};

mod backend;

use backend::Verify;
pub(crate) use backend::runs_here;

/// Least and most bits of a modulus. Under 2048 a key can be broken (RFC 7518 §3.3); over 8192 it only costs time.
const BITS: core::ops::RangeInclusive<usize> = 2048..=8192;

/// Bytes of the longest signature.
pub(crate) const MAX_SIGNATURE: usize = 8192 / 8;

/// A key that checks RS256 signatures.
#[derive(Clone)]
pub(crate) struct RsaKey {
    key: Arc<dyn Verify>,
    /// The key's name: its thumbprint (RFC 7638), or the name that a key document gives it.
    kid: String,
    /// Whether a document gave the key its name: then the issuer writes this name into tokens, or none.
    named: bool,
    headers: Vec<Vec<u8>>,
    signature_len: usize,
}

impl RsaKey {
    /// All keys of a PEM text: `PUBLIC KEY` or `RSA PUBLIC KEY` blocks.
    pub(crate) fn from_pem(text: &str) -> Result<Vec<Self>, ConfigError> {
        if !text.contains("-----BEGIN ") {
            return Err(ConfigError::NotPem);
        }
        let blocks = pem::read(text).ok_or(ConfigError::NotPem)?;
        blocks
            .iter()
            .map(|block| {
                let numbers = match block.label {
                    "PUBLIC KEY" => der::read_spki(&block.der),
                    "RSA PUBLIC KEY" => der::read_pkcs1(&block.der),
                    "CERTIFICATE" => return Err(ConfigError::Certificate),
                    label if label.ends_with("PRIVATE KEY") => {
                        return Err(ConfigError::PrivateKey);
                    }
                    _ => None,
                };
                Self::new(numbers.ok_or(ConfigError::NotRsa)?, None)
            })
            .collect()
    }

    /// The key with these numbers, named by its document or by its thumbprint.
    pub(crate) fn new(numbers: der::Numbers<'_>, kid: Option<String>) -> Result<Self, ConfigError> {
        let (modulus, exponent) = numbers;
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |b| b.leading_zeros() as usize);
        if !BITS.contains(&bits) {
            return Err(ConfigError::RsaKeySize { bits });
        }
        // 3 is the smallest exponent that makes sense; more than 32 bits are slow, and no issuer uses them.
        if !matches!(exponent, [3..=0xff] | [_, _, ..]) || exponent.len() > 4 {
            return Err(ConfigError::NotRsa);
        }
        let key = backend::prepare(numbers, &der::write_pkcs1(numbers))
            .ok_or(ConfigError::NoRsaBackend)?
            .ok_or(ConfigError::NotRsa)?;
        let named = kid.is_some();
        let kid = kid.unwrap_or_else(|| thumbprint(numbers));
        Ok(Self {
            key,
            headers: crate::header::usual("RS256", &kid),
            kid,
            named,
            signature_len: URL_SAFE_NO_PAD.encoded_length(modulus.len()),
        })
    }
}

/// RFC 7638 §3.
fn thumbprint((modulus, exponent): der::Numbers<'_>) -> String {
    let [n, e] = [modulus, exponent].map(|number| URL_SAFE_NO_PAD.encode_to_string(number));
    let json = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    let digest: [u8; 32] = Sha256::digest(json).into();
    URL_SAFE_NO_PAD.encode_to_string(digest)
}

impl Key for RsaKey {
    const ALGORITHM: &str = "RS256";
    /// `{"alg":"RS256"}`, and with `"typ":"JWT"` after and before it.
    const PLAIN_HEADERS: [&[u8]; 3] = [
        b"eyJhbGciOiJSUzI1NiJ9",
        b"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9",
        b"eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9",
    ];
    type Signature = [u8; MAX_SIGNATURE];
    const NO_SIGNATURE: Self::Signature = [0; MAX_SIGNATURE];

    fn kid(&self) -> &str {
        &self.kid
    }

    fn is_named(&self) -> bool {
        self.named
    }

    fn headers(&self) -> &[Vec<u8>] {
        &self.headers
    }

    fn signature_len(&self) -> usize {
        self.signature_len
    }

    fn made(&self, signature: &[u8], signed: &[u8]) -> bool {
        self.key.verify(signed, signature)
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaKey({} in {})", self.kid, self.key.library())
    }
}

#[cfg(test)]
mod tests {
    use graviola::signing::rsa::SigningKey;

    use super::*;

    const PRIVATE: &str = include_str!("../tests/keys/a.pem");
    const PUBLIC: &str = include_str!("../tests/keys/a.pub.pem");

    #[test]
    fn every_library_decides_alike() {
        let block = pem::read(PRIVATE).unwrap().remove(0);
        let signer = SigningKey::from_pkcs8_der(&block.der).unwrap();
        let mut good = [0; 256];
        signer.sign_pkcs1_sha256(&mut good, b"message").unwrap();

        let block = pem::read(PUBLIC).unwrap().remove(0);
        let numbers = der::read_spki(&block.der).unwrap();
        let libraries: Vec<_> = backend::every(numbers, &der::write_pkcs1(numbers))
            .into_iter()
            .map(Option::unwrap)
            .collect();
        assert!(!libraries.is_empty());
        let mut names: Vec<_> = libraries.iter().map(|key| key.library()).collect();
        names.dedup();
        assert_eq!(names.len(), libraries.len(), "{names:?}");
        for key in libraries {
            let name = key.library();
            assert!(key.verify(b"message", &good), "{name}");
            assert!(!key.verify(b"massage", &good), "{name}");
            for at in 0..256 {
                let mut changed = good;
                changed[at] ^= 1 << (at % 8);
                assert!(!key.verify(b"message", &changed), "{name} {at}");
            }
            for wrong in [
                &[][..],
                &good[1..],
                &[good.as_slice(), &[0]].concat(),
                &[0; 256],
            ] {
                assert!(!key.verify(b"message", wrong), "{name}");
            }
            assert!(
                !key.verify(b"message", numbers.0),
                "{name}: the modulus itself"
            );
            assert!(
                !key.verify(b"message", &[0xff; 256]),
                "{name}: more than the modulus"
            );
        }
    }

    #[test]
    fn weak_numbers_are_refused() {
        let refusal = |n: &[u8], e: &[u8]| RsaKey::new((n, e), None).err();
        let modulus = [0xff; 256];
        assert_eq!(refusal(&modulus, &[1, 0, 1]), None);
        assert_eq!(
            refusal(&[0x7f; 256], &[3]),
            Some(ConfigError::RsaKeySize { bits: 2047 })
        );
        assert_eq!(
            refusal(&[0xff; 1025], &[3]),
            Some(ConfigError::RsaKeySize { bits: 8200 })
        );
        assert_eq!(
            refusal(&[], &[3]),
            Some(ConfigError::RsaKeySize { bits: 0 })
        );
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0, 0, 1]] {
            assert_eq!(
                refusal(&modulus, exponent),
                Some(ConfigError::NotRsa),
                "{exponent:?}"
            );
        }
    }
}
