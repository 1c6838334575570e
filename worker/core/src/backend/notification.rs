//! Notices to the seller's backend: what they say, and their signature (Standard Webhooks 1.0).

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

use super::authentication::BackendCall;
use crate::offer::Target;
use crate::purchase::{Notice, NoticeKind, Record, RefundFault, State};
use crate::types::{HttpUrl, UnixSeconds};

/// How long the backend may take, in milliseconds.
const TIMEOUT_MILLIS: u32 = 10_000;
/// How much base64 of a signing secret may stand for: what the specification recommends.
const SECRET_BYTES: core::ops::RangeInclusive<usize> = 24..=64;
const SECRET_PREFIX: &str = "whsec_";

/// Who is told of purchases.
#[derive(Clone, Debug)]
pub struct Notified {
    /// The backend's address.
    pub url: HttpUrl,
    /// What notices are signed with, each; none when they are not.
    pub secrets: Vec<SigningSecret>,
}

/// A secret that notices are signed with.
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

    /// The signature of one message.
    fn sign(&self, id: &str, at: UnixSeconds, body: &str) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{}.{body}", at.0).as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        Some(format!("v1,{signature}"))
    }
}

impl NoticeKind {
    /// The name in the body's `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "payment.delivered",
            Self::Refunded => "payment.refunded",
            Self::RefundFailed => "payment.refund_failed",
        }
    }
}

/// The call that tells of the oldest open notice. Body and key are the same however often it is made.
pub fn call(
    notified: &Notified,
    record: &Record,
    notice: &Notice,
    now: UnixSeconds,
) -> Option<BackendCall> {
    let Target::Plan(plan) = &record.terms.target;
    let terms = &record.terms;
    let payment = record.state.transaction()?;
    let explorer = |hash| format!("{}/tx/{hash}", terms.network.explorer());
    let expires_at = match &record.state {
        State::Delivered { claims, .. } => Some(UnixSeconds(claims.exp).to_iso()),
        _ => None,
    };
    let mut body = json!({
        "type": notice.kind.name(),
        "timestamp": notice.at.to_iso(),
        "requestId": terms.request_id,
        "challengeId": record.challenge_id,
        "resourceId": terms.resource,
        "planId": plan,
        "txHash": payment,
        "explorerUrl": explorer(payment),
        "unitAmount": terms.amount,
        "chainId": terms.network.chain_id(),
        "payer": record.payer.to_checksum(None),
        "expiresAt": expires_at,
        "refundTxHash": notice.transaction,
        "refundExplorerUrl": notice.transaction.map(explorer),
        "reason": notice.reason.map(RefundFault::code),
    });
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    let body = body.to_string();
    let id = format!("{}:{}", record.challenge_id, record.outbox.number());
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
    Some(BackendCall {
        url: notified.url.join("/internal/payment-received"),
        body: body.into_bytes(),
        idempotency_key: id,
        headers,
        issuer: record.issuer.clone(),
        timeout_millis: TIMEOUT_MILLIS,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::purchase::test_support::{NOW, delivered_and_noted};

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

    #[test]
    fn a_notice_tells_of_the_grant_and_not_the_token() {
        let record = delivered_and_noted();
        let notice = &record.outbox.open[0];
        let call = call(&notified(&[]), &record, notice, NOW.to_seconds()).unwrap();
        assert_eq!(
            call.url,
            "https://backend.example/internal/payment-received"
        );
        assert!(call.headers.is_empty());
        assert_eq!(call.idempotency_key, format!("{}:1", record.challenge_id));
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(body["type"], "payment.delivered");
        assert_eq!(body["planId"], "basic");
        assert_eq!(body["unitAmount"], "$0.015");
        assert_eq!(body["payer"], record.payer.to_checksum(None));
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert!(
            !names
                .iter()
                .any(|name| name.to_lowercase().contains("token"))
        );
    }

    #[test]
    fn a_repeat_differs_in_nothing_but_the_moment_and_its_signatures() {
        let record = delivered_and_noted();
        let notice = &record.outbox.open[0];
        let secrets = [
            "whsec_C2FVsBQIhrscChlQIMV7b5sSYspob7oD",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ];
        let call = |at| call(&notified(&secrets), &record, notice, UnixSeconds(at)).unwrap();
        let (first, later) = (call(1), call(2));
        assert_ne!(first.headers, later.headers);
        assert_eq!(first.headers[2].1.split(' ').count(), 2);
        let bare = |call: BackendCall| BackendCall {
            headers: Vec::new(),
            ..call
        };
        assert_eq!(bare(first), bare(later));
    }
}
