//! What a client sends: the body that says what it wants, and the header that pays for it.

use core::str::FromStr;

use http::HeaderMap;
use serde_json::Value;

use crate::error::Error;
use crate::payment::header::{self, PAYMENT_SIGNATURE, X_PAYMENT};
use crate::payment::{PaymentPayload, Refusal};
use crate::types::{IdError, PlanId, RequestId, ResourceId};

/// What the client wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AccessRequest {
    /// The plan; `None` when it named none.
    pub(super) plan: Option<PlanId>,
    /// The purchase, when the client chose an id.
    pub(super) request_id: Option<RequestId>,
    /// The resource, when the client named one.
    pub(super) resource: Option<ResourceId>,
}

impl AccessRequest {
    /// Reads the body. An empty one asks for nothing in particular; unknown members are ignored, `null` is absence.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        let value = if body.trim_ascii().is_empty() {
            Value::Object(serde_json::Map::new())
        } else {
            serde_json::from_slice(body).map_err(|_| {
                Error::invalid_request("The body is not JSON. Send {\"planId\": \"…\"}.")
            })?
        };
        if !value.is_object() {
            return Err(Error::invalid_request(
                "The body must be a JSON object like {\"planId\": \"…\"}.",
            ));
        }
        Ok(Self {
            plan: member(&value, "planId")?,
            request_id: member(&value, "requestId")?,
            resource: member(&value, "resourceId")?,
        })
    }
}

fn member<T: FromStr<Err = IdError>>(value: &Value, name: &str) -> Result<Option<T>, Error> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text
            .parse()
            .map(Some)
            .map_err(|reason| Error::invalid_request(format!("{name} {reason}."))),
        Some(_) => Err(Error::invalid_request(format!("{name} must be a string."))),
    }
}

/// The payment, if there is one. Proxies join repeated headers with a comma, which base64 does not contain.
pub(super) fn payment(headers: &HeaderMap) -> Result<Option<PaymentPayload>, Refusal> {
    let mut values = headers.get_all(PAYMENT_SIGNATURE).iter();
    let Some(value) = values.next() else {
        // The header of version 1. Ignoring it would tell a client that paid to pay.
        return match headers.contains_key(X_PAYMENT) {
            true => Err(Refusal::InvalidX402Version),
            false => Ok(None),
        };
    };
    let text = value.to_str().map_err(|_| Refusal::InvalidPayload)?;
    if values.next().is_some() || text.contains(',') {
        return Err(Refusal::InvalidPayload);
    }
    let value = header::decode(text).ok_or(Refusal::InvalidPayload)?;
    PaymentPayload::parse(&value).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_optional_and_null_is_absence() {
        let empty = AccessRequest {
            plan: None,
            request_id: None,
            resource: None,
        };
        for body in ["", " \n", "{}", r#"{"planId":null,"other":1}"#] {
            assert_eq!(
                AccessRequest::parse(body.as_bytes()),
                Ok(empty.clone()),
                "{body}"
            );
        }
    }

    #[test]
    fn bad_members_are_named() {
        for (body, part) in [
            ("{", "not JSON"),
            ("[]", "JSON object"),
            ("\"basic\"", "JSON object"),
            (r#"{"planId":1}"#, "planId must be a string"),
            (r#"{"planId":"a b"}"#, "planId must be 1 to 64"),
            (
                r#"{"planId":"a","requestId":"1"}"#,
                "requestId must be a UUID",
            ),
            (r#"{"planId":"a","resourceId":"a b"}"#, "resourceId must be"),
        ] {
            let error = AccessRequest::parse(body.as_bytes()).unwrap_err();
            assert!(error.message.contains(part), "{body}: {}", error.message);
        }
    }

    #[test]
    fn a_payment_of_version_1_is_told_so() {
        let mut headers = HeaderMap::new();
        headers.insert(X_PAYMENT, "e30=".parse().unwrap());
        assert_eq!(payment(&headers).err(), Some(Refusal::InvalidX402Version));
    }

    #[test]
    fn two_payments_are_refused_though_each_is_good() {
        let good = header::encode(&json!({
            "x402Version": 2,
            "accepted": {},
            "payload": {
                "signature": "0x00",
                "authorization": {
                    "from": format!("0x{}", "11".repeat(20)),
                    "to": format!("0x{}", "22".repeat(20)),
                    "value": "15000",
                    "validAfter": "0",
                    "validBefore": "1900000000",
                    "nonce": format!("0x{}", "33".repeat(32)),
                },
            },
        }))
        .unwrap();
        let with = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(PAYMENT_SIGNATURE, line.parse().unwrap());
            }
            payment(&headers).map(|payment| payment.is_some())
        };
        assert_eq!(with(&[&good]), Ok(true));
        assert_eq!(with(&[&good, &good]), Err(Refusal::InvalidPayload));
        let joined = format!("{good}, {good}");
        assert_eq!(with(&[&joined]), Err(Refusal::InvalidPayload));
    }

    proptest! {
        #[test]
        fn hostile_bodies_never_panic(body: Vec<u8>) {
            let _ = AccessRequest::parse(&body);
        }
    }
}
