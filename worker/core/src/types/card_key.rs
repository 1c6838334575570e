//! The key that signs the agent card: ECDSA with P-256 and SHA-256, which JOSE calls ES256 (RFC 7518, section 3.4).

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use sha2::{Digest, Sha256};

use super::pem::pem_blocks;

/// The name of the curve as SEC1 keys carry it (RFC 5480): tag, length, 1.2.840.10045.3.1.7.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A private key on P-256, with its public half as JSON Web Keys write it (RFC 7518, section 6.2).
#[derive(Clone)]
pub struct CardKey {
    key: SigningKey,
    x: String,
    y: String,
    key_id: String,
}

impl CardKey {
    /// Reads one `PRIVATE KEY` (PKCS#8, RFC 5208) or `EC PRIVATE KEY` (SEC1, RFC 5915) that is on P-256. `EC PARAMETERS`,
    /// which openssl writes before the latter, say nothing that the key does not.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let expected = || "must be one P-256 private key in PEM (PKCS#8 or SEC1)".to_owned();
        let blocks = pem_blocks(text).ok_or_else(expected)?;
        let mut keys = blocks.iter().filter(|block| block.label != "EC PARAMETERS");
        let (Some(block), None) = (keys.next(), keys.next()) else {
            return Err(expected());
        };
        let key = match block.label.as_str() {
            "PRIVATE KEY" => SecretKey::from_pkcs8_der(&block.der).ok(),
            "EC PRIVATE KEY" => sec1(&block.der),
            "PUBLIC KEY" => {
                return Err("is a public key: a private key is needed to sign".to_owned());
            }
            "ENCRYPTED PRIVATE KEY" => {
                return Err("is encrypted: give the key without a password".to_owned());
            }
            _ => None,
        };
        key.and_then(|key| Self::new(&key)).ok_or_else(expected)
    }

    fn new(key: &SecretKey) -> Option<Self> {
        let key = SigningKey::from(key);
        let point = key.verifying_key().to_encoded_point(false);
        let x = URL_SAFE_NO_PAD.encode(point.x()?);
        let y = URL_SAFE_NO_PAD.encode(point.y()?);
        // RFC 7638: the members that make the key, in this order.
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(thumbprint));
        Some(Self { key, x, y, key_id })
    }

    /// The key's name in signatures and where its public half is published: its thumbprint (RFC 7638).
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The coordinates of the public key, `x` and `y`, in base64url.
    pub fn coordinates(&self) -> (&str, &str) {
        (&self.x, &self.y)
    }

    /// Signs: `r` and `s`, 32 bytes each. The same message gives the same signature (RFC 6979). `None` if the key refuses;
    /// with a valid key this does not happen.
    pub fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let signature: Signature = self.key.try_sign(message).ok()?;
        Some(signature.to_bytes().into())
    }
}

/// A key in SEC1. It must name its curve, as RFC 5915 wants: the numbers of other curves look the same.
fn sec1(der: &[u8]) -> Option<SecretKey> {
    let names_curve = der.windows(P256.len()).any(|window| window == P256);
    SecretKey::from_sec1_der(der).ok().filter(|_| names_curve)
}

impl fmt::Debug for CardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardKey(kid {})", self.key_id)
    }
}

/// The key of RFC 6979, appendix A.2.5, for tests of this crate.
#[cfg(test)]
pub(crate) const TEST_CARD_KEY: &str = include_str!("test_keys/p256.pem");

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use base64::engine::general_purpose::STANDARD;
    use p256::ecdsa::signature::Verifier as _;
    use proptest::prelude::*;

    use super::*;

    /// A key as openssl and node write it in SEC1, its public half, and its thumbprint as node computes it.
    const SEC1: &str = include_str!("test_keys/p256_sec1.pem");
    const PUBLIC: &str = include_str!("test_keys/p256_public.pem");
    const THUMBPRINT: &str = include_str!("test_keys/p256.thumbprint");
    const RSA: &str = include_str!("../token/test_keys/rsa.pem");
    /// A key on secp256k1 that would be one on P-256, too, if the curve's name were not read.
    const SECP256K1: &[u8] = &hex!(
        "302e0201010420c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721a00706052b8104000a"
    );
    /// A key that names no curve.
    const NAMELESS: &[u8] =
        &hex!("30250201010420c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");

    fn pem(label: &str, der: &[u8]) -> String {
        format!(
            "-----BEGIN {label}-----{}-----END {label}-----",
            STANDARD.encode(der)
        )
    }

    /// A key in SEC1 that names P-256 and leaves out its public half.
    fn without_public_half(number: &[u8; 32]) -> String {
        let der = [&hex!("30310201010420")[..], number, &hex!("a00a"), &P256].concat();
        pem("EC PRIVATE KEY", &der)
    }

    #[test]
    fn a_message_is_signed_as_rfc_6979_says() {
        let key = CardKey::from_pem(TEST_CARD_KEY).unwrap();
        let signature = hex!(
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        );
        assert_eq!(key.sign(b"sample"), Some(signature));
        let point = hex!(
            "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
            "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
        );
        let (x, y) = key.coordinates();
        let both = [x, y].map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        assert_eq!(both.concat(), point);
        assert_eq!(key.key_id(), THUMBPRINT.trim());
    }

    #[test]
    fn a_signature_is_good_for_its_message_alone() {
        let key = CardKey::from_pem(TEST_CARD_KEY).unwrap();
        let signature = Signature::from_slice(&key.sign(b"message").unwrap()).unwrap();
        let open = key.key.verifying_key();
        assert!(open.verify(b"message", &signature).is_ok());
        assert!(open.verify(b"massage", &signature).is_err());
    }

    #[test]
    fn both_forms_are_read_however_their_lines_are_broken() {
        let parameters = pem("EC PARAMETERS", &P256);
        for text in [
            TEST_CARD_KEY.replace('\n', "\\n"),
            TEST_CARD_KEY.replace('\n', "\r\n"),
            SEC1.to_owned(),
            format!("{parameters}\n{SEC1}"),
            without_public_half(&NAMELESS[7..].try_into().unwrap()),
        ] {
            let key = CardKey::from_pem(&text).unwrap();
            assert_eq!(key.key_id(), THUMBPRINT.trim());
        }
    }

    #[test]
    fn other_keys_are_refused_with_the_reason() {
        for (text, part) in [
            (PUBLIC.to_owned(), "public key"),
            (pem("ENCRYPTED PRIVATE KEY", b"x"), "encrypted"),
            (RSA.to_owned(), "P-256"),
            (pem("EC PRIVATE KEY", SECP256K1), "P-256"),
            (pem("EC PRIVATE KEY", NAMELESS), "P-256"),
            (without_public_half(&[0; 32]), "P-256"),
            (without_public_half(&[0xff; 32]), "P-256"),
            (pem("EC PARAMETERS", &P256), "P-256"),
            (TEST_CARD_KEY.repeat(2), "one P-256"),
            (format!("{TEST_CARD_KEY}{SEC1}"), "one P-256"),
            ("0123456789abcdef0123456789abcdef".to_owned(), "P-256"),
        ] {
            let reason = CardKey::from_pem(&text).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let key = CardKey::from_pem(TEST_CARD_KEY).unwrap();
        assert_eq!(
            format!("{key:?}"),
            format!("CardKey(kid {})", THUMBPRINT.trim())
        );
    }

    proptest! {
        #[test]
        fn damaged_keys_never_panic(at in 0usize..200, byte: u8, cut in 0usize..200) {
            for (text, label) in [(TEST_CARD_KEY, "PRIVATE KEY"), (SEC1, "EC PRIVATE KEY")] {
                let mut der = pem_blocks(text).unwrap().remove(0).der;
                let at = at % der.len();
                der[at] = byte;
                der.truncate(der.len() - cut % der.len());
                let _ = CardKey::from_pem(&pem(label, &der));
            }
        }
    }
}
