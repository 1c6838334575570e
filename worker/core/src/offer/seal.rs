//! The sealed challenge id: all terms of an offer in one value that only we can make, so that issuing it stores nothing.
//!
//! The id is base64url of the terms (see [`layout`](super::layout)) and the first 16 bytes of HMAC-SHA-256 over them.
//! Everybody can read the terms; the seal shows that we made them.

use crate::json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::digest::ExtraDigest;
use super::layout::{decode, encode};
use super::terms::Terms;
use crate::meter::Limits;
use crate::types::Secret;

pub(super) const TAG_BYTES: usize = 16;
pub(super) const MAX_ID_CHARS: usize = 512;
const SEAL_PURPOSE: &[u8] = b"key0 offer seal v2";
const EXTRA_PURPOSE: &[u8] = b"key0 offer extra v2";
const CONVERSATION_PURPOSE: &[u8] = b"key0 conversation v1";
const STAMP_PURPOSE: &[u8] = b"key0 sign-in v1";

/// A sealed challenge id as text.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ChallengeId(String);

impl ChallengeId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChallengeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An offer under its sealed id. Holding one proves that we made it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Offer {
    /// The sealed id.
    pub id: ChallengeId,
    /// The terms.
    pub terms: Terms,
}

/// The keys for challenge ids: the first one seals, and each of them opens.
#[derive(Clone)]
pub struct SealKeys {
    current: Key,
    old: Vec<Key>,
}

/// The keys that are derived from one secret.
#[derive(Clone)]
struct Key {
    seal: [u8; 32],
    extra: [u8; 32],
    conversation: [u8; 32],
    stamp: [u8; 32],
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKeys(…)")
    }
}

impl SealKeys {
    /// Derives the keys from a secret and its predecessors (HKDF-SHA-256, RFC 5869).
    pub fn new(secret: &Secret, old: &[Secret]) -> Self {
        Self {
            current: Key::new(secret),
            old: old.iter().map(Key::new).collect(),
        }
    }

    /// Seals terms. The same terms give the same id.
    pub fn seal(&self, terms: Terms) -> Offer {
        let mut bytes = encode(&terms);
        let tag = mac(&self.current.seal, &bytes).finalize().into_bytes();
        bytes.extend(tag.iter().take(TAG_BYTES));
        Offer {
            id: ChallengeId(URL_SAFE_NO_PAD.encode(bytes)),
            terms,
        }
    }

    /// Opens an id. `None` for anything that we did not seal.
    pub fn open(&self, id: &str) -> Option<Offer> {
        if id.len() > MAX_ID_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
        let (body, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        self.all()
            .any(|key| mac(&key.seal, body).verify_truncated_left(tag).is_ok())
            .then(|| decode(body))?
            .map(|terms| Offer {
                id: ChallengeId(id.to_owned()),
                terms,
            })
    }

    /// The digest of a plan's `extra` and limits, for its offers; `None` when it has neither.
    pub fn digest(&self, extra: &Map<String, Value>, limits: &Limits) -> Option<ExtraDigest> {
        let has_some = !extra.is_empty() || !limits.is_none();
        has_some.then(|| self.current.digest(extra, limits))
    }

    /// Whether the digest in an offer is that of this `extra` and these limits.
    pub fn is_extra(
        &self,
        digest: ExtraDigest,
        extra: &Map<String, Value>,
        limits: &Limits,
    ) -> bool {
        self.all().any(|key| key.digest(extra, limits) == digest)
    }

    /// Makes the id of a conversation from random bytes. Only ids that we made pass [`Self::is_conversation`]. An id
    /// has 43 characters.
    pub fn conversation(&self, random: [u8; 16]) -> String {
        let tag = mac(&self.current.conversation, &random)
            .finalize()
            .into_bytes();
        let bytes: Vec<u8> = random
            .into_iter()
            .chain(tag.into_iter().take(TAG_BYTES))
            .collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether we have made this id.
    pub fn is_conversation(&self, id: &str) -> bool {
        let bytes = (id.len() <= MAX_ID_CHARS)
            .then(|| URL_SAFE_NO_PAD.decode(id).ok())
            .flatten();
        let parts = bytes
            .as_deref()
            .and_then(|bytes| bytes.split_at_checked(16));
        parts.is_some_and(|(random, tag)| {
            tag.len() == TAG_BYTES
                && self.all().any(|key| {
                    mac(&key.conversation, random)
                        .verify_truncated_left(tag)
                        .is_ok()
                })
        })
    }

    /// Stamps the content of a challenge that wallets sign, so that it can be told from others and nothing is stored for it.
    pub fn stamp(&self, content: &[u8]) -> [u8; TAG_BYTES] {
        let tag = mac(&self.current.stamp, content).finalize().into_bytes();
        core::array::from_fn(|at| tag.get(at).copied().unwrap_or_default())
    }

    /// Whether we have stamped this content so.
    pub fn is_stamp(&self, content: &[u8], stamp: &[u8]) -> bool {
        stamp.len() == TAG_BYTES
            && self.all().any(|key| {
                mac(&key.stamp, content)
                    .verify_truncated_left(stamp)
                    .is_ok()
            })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        core::iter::once(&self.current).chain(&self.old)
    }
}

impl Key {
    fn new(secret: &Secret) -> Self {
        Self {
            seal: derive(secret, SEAL_PURPOSE),
            extra: derive(secret, EXTRA_PURPOSE),
            conversation: derive(secret, CONVERSATION_PURPOSE),
            stamp: derive(secret, STAMP_PURPOSE),
        }
    }

    /// The digest of a plan's `extra` and limits. Members are sorted by name, so their order in the settings makes no
    /// difference. Without limits it is that of `extra` alone, as in offers from before there were limits.
    fn digest(&self, extra: &Map<String, Value>, limits: &Limits) -> ExtraDigest {
        let mut text = Value::Object(extra.clone()).to_string();
        if !limits.is_none() {
            // No JSON on one line has a line break, so the two cannot be taken for another pair.
            text.push('\n');
            text.push_str(&json!(limits).to_string());
        }
        let tag = mac(&self.extra, text.as_bytes()).finalize().into_bytes();
        ExtraDigest::from_bytes(core::array::from_fn(|at| {
            tag.get(at).copied().unwrap_or_default()
        }))
    }
}

fn derive(secret: &Secret, purpose: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    // Expanding to 32 bytes cannot fail: the limit is 255 blocks.
    let _ = Hkdf::<Sha256>::new(None, secret.expose().as_bytes()).expand(purpose, &mut key);
    key
}

fn mac(key: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(body);
    mac
}
