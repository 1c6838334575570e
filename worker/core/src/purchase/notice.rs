//! The notification call to the backend: URL, body and headers.

use crate::json;

use super::fault::RefundFault;
use super::outbox::{Notice, NoticeKind};
use super::state::{Purchase, State};
use crate::backend::authentication::BackendCall;
use crate::backend::notification::{self, Notified};
use crate::types::UnixSeconds;

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

/// The call for the oldest open notification. Body and idempotency key are the same however often it is sent.
pub(super) fn call(
    notified: &Notified,
    record: &Purchase,
    notice: &Notice,
    now: UnixSeconds,
) -> Option<BackendCall> {
    let terms = &record.terms;
    let payment = record.state.transaction()?;
    let explorer = |hash| format!("{}/tx/{hash}", terms.network.explorer());
    let expires_at = match &record.state {
        State::Delivered { goods, .. } => goods
            .claims()
            .map(|claims| UnixSeconds(claims.exp).to_iso()),
        _ => None,
    };
    let kind = match (notice.kind, terms.target.grant()) {
        (NoticeKind::Delivered, Some(_)) => "payment.topped_up",
        (kind, _) => kind.name(),
    };
    let mut body = json!({
        "type": kind,
        "timestamp": notice.at.to_iso(),
        "requestId": terms.request_id,
        "challengeId": record.challenge_id,
        "resourceId": terms.resource,
        (terms.target.member()): terms.target.id(),
        "grant": terms.target.grant(),
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
    Some(notification::call(notified, id, body, &record.issuer, now))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::backend::notification::SigningSecret;
    use crate::offer::{CallDigest, Target};
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
    fn a_notice_of_a_call_names_its_route() {
        let mut record = delivered_and_noted();
        record.terms.target = Target::Route {
            id: "weather".parse().unwrap(),
            call: CallDigest::of([]),
        };
        let notice = &record.outbox.open[0];
        let call = call(&notified(&[]), &record, notice, NOW.to_seconds()).unwrap();
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(body["routeId"], "weather");
        assert_eq!(body.get("planId"), None);
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
