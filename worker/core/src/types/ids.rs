//! Identifiers that come from outside: checked for size and alphabet once, safe everywhere after.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Why a value was refused; reads as the end of a sentence ("planId …").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IdError(&'static str);

impl IdError {
    pub(super) const fn new(reason: &'static str) -> Self {
        Self(reason)
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for IdError {}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                $check(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id! {
    /// A plan of the catalog: 1 to 64 letters, digits, `.`, `_`, `-`; not `.` or `..` alone.
    PlanId, catalog_id
}
text_id! {
    /// A route of the catalog: 1 to 64 letters, digits, `.`, `_`, `-`; not `.` or `..` alone.
    RouteId, catalog_id
}
text_id! {
    /// What a token opens: 1 to 128 letters, digits, `.`, `_`, `-`, `~`, `:`, `/`, `@`; no part between slashes is `.` or `..`.
    ResourceId, resource_id
}
text_id! {
    /// One purchase: a UUID chosen by the client (kept in lower case), or an id derived from a payment (`x402-` and 32 hex digits).
    RequestId, request_id
}

/// The plan of service tokens. Not to be sold, so that no buyer's token passes for one, nor one for a buyer's.
pub const SERVICE_PLAN: &str = "system";
const DERIVED_PREFIX: &str = "x402-";

impl RequestId {
    /// A random (version 4) UUID made from sixteen random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self::uuid(bytes, 4)
    }

    /// The id that a client names in words of its own: a UUID stands for itself, any other text for a UUID made from its SHA-256
    /// (version 8, RFC 9562 §5.8).
    pub fn from_name(name: &str) -> Self {
        match name.parse() {
            Ok(Self(id)) if !id.starts_with(DERIVED_PREFIX) => Self(id),
            _ => {
                let digest = Sha256::new()
                    .chain_update(b"key0 idempotency key v1\0")
                    .chain_update(name)
                    .finalize();
                let bytes = core::array::from_fn(|at| digest.get(at).copied().unwrap_or_default());
                Self::uuid(bytes, 8)
            }
        }
    }

    fn uuid(mut bytes: [u8; 16], version: u8) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | (version << 4);
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self::hyphenated(bytes)
    }

    fn hyphenated(bytes: [u8; 16]) -> Self {
        let hex = alloy_primitives::hex::encode(bytes);
        let mut text = String::with_capacity(36);
        for (at, digit) in hex.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        Self(text)
    }

    /// The id of these bytes: one that is derived from a payment, or a UUID. The inverse of [`RequestId::to_bytes`].
    pub(crate) fn from_bytes(bytes: [u8; 16], is_derived: bool) -> Self {
        match is_derived {
            true => Self::derived(&bytes),
            false => Self::hyphenated(bytes),
        }
    }

    /// The sixteen bytes of either form.
    pub(crate) fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let digits = self.0.strip_prefix(DERIVED_PREFIX).unwrap_or(&self.0);
        let digits = digits.replace('-', "");
        // Every id has 32 hex digits.
        let _ = alloy_primitives::hex::decode_to_slice(digits, &mut bytes);
        bytes
    }

    /// Whether the id follows from a payment, and so from what the chain shows.
    pub fn is_derived(&self) -> bool {
        self.0.starts_with(DERIVED_PREFIX)
    }

    /// The id of a purchase whose client named none: made from what makes the payment unique.
    pub(crate) fn derived(digest: &[u8; 16]) -> Self {
        Self(format!(
            "{DERIVED_PREFIX}{}",
            alloy_primitives::hex::encode(digest)
        ))
    }
}

impl Default for ResourceId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

fn catalog_id(text: &str) -> Result<String, IdError> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !fits {
        return Err(IdError(
            "must be 1 to 64 letters, digits, dots, dashes or underscores",
        ));
    }
    without_dot_segments(text)
}

fn resource_id(text: &str) -> Result<String, IdError> {
    let fits = (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-~:/@".contains(&b));
    if !fits {
        return Err(IdError(
            "must be 1 to 128 letters, digits or any of . _ - ~ : / @",
        ));
    }
    without_dot_segments(text)
}

/// Ids become parts of URLs, where `.` and `..` as a segment of the path mean this folder and the one above, even when
/// they are percent-encoded (RFC 3986, section 5.2.4; WHATWG URL, section 4.4).
fn without_dot_segments(text: &str) -> Result<String, IdError> {
    match text.split('/').any(|segment| matches!(segment, "." | "..")) {
        true => Err(IdError("must not have . or .. between slashes or alone")),
        false => Ok(text.to_owned()),
    }
}

fn request_id(text: &str) -> Result<String, IdError> {
    let refusal = IdError("must be a UUID");
    if let Some(hex) = text.strip_prefix(DERIVED_PREFIX) {
        let fits = hex.len() == 32
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        return fits.then(|| text.to_owned()).ok_or(refusal);
    }
    let fits = text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    fits.then(|| text.to_ascii_lowercase()).ok_or(refusal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uuid_is_kept_in_lower_case() {
        let id: RequestId = "550E8400-e29b-41d4-a716-446655440000".parse().unwrap();
        assert_eq!(id.as_str(), "550e8400-e29b-41d4-a716-446655440000");
    }

    #[test]
    fn a_name_is_a_uuid_or_stands_for_one() {
        let uuid = "550E8400-e29b-41d4-a716-446655440000";
        assert_eq!(Ok(RequestId::from_name(uuid)), uuid.parse());
        let order = RequestId::from_name("order 1");
        assert_eq!(order.as_str(), "719a661e-b5da-84ee-961d-f14b5189351f");
        assert_ne!(order, RequestId::from_name("order 2"));
        // A name is no way to what a payment's id was derived from.
        let derived = RequestId::derived(&[7; 16]);
        assert_ne!(RequestId::from_name(derived.as_str()), derived);
    }

    #[test]
    fn what_is_no_uuid_is_no_request_id() {
        for text in [
            "",
            "1",
            "550e8400e29b41d4a716446655440000",
            "550e8400-e29b-41d4-a716-44665544000g",
            "x402-123",
            "x402-ABCDEFABCDEFABCDEFABCDEFABCDEFAB",
        ] {
            assert!(text.parse::<RequestId>().is_err(), "{text}");
        }
    }

    #[test]
    fn plan_and_resource_ids_have_a_small_alphabet() {
        assert!("pro-monthly_2.0".parse::<PlanId>().is_ok());
        assert!("photos/eu:1@v2".parse::<ResourceId>().is_ok());
        for text in ["", "a b", "ä", "a\n", "a\"b", "a?b", "a#b", "a%2Fb"] {
            assert!(text.parse::<PlanId>().is_err(), "{text}");
            assert!(text.parse::<ResourceId>().is_err(), "{text}");
        }
        assert!("p".repeat(65).parse::<PlanId>().is_err());
        assert!("r".repeat(129).parse::<ResourceId>().is_err());
    }

    #[test]
    fn no_id_leads_to_another_folder_of_a_url() {
        for text in [
            ".", "..", "../admin", "a/..", "a/../b", "./a", "a/./b", "/..",
        ] {
            assert!(text.parse::<ResourceId>().is_err(), "{text}");
        }
        for text in [".", ".."] {
            assert!(text.parse::<PlanId>().is_err(), "{text}");
        }
        for text in ["...", "a..b", ".a", "a.", "a/.well-known/b", "v1..v2/x"] {
            assert!(text.parse::<ResourceId>().is_ok(), "{text}");
        }
        assert!("..plan".parse::<PlanId>().is_ok());
    }

    proptest! {
        #[test]
        fn generated_ids_are_readable(bytes: [u8; 16]) {
            for id in [RequestId::from_random(bytes), RequestId::derived(&bytes)] {
                prop_assert_eq!(id.as_str().parse::<RequestId>(), Ok(id.clone()));
            }
        }

        #[test]
        fn an_id_is_its_bytes_and_its_form(bytes: [u8; 16], is_derived: bool) {
            let id = RequestId::from_bytes(bytes, is_derived);
            prop_assert_eq!(id.as_str().parse::<RequestId>(), Ok(id.clone()));
            prop_assert_eq!((id.to_bytes(), id.is_derived()), (bytes, is_derived));
        }

        #[test]
        fn hostile_ids_never_panic(text in ".{0,200}") {
            let _ = text.parse::<RequestId>();
            let _ = text.parse::<PlanId>();
            let _ = text.parse::<RouteId>();
            let _ = text.parse::<ResourceId>();
        }
    }
}
