//! Digests that stand in an offer's terms for things that are too long or too secret for them.

use alloy_primitives::{B64, B256};
use core::fmt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of one call: what a paid call is bound to, so that the payment for one call never pays another.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CallDigest(B256);

impl CallDigest {
    /// The digest of a call's parts, in a fixed order. Each part is hashed with its length, so that bytes cannot move
    /// from one part to the next unnoticed.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"key0 call v1\0");
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(B256::from_slice(&digest.finalize()))
    }

    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(B256::new(bytes))
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }
}

/// Writes 64 hex digits.
impl fmt::Display for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A keyed digest of a plan's `extra` and limits. Only the backend gets the `extra` itself. An offer is public and `extra`
/// is not: without the key a reader of the offer cannot try out guesses.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ExtraDigest(B64);

impl ExtraDigest {
    pub(super) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(B64::new(bytes))
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 8] {
        &self.0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_moves_from_one_part_of_a_call_to_the_next_makes_another_call() {
        let of = |parts: &[&str]| CallDigest::of(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["GET", "/a", "b=1"]), of(&["GET", "/a", "b=1"]));
        let others: [&[&str]; 5] = [
            &["GET", "/ab", "=1"],
            &["GET", "/a", "b=1", ""],
            &["GET", "/a"],
            &["/a", "GET", "b=1"],
            &["GET/a", "b=1"],
        ];
        for other in others {
            assert_ne!(of(other), of(&["GET", "/a", "b=1"]), "{other:?}");
        }
    }

    #[test]
    fn a_calls_digest_is_unchanged_and_shown_as_hex() {
        let digest = CallDigest::of([b"GET".as_slice(), b"/weather", b"city=Oslo"]);
        assert_eq!(digest.to_string().len(), 64);
        let shown = serde_json::to_value(digest).unwrap();
        assert_eq!(shown, format!("0x{digest}"));
    }
}
