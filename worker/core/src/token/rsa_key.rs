//! RSA keys for RS256: read from PEM, published as JSON Web Keys (RFC 7517). The arithmetic is the platform's.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::types::{PemBlock, pem_blocks};

pub(crate) const MIN_BITS: usize = 2048;
pub(crate) const MAX_BITS: usize = 4096;
pub(crate) const MAX_OLD_KEYS: usize = 8;
/// The `AlgorithmIdentifier` of RSA in DER: its object identifier and NULL.
const RSA_ALGORITHM: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// A key that checks RS256 signatures.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    key_id: String,
}

/// A key that makes RS256 signatures.
#[derive(Clone, Eq, PartialEq)]
pub struct RsaPrivateKey {
    pkcs8: Vec<u8>,
    public: RsaPublicKey,
}

/// A public key as `jwks.json` lists it (RFC 7517, RFC 7518 section 6.3).
#[derive(Debug, Serialize)]
pub struct JsonWebKey<'a> {
    kty: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: &'a str,
    n: String,
    e: String,
}

impl RsaPrivateKey {
    /// Reads one `PRIVATE KEY` (PKCS#8, RFC 5208) or `RSA PRIVATE KEY` (PKCS#1).
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let expected = || "must be one RSA private key in PEM (PKCS#8)".to_owned();
        let mut blocks = pem_blocks(text).ok_or_else(expected)?.into_iter();
        let (Some(block), None) = (blocks.next(), blocks.next()) else {
            return Err(expected());
        };
        let pkcs1 = match block.label.as_str() {
            "PRIVATE KEY" => pkcs8_content(&block.der).ok_or_else(expected)?.to_vec(),
            "RSA PRIVATE KEY" => block.der,
            "PUBLIC KEY" => {
                return Err("is a public key: a private key is needed to sign".to_owned());
            }
            "ENCRYPTED PRIVATE KEY" => {
                return Err("is encrypted: give the key without a password".to_owned());
            }
            _ => return Err(expected()),
        };
        let mut members = Der(Der(&pkcs1).only(SEQUENCE).ok_or_else(expected)?);
        let mut public = || {
            members.integer()?;
            Some((members.integer()?.to_vec(), members.integer()?.to_vec()))
        };
        let (modulus, exponent) = public().ok_or_else(expected)?;
        let version = element(INTEGER, &[0]);
        let key = element(OCTET_STRING, &pkcs1);
        Ok(Self {
            public: RsaPublicKey::new(modulus, exponent)?,
            pkcs8: element(SEQUENCE, &[&version, RSA_ALGORITHM, &key].concat()),
        })
    }

    /// PKCS#8 in DER, as WebCrypto imports it.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half of the key.
    pub fn public(&self) -> &RsaPublicKey {
        &self.public
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPrivateKey(kid {})", self.public.key_id)
    }
}

impl RsaPublicKey {
    /// Reads any number of `PUBLIC KEY`s (SPKI, RFC 5280).
    pub fn list_from_pem(text: &str) -> Result<Vec<Self>, String> {
        let expected = || "must be RSA public keys in PEM, one after the other".to_owned();
        let blocks = pem_blocks(text).ok_or_else(expected)?;
        if blocks.len() > MAX_OLD_KEYS {
            return Err(format!("must have at most {MAX_OLD_KEYS} keys"));
        }
        let read = |block: &PemBlock| match block.label.as_str() {
            "PUBLIC KEY" => Self::from_spki(&block.der).ok_or_else(expected)?,
            label if label.ends_with("PRIVATE KEY") => {
                Err("holds a private key: give its public key".to_owned())
            }
            _ => Err(expected()),
        };
        blocks.iter().map(read).collect()
    }

    /// Reads a public key in SPKI. `None` if the form is wrong; an error if the form is right and the key is not
    /// usable.
    fn from_spki(der: &[u8]) -> Option<Result<Self, String>> {
        let mut info = Der(Der(der).only(SEQUENCE)?);
        info.algorithm()?;
        // The first byte of a bit string counts its unused bits.
        let key = Der(info.0).only(BIT_STRING)?.strip_prefix(&[0])?;
        let mut members = Der(Der(key).only(SEQUENCE)?);
        let (modulus, exponent) = (members.integer()?, members.integer()?);
        Some(Self::new(modulus.to_vec(), exponent.to_vec()))
    }

    fn new(modulus: Vec<u8>, exponent: Vec<u8>) -> Result<Self, String> {
        let bits = modulus.first().map_or(0, |first| {
            modulus.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or_default()
        });
        if !(MIN_BITS..=MAX_BITS).contains(&bits) {
            return Err(format!(
                "must have {MIN_BITS} to {MAX_BITS} bits; it has {bits}"
            ));
        }
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !is_odd(&modulus) || !is_odd(&exponent) || exponent.len() > 4 || exponent == [1] {
            return Err("is not a usable RSA key".to_owned());
        }
        // The thumbprint covers the members that make the key, in this order (RFC 7638).
        let thumbprint = format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(&exponent),
            URL_SAFE_NO_PAD.encode(&modulus),
        );
        Ok(Self {
            key_id: URL_SAFE_NO_PAD.encode(Sha256::digest(thumbprint)),
            modulus,
            exponent,
        })
    }

    /// The key's name in token headers and in `jwks.json`: its thumbprint (RFC 7638).
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key as `jwks.json` lists it.
    pub fn jwk(&self) -> JsonWebKey<'_> {
        JsonWebKey {
            kty: "RSA",
            usage: "sig",
            alg: "RS256",
            kid: &self.key_id,
            n: URL_SAFE_NO_PAD.encode(&self.modulus),
            e: URL_SAFE_NO_PAD.encode(&self.exponent),
        }
    }

    /// The key as `SubjectPublicKeyInfo` in DER (RFC 5280), as WebCrypto imports it.
    pub fn spki(&self) -> Vec<u8> {
        let numbers = [integer(&self.modulus), integer(&self.exponent)].concat();
        let key = [&[0], element(SEQUENCE, &numbers).as_slice()].concat();
        let info = [RSA_ALGORITHM, &element(BIT_STRING, &key)].concat();
        element(SEQUENCE, &info)
    }

    /// The key as `PUBLIC KEY` in PEM.
    pub fn to_pem(&self) -> String {
        let text = STANDARD.encode(self.spki());
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for (at, character) in text.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        pem
    }
}

/// The `RSAPrivateKey` inside PKCS#8.
fn pkcs8_content(der: &[u8]) -> Option<&[u8]> {
    let mut info = Der(Der(der).only(SEQUENCE)?);
    info.integer()?;
    info.algorithm()?;
    // Attributes may follow the key. They are not needed.
    info.next(OCTET_STRING)
}

/// The unread rest of a DER text (X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must have this tag.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let rest = self.0.strip_prefix(&[tag])?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x82 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits
                    .iter()
                    .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// Reads one element, if nothing follows it.
    fn only(mut self, tag: u8) -> Option<&'a [u8]> {
        let content = self.next(tag)?;
        self.0.is_empty().then_some(content)
    }

    /// The next element, a positive number without leading zeros.
    fn integer(&mut self) -> Option<&'a [u8]> {
        let number = self.next(INTEGER)?;
        match number {
            [] | [0x80..=0xff, ..] => None,
            [0, rest @ ..] if !rest.is_empty() => Some(rest),
            number => Some(number),
        }
    }

    fn algorithm(&mut self) -> Option<()> {
        self.0 = self.0.strip_prefix(RSA_ALGORITHM)?;
        Some(())
    }
}

fn integer(number: &[u8]) -> Vec<u8> {
    match number.first() {
        Some(0x80..=0xff) => element(INTEGER, &[&[0], number].concat()),
        _ => element(INTEGER, number),
    }
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|digit| *digit == 0).collect();
    let mut der = vec![tag];
    match digits.as_slice() {
        [] => der.push(0),
        [short @ 0..=0x7f] => der.push(*short),
        digits => {
            // A length has at most eight bytes.
            der.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
            der.extend(digits);
        }
    }
    der.extend(content);
    der
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// This key was made with `openssl genrsa 2048` and is used nowhere else.
    pub(crate) const KEY: &str = include_str!("test_keys/rsa.pem");
    const KEY_PKCS1: &str = include_str!("test_keys/rsa_pkcs1.pem");
    const PUBLIC: &str = include_str!("test_keys/rsa_public.pem");
    const SHORT: &str = include_str!("test_keys/rsa_1024.pem");
    const EC: &str = include_str!("test_keys/ec.pem");
    /// The key's thumbprint (RFC 7638), computed with node's crypto.
    const THUMBPRINT: &str = include_str!("test_keys/rsa.thumbprint");

    #[test]
    fn a_private_key_gives_its_public_key() {
        let key = RsaPrivateKey::from_pem(KEY).unwrap();
        assert_eq!(key.public().to_pem(), PUBLIC);
        assert_eq!(
            RsaPublicKey::list_from_pem(PUBLIC).unwrap(),
            [key.public().clone()]
        );
        assert_eq!(key.public().key_id(), THUMBPRINT.trim());
    }

    #[test]
    fn both_forms_of_a_private_key_are_read_and_give_pkcs8() {
        let key = RsaPrivateKey::from_pem(KEY).unwrap();
        assert_eq!(RsaPrivateKey::from_pem(KEY_PKCS1).unwrap(), key);
        assert_eq!(key.pkcs8(), pem_blocks(KEY).unwrap()[0].der);
    }

    #[test]
    fn other_keys_are_refused_with_the_reason() {
        for (text, part) in [
            (PUBLIC, "public key"),
            (SHORT, "it has 1024"),
            (EC, "RSA private key"),
            ("0123456789abcdef0123456789abcdef", "RSA private key"),
            (&format!("{KEY}{KEY}"), "one RSA private key"),
        ] {
            let reason = RsaPrivateKey::from_pem(text).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
        assert!(
            RsaPublicKey::list_from_pem(KEY)
                .unwrap_err()
                .contains("private key")
        );
        assert!(RsaPublicKey::list_from_pem("nonsense").is_err());
        assert_eq!(
            RsaPublicKey::list_from_pem(&PUBLIC.repeat(2))
                .unwrap()
                .len(),
            2
        );
        assert!(
            RsaPublicKey::list_from_pem(&PUBLIC.repeat(9))
                .unwrap_err()
                .contains("at most")
        );
    }

    #[test]
    fn debug_output_shows_no_key() {
        let key = RsaPrivateKey::from_pem(KEY).unwrap();
        assert_eq!(
            format!("{key:?}"),
            format!("RsaPrivateKey(kid {})", THUMBPRINT.trim())
        );
    }

    proptest! {
        #[test]
        fn damaged_keys_never_panic(at in 0usize..1_200, byte: u8, cut in 0usize..1_200) {
            let mut der = pem_blocks(KEY).unwrap().remove(0).der;
            let at = at % der.len();
            der[at] = byte;
            der.truncate(der.len() - cut % der.len());
            let pem = format!("-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----", STANDARD.encode(&der));
            let _ = RsaPrivateKey::from_pem(&pem);
            let pem = format!("-----BEGIN PUBLIC KEY-----{}-----END PUBLIC KEY-----", STANDARD.encode(&der));
            let _ = RsaPublicKey::list_from_pem(&pem);
        }
    }
}
