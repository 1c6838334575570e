//! Credentials that the seller's backend issues (`TOKEN_MODE=remote`): the call, its answer, and how it is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use core::fmt;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::authentication::{BackendAnswer, BackendCall};
use crate::types::{HttpUrl, Secret, UnixSeconds};

const KEY_PURPOSE: &[u8] = b"key0 credential seal v1";
const NONCE_KEY_PURPOSE: &[u8] = b"key0 credential nonce v1";
const NONCE_BYTES: usize = 12;

/// The backend that issues credentials.
#[derive(Clone, Debug)]
pub struct IssuingBackend {
    /// Its address.
    pub url: HttpUrl,
    /// How long the backend may take, in milliseconds.
    pub timeout_millis: u32,
    /// How often a failed call is repeated before the buyer gets an error.
    pub retries: u32,
}

/// What the backend issued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssueAnswer {
    /// The backend's answer as JSON text, with a member `token`.
    pub body: Vec<u8>,
    /// When the credential ends, where the answer says so.
    pub expires_at: Option<UnixSeconds>,
}

/// The call that asks for a purchase's credential. The key stands for the purchase.
pub fn call(
    backend: &IssuingBackend,
    body: Vec<u8>,
    idempotency_key: String,
    issuer: String,
) -> BackendCall {
    BackendCall {
        url: backend.url.join("/internal/issue-token"),
        body,
        idempotency_key,
        headers: Vec::new(),
        issuer,
        timeout_millis: backend.timeout_millis,
    }
}

impl IssueAnswer {
    /// Reads a backend's answer: it must be a success, and an object with a `token`. `None` for anything else.
    pub fn read(answer: BackendAnswer) -> Option<Self> {
        answer.is_success().then(|| Self::parse(answer.body))?
    }

    fn parse(body: Vec<u8>) -> Option<Self> {
        let members: Map<String, Value> = serde_json::from_slice(&body).ok()?;
        let token = members.get("token").filter(|token| !token.is_null())?;
        if token.as_str().is_some_and(str::is_empty) {
            return None;
        }
        let expires_at = members.get("expiresAt").and_then(moment);
        Some(Self { body, expires_at })
    }
}

/// Reads a time: seconds since 1970, or an ISO 8601 text.
fn moment(value: &Value) -> Option<UnixSeconds> {
    let seconds = match value {
        Value::String(text) => chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp(),
        other => other.as_i64()?,
    };
    u64::try_from(seconds).ok().map(UnixSeconds)
}

/// The keys under which credentials are stored. The first key encrypts, all decrypt.
#[derive(Clone)]
pub struct CredentialKey {
    keys: Vec<SealingKey>,
}

/// The two keys that are derived from one secret: one encrypts, the other makes nonces.
#[derive(Clone)]
struct SealingKey {
    cipher: ChaCha20Poly1305,
    nonces: Hmac<Sha256>,
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialKey(…)")
    }
}

impl CredentialKey {
    /// Derives the keys from the access-token secret and its predecessors (HKDF-SHA-256, RFC 5869).
    pub fn new(secret: &Secret, old: &[Secret]) -> Self {
        Self {
            keys: core::iter::once(secret)
                .chain(old)
                .map(SealingKey::new)
                .collect(),
        }
    }

    /// Encrypts a credential (RFC 8439). `purpose` is a challenge id, or names another use.
    pub fn seal(&self, purpose: &str, credential: &[u8]) -> String {
        let Some(key) = self.keys.first() else {
            return String::new();
        };
        let nonce = key.nonce(purpose, credential);
        let payload = Payload {
            msg: credential,
            aad: purpose.as_bytes(),
        };
        let sealed = key.cipher.encrypt(&Nonce::from(nonce), payload);
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed.unwrap_or_default()].concat())
    }

    /// Decrypts what was sealed for this purpose.
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, msg) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        self.keys.iter().find_map(|key| {
            let payload = Payload {
                msg,
                aad: purpose.as_bytes(),
            };
            key.cipher.decrypt(&Nonce::from(*nonce), payload).ok()
        })
    }
}

impl SealingKey {
    fn new(secret: &Secret) -> Self {
        let secret = Hkdf::<Sha256>::new(None, secret.expose().as_bytes());
        let mut cipher = Key::default();
        let mut nonces = [0; 32];
        // Expanding to 32 bytes cannot fail: the limit is 255 blocks.
        let _ = secret.expand(KEY_PURPOSE, &mut cipher);
        let _ = secret.expand(NONCE_KEY_PURPOSE, &mut nonces);
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let nonces = <Hmac<Sha256> as Mac>::new_from_slice(&nonces).expect("any key length");
        Self {
            cipher: ChaCha20Poly1305::new(&cipher),
            nonces,
        }
    }

    /// The nonce follows from purpose and text, so that no two texts share one, as in SIV modes (RFC 5297). The nonce
    /// is stored beside the ciphertext, so it is made with a key: from a plain hash, whoever reads the storage could
    /// try out guesses of a weak credential.
    fn nonce(&self, purpose: &str, text: &[u8]) -> [u8; NONCE_BYTES] {
        let digest = self
            .nonces
            .clone()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(text)
            .finalize()
            .into_bytes();
        core::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::purchase::test_offer;

    fn key(secret: &str, old: &[&str]) -> CredentialKey {
        let old: Vec<_> = old.iter().copied().map(Secret::new).collect();
        CredentialKey::new(&Secret::new(secret), &old)
    }

    #[test]
    fn an_answer_needs_a_token() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"token":null}"#,
            r#"{"token":""}"#,
            "nonsense",
        ] {
            assert_eq!(IssueAnswer::parse(body.into()), None, "{body}");
        }
        let answer =
            IssueAnswer::parse(r#"{"token":"t","expiresAt":"2027-01-15T08:00:00Z"}"#.into())
                .unwrap();
        assert_eq!(answer.expires_at, Some(UnixSeconds(1_800_000_000)));
        assert!(IssueAnswer::parse(r#"{"token":{"user":"a","password":"b"}}"#.into()).is_some());
    }

    #[test]
    fn a_sealed_credential_opens_for_its_challenge_and_with_an_older_key_only() {
        let id = test_offer().id;
        let sealed = key("before", &[]).seal(id.as_str(), b"secret");
        assert!(!sealed.contains("secret"));
        assert_eq!(
            key("after", &["before"]).open(id.as_str(), &sealed),
            Some(b"secret".to_vec())
        );
        assert_eq!(key("before", &[]).open("another challenge", &sealed), None);
        assert_eq!(key("foreign", &[]).open(id.as_str(), &sealed), None);
    }

    #[test]
    fn a_nonce_follows_from_purpose_and_text_for_who_has_the_secret_and_for_nobody_else() {
        let nonce = |secret, purpose, text: &str| {
            let sealed = key(secret, &[]).seal(purpose, text.as_bytes());
            URL_SAFE_NO_PAD.decode(sealed).unwrap()[..NONCE_BYTES].to_vec()
        };
        let first = nonce("a secret", "challenge", "user:password");
        assert_eq!(nonce("a secret", "challenge", "user:password"), first);
        assert_ne!(nonce("a secret", "challenge", "user:passwort"), first);
        assert_ne!(nonce("a secret", "another", "user:password"), first);
        assert_ne!(nonce("another secret", "challenge", "user:password"), first);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_what_is_not_does_not(credential: Vec<u8>, hostile in ".{0,80}") {
            let id = test_offer().id;
            let sealed = key("k", &[]).seal(id.as_str(), &credential);
            prop_assert_eq!(key("k", &[]).open(id.as_str(), &sealed), Some(credential));
            prop_assert_eq!(key("k", &[]).open(id.as_str(), &hostile), None);
        }
    }
}
