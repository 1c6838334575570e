//! The sealed challenge id: all terms of an offer in one value that only we can make, so that issuing it stores nothing.
//!
//! Layout before base64url: version byte, issue and expiry (seconds), amount (micro-units), chain id, each a big-endian
//! `u64`; the recipient's 20 bytes; the kind of target; then request id, target id and resource id, each with a length
//! byte; last the first 16 bytes of HMAC-SHA-256 over everything before. The terms are public, the seal makes them ours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use core::str::FromStr;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::terms::{Target, Terms};
use crate::types::{Address, Network, Secret, UnixSeconds, UsdcAmount};

const VERSION: u8 = 1;
const TARGET_PLAN: u8 = 0;
const TAG_BYTES: usize = 16;
const MAX_ID_CHARS: usize = 512;
const KEY_PURPOSE: &[u8] = b"key0 challenge seal v1";

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
    /// What it says.
    pub terms: Terms,
}

/// The keys for challenge ids: one seals, all open.
#[derive(Clone)]
pub struct SealKeys {
    current: [u8; 32],
    old: Vec<[u8; 32]>,
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKeys(…)")
    }
}

impl SealKeys {
    /// Derives the keys from the access-token secret and its predecessors (HKDF-SHA-256, RFC 5869).
    pub fn new(secret: &Secret, old: &[Secret]) -> Self {
        Self {
            current: derive(secret),
            old: old.iter().map(derive).collect(),
        }
    }

    /// Seals terms. The same terms give the same id.
    pub fn seal(&self, terms: Terms) -> Offer {
        let mut bytes = encode(&terms);
        let tag = mac(&self.current, &bytes).finalize().into_bytes();
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
        core::iter::once(&self.current)
            .chain(&self.old)
            .any(|key| mac(key, body).verify_truncated_left(tag).is_ok())
            .then(|| decode(body))?
            .map(|terms| Offer {
                id: ChallengeId(id.to_owned()),
                terms,
            })
    }
}

fn derive(secret: &Secret) -> [u8; 32] {
    let mut key = [0; 32];
    // Expanding to 32 bytes cannot fail: the limit is 255 blocks.
    let _ = Hkdf::<Sha256>::new(None, secret.expose().as_bytes()).expand(KEY_PURPOSE, &mut key);
    key
}

fn mac(key: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(body);
    mac
}

fn encode(terms: &Terms) -> Vec<u8> {
    let Target::Plan(plan) = &terms.target;
    let mut bytes = Vec::with_capacity(192);
    bytes.push(VERSION);
    for number in [
        terms.issued_at.0,
        terms.expires_at.0,
        terms.amount.units(),
        terms.network.chain_id(),
    ] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(terms.pay_to.as_slice());
    bytes.push(TARGET_PLAN);
    for text in [
        terms.request_id.as_str(),
        plan.as_str(),
        terms.resource.as_str(),
    ] {
        // Ids are at most 128 bytes by construction.
        bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Terms> {
    let mut reader = Reader(bytes);
    if reader.byte()? != VERSION {
        return None;
    }
    let issued_at = UnixSeconds(reader.number()?);
    let expires_at = UnixSeconds(reader.number()?);
    let amount = UsdcAmount::from_units(reader.number()?);
    let network = Network::from_chain_id(reader.number()?)?;
    let pay_to = Address::from(reader.array::<20>()?);
    if reader.byte()? != TARGET_PLAN {
        return None;
    }
    let terms = Terms {
        request_id: reader.text()?,
        target: Target::Plan(reader.text()?),
        resource: reader.text()?,
        amount,
        pay_to,
        network,
        issued_at,
        expires_at,
    };
    reader.0.is_empty().then_some(terms)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn text<T: FromStr>(&mut self) -> Option<T> {
        let length = usize::from(self.byte()?);
        core::str::from_utf8(self.take(length)?).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{PlanId, RequestId, ResourceId};

    fn keys(secret: &str, old: &[&str]) -> SealKeys {
        let old: Vec<_> = old.iter().copied().map(Secret::new).collect();
        SealKeys::new(&Secret::new(secret), &old)
    }

    fn any_terms() -> impl Strategy<Value = Terms> {
        (
            any::<[u8; 16]>(),
            "[A-Za-z0-9._-]{1,64}".prop_filter_map("an id", |text| text.parse::<PlanId>().ok()),
            "[A-Za-z0-9._~:/@-]{1,128}"
                .prop_filter_map("an id", |text| text.parse::<ResourceId>().ok()),
            any::<(u64, [u8; 20], bool, u64, u64)>(),
        )
            .prop_map(
                |(id, plan, resource, (amount, pay_to, main, issued, expires))| Terms {
                    request_id: RequestId::from_random(id),
                    target: Target::Plan(plan),
                    resource,
                    amount: UsdcAmount::from_units(amount),
                    pay_to: Address::from(pay_to),
                    network: if main {
                        Network::Base
                    } else {
                        Network::BaseSepolia
                    },
                    issued_at: UnixSeconds(issued),
                    expires_at: UnixSeconds(expires),
                },
            )
    }

    /// Ids that sellers' customers hold must stay readable: a change here needs a new version byte.
    #[test]
    fn the_sealed_form_is_unchanged() {
        let terms = Terms {
            request_id: "550e8400-e29b-41d4-a716-446655440000".parse().unwrap(),
            target: Target::Plan("basic".parse().unwrap()),
            resource: "default".parse().unwrap(),
            amount: UsdcAmount::from_units(15_000),
            pay_to: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
                .parse()
                .unwrap(),
            network: Network::BaseSepolia,
            issued_at: UnixSeconds(1_800_000_000),
            expires_at: UnixSeconds(1_800_000_960),
        };
        let offer = keys("0123456789abcdef0123456789abcdef", &[]).seal(terms);
        assert_eq!(
            offer.id.as_str(),
            "AQAAAABrSdIAAAAAAGtJ1cAAAAAAAAA6mAAAAAAAAUo0IJaTvGr8DFMoujb68DxRTvMSKHwAJDU1MGU4NDAwLWUyOWItNDFkNC1hNzE2LTQ0NjY1NTQ0MDAwMAViYXNpYwdkZWZhdWx0ndLKQ7GANMG7vp4mFyAOYg"
        );
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_to_the_same_terms(terms in any_terms()) {
            let keys = keys("current", &[]);
            let sealed = keys.seal(terms.clone());
            prop_assert_eq!(keys.seal(terms.clone()), sealed.clone(), "deterministic");
            let opened = keys.open(sealed.id.as_str());
            prop_assert_eq!(opened.map(|offer| offer.terms), Some(terms));
        }

        #[test]
        fn a_changed_byte_opens_nothing(terms in any_terms(), at: prop::sample::Index, flip in 1u8..=255) {
            let keys = keys("current", &[]);
            let mut bytes = URL_SAFE_NO_PAD.decode(keys.seal(terms).id.as_str()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(keys.open(&URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn a_shortened_or_lengthened_id_opens_nothing(terms in any_terms(), cut in 1usize..40) {
            let keys = keys("current", &[]);
            let id = keys.seal(terms).id;
            prop_assert_eq!(keys.open(&id.as_str()[..id.as_str().len() - cut.min(id.as_str().len())]), None);
            let extended = format!("{id}AAAA");
            prop_assert_eq!(keys.open(&extended), None);
        }

        #[test]
        fn an_old_key_opens_and_a_foreign_key_does_not(terms in any_terms()) {
            let before = keys("before", &[]).seal(terms);
            prop_assert!(keys("after", &["before"]).open(before.id.as_str()).is_some());
            prop_assert!(keys("after", &[]).open(before.id.as_str()).is_none());
        }

        #[test]
        fn hostile_ids_never_panic(text in ".{0,600}") {
            prop_assert_eq!(keys("current", &[]).open(&text), None);
        }
    }
}
