//! OAuth 2.0 client credentials (RFC 6749, section 4.4): the request to the authorization server, and how its answer is
//! read.

use core::fmt;

use alloy_primitives::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::form_urlencoded::Serializer;

use crate::types::{HttpUrl, Secret, UnixMillis};

/// How long the authorization server may take.
pub const TOKEN_DEADLINE_MILLIS: u32 = 10_000;
/// The longest answer of an authorization server.
pub const MAX_TOKEN_ANSWER_BYTES: usize = 32 * 1024;
/// The longest token: it travels in a header of each call.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How long a token is good when the authorization server does not say.
const USUAL_SECONDS: u64 = 300;

/// The gateway as an OAuth client.
pub struct OAuthClient {
    /// The URL at which tokens are requested.
    pub token_url: HttpUrl,
    /// The client's id.
    pub id: String,
    /// The client's secret.
    pub secret: Secret,
    /// The scopes, joined with spaces; may be empty.
    pub scope: String,
    /// The audience that the tokens are requested for.
    pub audience: Option<String>,
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OAuthClient(…)")
    }
}

/// A token as it is kept.
#[derive(Clone, Eq, PartialEq)]
pub struct HeldToken {
    /// The time when the token was received, in milliseconds. The number tells this token from earlier ones.
    pub number: u64,
    /// When the token ends.
    pub expires_at: UnixMillis,
    /// The token.
    pub text: String,
}

impl fmt::Debug for HeldToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldToken({})", self.number)
    }
}

impl HeldToken {
    /// The token as one text, to be stored and to be handed from object to object.
    pub fn to_text(&self) -> String {
        format!("{} {} {}", self.number, self.expires_at.0, self.text)
    }

    /// Reads what [`HeldToken::to_text`] has written.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        Some(Self {
            number: parts.next()?.parse().ok()?,
            expires_at: UnixMillis(parts.next()?.parse().ok()?),
            text: parts.next()?.to_owned(),
        })
    }
}

impl OAuthClient {
    /// The body of the request to the authorization server, as `application/x-www-form-urlencoded`.
    pub fn form(&self) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &self.id);
        form.append_pair("client_secret", self.secret.expose());
        if !self.scope.is_empty() {
            form.append_pair("scope", &self.scope);
        }
        if let Some(audience) = &self.audience {
            form.append_pair("audience", audience);
        }
        form.finish()
    }

    /// A digest of all that a token is requested for, so that a token for another purpose is never used.
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let audience = self.audience.as_deref().unwrap_or_default();
        for part in [self.token_url.as_str(), &self.id, &self.scope, audience] {
            digest.update(part);
            digest.update([0]);
        }
        hex::encode(digest.finalize())
    }
}

/// Reads an authorization server's answer (RFC 6749, section 5.1). `None` if it has no token that can be sent.
pub(super) fn read_answer(body: &[u8], now: UnixMillis, number: u64) -> Option<HeldToken> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let text = answer.get("access_token")?.as_str()?;
    let is_bearer = answer
        .get("token_type")
        .and_then(Value::as_str)
        .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    let is_sendable = !text.is_empty()
        && text.len() <= MAX_TOKEN_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_bearer || !is_sendable {
        return None;
    }
    // Some servers write the seconds as a text.
    let seconds = match answer.get("expires_in") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64(),
        None => None,
    };
    let millis = seconds.unwrap_or(USUAL_SECONDS).saturating_mul(1000);
    Some(HeldToken {
        number,
        expires_at: now.plus(millis),
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> OAuthClient {
        OAuthClient {
            token_url: "https://auth.example/token".parse().unwrap(),
            id: "key0".to_owned(),
            secret: Secret::new("p&ss word"),
            scope: "issue notify".to_owned(),
            audience: Some("https://backend.example".to_owned()),
        }
    }

    #[test]
    fn the_form_says_what_the_specification_wants() {
        assert_eq!(
            client().form(),
            "grant_type=client_credentials&client_id=key0&client_secret=p%26ss+word&scope=issue+notify\
             &audience=https%3A%2F%2Fbackend.example"
        );
        let bare = OAuthClient {
            scope: String::new(),
            audience: None,
            ..client()
        };
        assert!(bare.form().ends_with("client_secret=p%26ss+word"));
        assert_ne!(bare.fingerprint(), client().fingerprint());
    }

    #[test]
    fn an_answer_needs_a_bearer_token_that_fits_a_header() {
        let now = UnixMillis(1_000);
        let read = |body: &str| read_answer(body.as_bytes(), now, 1);
        for body in [
            "",
            "[]",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            "{\"access_token\":\"a\\nb\"}",
            r#"{"access_token":5}"#,
            r#"{"access_token":"t","token_type":"mac"}"#,
            r#"{"error":"invalid_client"}"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
        for (expires_in, end) in [("3600", 3_601_000), ("\"60\"", 61_000), ("null", 301_000)] {
            let body = format!(
                r#"{{"access_token":"t","token_type":"bearer","expires_in":{expires_in}}}"#
            );
            assert_eq!(read(&body).unwrap().expires_at, UnixMillis(end), "{body}");
        }
        let endless = r#"{"access_token":"t","expires_in":18446744073709551615}"#;
        assert_eq!(read(endless).unwrap().expires_at, UnixMillis(u64::MAX));
    }

    #[test]
    fn a_token_is_the_same_after_it_was_a_text() {
        let held = read_answer(br#"{"access_token":"a.b-c"}"#, UnixMillis(7), 5).unwrap();
        assert_eq!(HeldToken::from_text(&held.to_text()), Some(held));
        for text in ["", "1", "1 2", "a 2 b", "1 b c"] {
            assert_eq!(HeldToken::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let held = read_answer(br#"{"access_token":"hunter2"}"#, UnixMillis(0), 5);
        let shown = format!("{:?} {held:?}", client());
        assert_eq!(shown, "OAuthClient(…) Some(HeldToken(5))");
    }
}
