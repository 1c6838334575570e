//! A document of public keys (RFC 7517), as a gateway publishes it at `/.well-known/jwks.json`.

use core::fmt;

use base64_simd::URL_SAFE_NO_PAD;

use crate::json::{Text, Value, read_array, read_object};
use crate::ring::Ring;
use crate::rsa::RsaKey;
use crate::{ConfigError, Flaw};

/// Longest document that is read, in bytes.
#[cfg(feature = "jwks-http")]
pub(crate) const MAX_JWKS_LEN: usize = crate::json::MAX_TEXT;

/// Why a key document was refused, or one of its keys ignored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JwksError {
    /// The document cannot be read.
    Malformed(Flaw),
    /// The document has no `keys`.
    NoKeys,
    /// A key's member is missing, of the wrong type or not canonical.
    BadMember(&'static str),
    /// The document holds a secret or private key: everybody who can read it can sign.
    SecretKey,
    /// The document has no key that checks RS256 signatures.
    NoUsableKey,
    /// A key of the document cannot be used.
    BadKey(ConfigError),
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(flaw) => write!(f, "the key document {flaw}"),
            Self::NoKeys => f.write_str("the key document has no array named keys"),
            Self::BadMember(name) => {
                write!(
                    f,
                    "a key's {name} is missing, of the wrong type or not canonical"
                )
            }
            Self::SecretKey => f.write_str("the key document contains a secret or private key"),
            Self::NoUsableKey => f.write_str(
                "the key document has no RSA key for RS256; a gateway publishes one when KEY0_TOKEN_ALGORITHM is RS256",
            ),
            Self::BadKey(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for JwksError {}

/// The keys for RS256 in a document, and why others are ignored. Keys for other purposes are passed over without a word.
///
/// RFC 7517 §5: one key that cannot be used does not void the others. But a document that gives a secret away is not believed.
pub(crate) fn read(document: &str) -> Result<(Ring<RsaKey>, Vec<JwksError>), JwksError> {
    let mut keys = None;
    read_object(document, |name, value| {
        if name.read(document) == "keys" {
            keys = Some(value);
        }
    })
    .map_err(JwksError::Malformed)?;
    let Some(Value::Array(keys)) = keys else {
        return Err(JwksError::NoKeys);
    };
    let keys = keys.of(document);
    let mut ring: Option<Ring<RsaKey>> = None;
    let mut ignored = Vec::new();
    read_array(keys, |item| {
        if let Err(reason) = add(&mut ring, item.written(keys)) {
            ignored.push(reason);
        }
    })
    .map_err(JwksError::Malformed)?;
    if ignored.contains(&JwksError::SecretKey) {
        return Err(JwksError::SecretKey);
    }
    match ring {
        Some(ring) => Ok((ring, ignored)),
        None => Err(ignored.first().copied().unwrap_or(JwksError::NoUsableKey)),
    }
}

fn add(ring: &mut Option<Ring<RsaKey>>, json: &str) -> Result<(), JwksError> {
    let Some(key) = read_key(json)? else {
        return Ok(());
    };
    let added = match ring {
        Some(ring) => ring.add(key),
        None => {
            *ring = Some(Ring::new(key));
            Ok(())
        }
    };
    added.map_err(JwksError::BadKey)
}

/// One key; `None` if it is for something else.
fn read_key(json: &str) -> Result<Option<RsaKey>, JwksError> {
    let mut found = Found::default();
    read_object(json, |name, value| found.note(&name.read(json), value)).map_err(
        |flaw| match flaw {
            Flaw::NotAnObject => JwksError::BadMember("keys"),
            flaw => JwksError::Malformed(flaw),
        },
    )?;
    let text = |value: Option<Value>, name| match value {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(JwksError::BadMember(name)),
    };
    let is = |text: Option<Text>, expected| text.is_some_and(|text| text.read(json) == expected);
    if found.secret {
        return Err(JwksError::SecretKey);
    }
    let kty = text(found.kty, "kty")?.ok_or(JwksError::BadMember("kty"))?;
    if is(Some(kty), "oct") {
        return Err(JwksError::SecretKey);
    }
    let (usage, alg) = (text(found.usage, "use")?, text(found.alg, "alg")?);
    let for_us = is(Some(kty), "RSA")
        && (usage.is_none() || is(usage, "sig"))
        && (alg.is_none() || is(alg, "RS256"))
        && found
            .key_ops
            .is_none_or(|ops| may_verify(ops.written(json)));
    if !for_us {
        return Ok(None);
    }
    let number = |value, name| {
        let text = text(value, name)?.ok_or(JwksError::BadMember(name))?;
        let bytes = URL_SAFE_NO_PAD
            .decode_to_vec(text.read(json).as_bytes())
            .map_err(|_| JwksError::BadMember(name))?;
        // RFC 7518 §2: the shortest form.
        match bytes.first() {
            Some(1..) => Ok(bytes),
            _ => Err(JwksError::BadMember(name)),
        }
    };
    let (n, e) = (number(found.n, "n")?, number(found.e, "e")?);
    let kid = text(found.kid, "kid")?.map(|kid| kid.read(json).into_owned());
    RsaKey::new((&n, &e), kid)
        .map(Some)
        .map_err(JwksError::BadKey)
}

/// RFC 7517 §4.3.
fn may_verify(operations: &str) -> bool {
    let mut may = false;
    let read = read_array(operations, |operation| {
        may |= matches!(operation, Value::Text(text) if text.read(operations) == "verify");
    });
    read.is_ok() && may
}

#[derive(Default)]
struct Found {
    kty: Option<Value>,
    usage: Option<Value>,
    alg: Option<Value>,
    kid: Option<Value>,
    key_ops: Option<Value>,
    n: Option<Value>,
    e: Option<Value>,
    secret: bool,
}

impl Found {
    fn note(&mut self, name: &str, value: Value) {
        let slot = match name {
            "kty" => &mut self.kty,
            "use" => &mut self.usage,
            "alg" => &mut self.alg,
            "kid" => &mut self.kid,
            "key_ops" => &mut self.key_ops,
            "n" => &mut self.n,
            "e" => &mut self.e,
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" => {
                self.secret = true;
                return;
            }
            _ => return,
        };
        *slot = Some(value);
    }
}
