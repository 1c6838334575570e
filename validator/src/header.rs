//! The rules for a token's header, for the headers that are not byte for byte one of the usual ones.
//!
//! All of this runs on unproven bytes, so it is bounded and allocates nothing for an honest header.

use std::borrow::Cow;

use base64_simd::{AsOut, URL_SAFE_NO_PAD};

use crate::cursor::Cursor;
use crate::json::{Text, Value, read_object};
use crate::{Flaw, ValidationError};

/// Longest header that is read, in base64url symbols.
pub(crate) const MAX_LEN: usize = 1024;

/// Space for a decoded header of any length.
pub(crate) const ROOM: [u8; MAX_LEN / 4 * 3] = [0; MAX_LEN / 4 * 3];

/// Space for a decoded header of at most [`SHORT`] symbols. Filling [`ROOM`] with zeros takes longer than reading what
/// fits into this.
pub(crate) const SHORT_ROOM: [u8; SHORT / 4 * 3] = [0; SHORT / 4 * 3];

/// Longest header for which [`SHORT_ROOM`] is enough, in base64url symbols.
pub(crate) const SHORT: usize = 128;

/// The headers that name a key, as gateway, `jwt-compact` and most libraries write them, in base64url.
pub(crate) fn usual(algorithm: &str, kid: &str) -> Vec<Vec<u8>> {
    // A name that JSON writes with escapes is left to the reader.
    if !kid
        .bytes()
        .all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
    {
        return Vec::new();
    }
    [
        format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"{algorithm}","kid":"{kid}","typ":"JWT"}}"#),
        format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#),
    ]
    .map(|json| URL_SAFE_NO_PAD.encode_type(json))
    .into()
}

/// `{"alg":"none"}`, alone or with `"typ":"JWT"` on either side, as every library writes it. Attackers send this to any
/// token check first of all, so it is refused without being decoded.
pub(crate) const UNSIGNED: [&[u8]; 3] = [
    b"eyJhbGciOiJub25lIn0",
    b"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
    b"eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0",
];

/// Checks a header against the rules and returns its key id, if it has one.
///
/// `algorithm` comes from the configuration: the token has no say in how it is checked.
pub(crate) fn read<'b>(
    encoded: &[u8],
    algorithm: &str,
    buffer: &'b mut [u8],
) -> Result<Option<Cow<'b, str>>, ValidationError> {
    read_as(encoded, algorithm, buffer, |typ| {
        typ.is_none_or(is_access_token)
    })
}

/// Like [`read`], for the types that `is_type` takes.
pub(crate) fn read_as<'b>(
    encoded: &[u8],
    algorithm: &str,
    buffer: &'b mut [u8],
    is_type: impl Fn(Option<&str>) -> bool,
) -> Result<Option<Cow<'b, str>>, ValidationError> {
    let text = decode(encoded, buffer).map_err(ValidationError::MalformedHeader)?;
    let found = match Found::at_a_glance(text) {
        Some(found) => found,
        None => Found::anywhere(text).map_err(ValidationError::MalformedHeader)?,
    };
    if found.escaped_name {
        return Err(ValidationError::MalformedHeader(Flaw::EscapedName));
    }
    if let Some(name) = found.forbidden {
        return Err(ValidationError::ForbiddenHeader(name));
    }
    let string = |member: Option<Value>| match member {
        None => Ok(None),
        Some(Value::Text(value)) => Ok(Some(value.read(text))),
        Some(_) => Err(ValidationError::MalformedHeader(Flaw::WrongType)),
    };
    if string(found.alg)?.as_deref() != Some(algorithm) {
        return Err(ValidationError::WrongAlgorithm);
    }
    if !is_type(string(found.typ)?.as_deref()) {
        return Err(ValidationError::WrongType);
    }
    string(found.kid)
}

fn decode<'b>(encoded: &[u8], buffer: &'b mut [u8]) -> Result<&'b str, Flaw> {
    // The decoder panics when its output does not fit, so the length is checked here too, not only where tokens are
    // split.
    if encoded.len() / 4 * 3 + encoded.len() % 4 > buffer.len() {
        return Err(Flaw::TooBig);
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(encoded, buffer.as_out())
        .map_err(|_| Flaw::NotBase64Url)?;
    std::str::from_utf8(bytes).map_err(|_| Flaw::NotUtf8)
}

/// Media types compare without case, and `application/` may be left out (RFC 7515 §4.1.9, RFC 9068 §2.1).
fn is_access_token(typ: &str) -> bool {
    ["JWT", "at+jwt", "application/at+jwt", "application/jwt"]
        .iter()
        .any(|known| typ.eq_ignore_ascii_case(known))
}

/// The type of a list of revoked grants.
#[cfg(feature = "revoked")]
pub(crate) fn is_list(typ: Option<&str>) -> bool {
    typ == Some("revoked+jwt")
}

/// The members that have a meaning here. All others are ignored, above all those that point to keys (`jku`, `x5u`,
/// `jwk`, `x5c`): a token never brings its own key.
#[derive(Debug, Default, Eq, PartialEq)]
struct Found {
    alg: Option<Value>,
    typ: Option<Value>,
    kid: Option<Value>,
    forbidden: Option<&'static str>,
    escaped_name: bool,
}

impl Found {
    /// Reads a header of nothing but `alg`, `typ` and `kid`, without white space and escapes. Returns `None` for any
    /// other shape; the caller then parses the header completely.
    fn at_a_glance(text: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut cursor = Cursor::plain(text)?;
        cursor.take(b"{")?;
        loop {
            let slot = if cursor.take(b"\"alg\":\"").is_some() {
                &mut found.alg
            } else if cursor.take(b"\"typ\":\"").is_some() {
                &mut found.typ
            } else {
                cursor.take(b"\"kid\":\"")?;
                &mut found.kid
            };
            let text = Text::plain(cursor.string()?);
            if slot.replace(Value::Text(text)).is_some() {
                return None;
            }
            if cursor.take(b"}").is_some() {
                return cursor.is_at_end().then_some(found);
            }
            cursor.take(b",")?;
        }
    }

    /// Reads whatever JSON allows.
    fn anywhere(text: &str) -> Result<Self, Flaw> {
        let mut found = Self::default();
        read_object(text, |name, value| {
            found.note(name.span.of(text), name, value);
        })?;
        Ok(found)
    }

    fn note(&mut self, raw: &str, name: Text, value: Value) {
        match raw {
            _ if name.escaped => self.escaped_name = true,
            "alg" => self.alg = Some(value),
            "typ" => self.typ = Some(value),
            "kid" => self.kid = Some(value),
            "crit" => self.forbidden = Some("crit"),
            "b64" => self.forbidden = Some("b64"),
            "enc" => self.forbidden = Some("enc"),
            "zip" => self.forbidden = Some("zip"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_refused_undecoded_would_be_refused_decoded() {
        for encoded in UNSIGNED {
            let mut room = ROOM;
            let text = decode(encoded, &mut room).unwrap();
            assert!(text.contains(r#""alg":"none""#), "{text}");
            let refused = read(encoded, "HS256", &mut room);
            assert_eq!(refused, Err(ValidationError::WrongAlgorithm));
        }
    }

    #[test]
    fn headers_of_libraries_are_read_at_a_glance() {
        for text in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"a"}"#,
            r#"{"kid":"","typ":"at+jwt","alg":"RS256"}"#,
        ] {
            let found = Found::at_a_glance(text).unwrap();
            assert_eq!(Ok(found), Found::anywhere(text), "{text}");
        }
    }

    #[test]
    fn all_others_are_left_to_the_whole_reader() {
        for text in [
            "",
            "{",
            "{}",
            r#"{"alg":"none"}}"#,
            r#"{"alg":"none"} "#,
            r#"{"alg":"none",}"#,
            r#"{"alg":"none""typ":"JWT"}"#,
            r#"{"alg":"none","alg":"none"}"#,
            r#"{"alg":"none","crit":[]}"#,
            r#"{"alg": "none"}"#,
            r#"{"alg":"\u006eone"}"#,
            r#"{"alg":1}"#,
            r#"{"alg":"no"#,
        ] {
            assert_eq!(Found::at_a_glance(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_at_a_glance_is_read_the_same_by_the_whole_reader(
            members in prop::collection::vec(
                "\"(alg|typ|kid|crit|x)\":(\"[a-zA-Z0-9+/é]{0,9}\"|\"\\PC{0,5}\"|1|null)",
                0..5,
            ),
            end in "[},]?[} ]?",
        ) {
            let text = format!("{{{}{end}", members.join(","));
            if let Some(found) = Found::at_a_glance(&text) {
                prop_assert_eq!(Ok(found), Found::anywhere(&text));
            }
        }
    }
}
