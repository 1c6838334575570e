//! Notifications to the seller's backend: their receiver, and their signature (Standard Webhooks 1.0).

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::authentication::BackendCall;
use crate::types::{HttpUrl, UnixSeconds};

/// How long the backend may take, in milliseconds.
const TIMEOUT_MILLIS: u32 = 10_000;
/// How many bytes a signing secret may have: as many as the specification recommends.
const SECRET_BYTES: core::ops::RangeInclusive<usize> = 24..=64;
const SECRET_PREFIX: &str = "whsec_";

/// Where notifications go, and how they are signed.
#[derive(Clone, Debug)]
pub struct Notified {
    /// The backend's address.
    pub url: HttpUrl,
    /// The secrets. Each of them signs every notification; without any, notifications are not signed.
    pub secrets: Vec<SigningSecret>,
}

/// A secret that notifications are signed with.
#[derive(Clone)]
pub struct SigningSecret(Vec<u8>);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

impl SigningSecret {
    /// Reads `whsec_` and base64 of 24 to 64 bytes.
    pub fn new(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()?;
        SECRET_BYTES.contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The signature of one notification.
    fn sign(&self, id: &str, at: UnixSeconds, body: &str) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{}.{body}", at.0).as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        Some(format!("v1,{signature}"))
    }
}

/// The signed call that delivers a notification. Body and idempotency key are the same at each attempt.
pub fn call(
    notified: &Notified,
    id: String,
    body: String,
    issuer: &str,
    now: UnixSeconds,
) -> BackendCall {
    let signatures: Vec<String> = notified
        .secrets
        .iter()
        .filter_map(|secret| secret.sign(&id, now, &body))
        .collect();
    let headers = match signatures.is_empty() {
        true => Vec::new(),
        false => vec![
            ("webhook-id", id.clone()),
            ("webhook-timestamp", now.0.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ],
    };
    BackendCall {
        url: notified.url.join("/internal/payment-received"),
        body: body.into_bytes(),
        idempotency_key: id,
        headers,
        issuer: issuer.to_owned(),
        timeout_millis: TIMEOUT_MILLIS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notified(secrets: &[&str]) -> Notified {
        Notified {
            url: "https://backend.example".parse().unwrap(),
            secrets: secrets
                .iter()
                .map(|text| SigningSecret::new(text).unwrap())
                .collect(),
        }
    }

    #[test]
    fn a_signature_is_the_one_of_a_published_example() {
        let secret = SigningSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = secret.sign(id, UnixSeconds(1_614_265_330), body);
        assert_eq!(
            signature.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
    }

    #[test]
    fn a_secret_has_a_prefix_and_enough_bytes() {
        for text in [
            "",
            "whsec_",
            "whsec_c2hvcnQ=",
            "plJ3nmyCDGBKInavdOK15jsl",
            "whsec_!",
        ] {
            assert!(SigningSecret::new(text).is_none(), "{text}");
        }
        let shown = format!(
            "{:?}",
            notified(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
        );
        assert!(!shown.contains("MfKQ"), "{shown}");
    }
}
