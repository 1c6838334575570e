//! What a client sends: the body that says what it wants, and the header that pays for it.

use core::str::FromStr;

use http::HeaderMap;
use serde_json::{Value, json};

use super::proof;
use crate::checkout::{Order, TransferProof};
use crate::error::Error;
use crate::offer::Target;
use crate::pauses::Patience;
use crate::types::{IdError, PlanId, RequestId, ResourceId};
use crate::x402::header;
use crate::x402::{Dialect, PaymentPayload, Refusal, Unreadable};

/// Names the purchase (draft-ietf-httpapi-idempotency-key-header), like `requestId` in the body.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MAX_KEY_CHARS: usize = 255;

/// What the client wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AccessRequest {
    /// The plan; `None` when it named none.
    plan: Option<PlanId>,
    /// The purchase, when the client chose an id.
    request_id: Option<RequestId>,
    /// The resource, when the client named one.
    resource: Option<ResourceId>,
    /// The transfer by which it has paid, when it presents one.
    pub(super) proof: Option<TransferProof>,
    /// Whether the body has a member that is not known here, and a value.
    is_strange: bool,
    /// A member that was meant for a known one, which stands second.
    near_miss: Option<(&'static str, &'static str)>,
}

const KNOWN: [&str; 4] = ["planId", "requestId", "resourceId", "proof"];
/// What clients write instead, without regard to case and separators.
const NEAR: [(&str, &str); 13] = [
    ("plan", "planId"),
    ("planid", "planId"),
    ("planname", "planId"),
    ("tier", "planId"),
    ("tierid", "planId"),
    ("product", "planId"),
    ("productid", "planId"),
    ("request", "requestId"),
    ("requestid", "requestId"),
    ("resource", "resourceId"),
    ("resourceid", "resourceId"),
    ("txhash", "proof"),
    ("challengeid", "proof"),
];

impl AccessRequest {
    /// Adds the purchase that the headers name.
    pub(super) fn named_by(mut self, headers: &HeaderMap) -> Result<Self, Error> {
        let named = named(headers)?;
        if named.is_some() && self.request_id.is_some() && self.request_id != named {
            return Err(Error::invalid_request(
                "requestId and Idempotency-Key name different purchases: send one of them, or the same UUID in both.",
            ));
        }
        self.request_id = self.request_id.or(named);
        Ok(self)
    }

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
        let mut strange = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| !value.is_null() && !KNOWN.contains(&name.as_str()))
            .map(|(name, _)| name)
            .peekable();
        Ok(Self {
            is_strange: strange.peek().is_some(),
            near_miss: strange.find_map(|name| near(name)),
            plan: member(&value, "planId")?,
            request_id: member(&value, "requestId")?,
            resource: member(&value, "resourceId")?,
            proof: match value.get("proof") {
                None | Some(Value::Null) => None,
                Some(proof) => Some(proof::parse(proof)?),
            },
        })
    }

    /// What it asks for.
    pub(super) fn order(&self) -> Order {
        Order {
            target: self.plan.clone().map(Target::Plan),
            resource: self.resource.clone(),
            request_id: self.request_id.clone(),
            chosen: self.request_id.is_some(),
            patience: Patience::REQUEST,
        }
    }

    /// What is wrong with a body that names no plan and asks for something all the same: it would be sold what it did not mean.
    /// One that asks for nothing in particular gets offers.
    pub(super) fn misunderstood(&self, catalog: &str) -> Option<Error> {
        if self.plan.is_some() || !self.is_strange {
            return None;
        }
        let hint = self.near_miss.map_or_else(String::new, |(sent, meant)| {
            format!(" Instead of a member like `{sent}` send `{meant}`.")
        });
        let details = match self.near_miss {
            None => json!({"discover": catalog}),
            Some((_, meant)) => json!({"discover": catalog, "expected": meant}),
        };
        let error = Error::invalid_request(format!(
            "planId is missing, and the body has members that are not known here.{hint} GET {catalog} lists the plans; send \
             {{\"planId\": \"…\"}}, or {{}} to be offered the cheapest."
        ));
        Some(error.with_details(details))
    }
}

fn near(name: &str) -> Option<(&'static str, &'static str)> {
    let bare: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    NEAR.into_iter().find(|(known, _)| *known == bare)
}

/// The purchase that the headers name, if they name one. The draft wants the key in quotes, and most clients send it without.
pub(super) fn named(headers: &HeaderMap) -> Result<Option<RequestId>, Error> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().ok().map(str::trim).map(|text| {
        let inner = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        inner.unwrap_or(text)
    });
    match key.filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len())) {
        Some(key) if values.next().is_none() => Ok(Some(RequestId::from_name(key))),
        _ => Err(Error::invalid_request(
            "Idempotency-Key must be one text of 1 to 255 visible ASCII characters, a UUID for instance.",
        )),
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

/// The payment, if there is one; where headers of both versions are sent, that of version 2. Proxies join repeated headers
/// with a comma, which base64 does not contain.
pub(super) fn payment(headers: &HeaderMap) -> Result<Option<PaymentPayload>, Unreadable> {
    let mut dialects = Dialect::ALL.into_iter();
    let Some(dialect) = dialects.find(|dialect| headers.contains_key(dialect.payment_header()))
    else {
        return Ok(None);
    };
    let mut values = headers.get_all(dialect.payment_header()).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| Refusal::InvalidPayload)?;
    if values.next().is_some() || text.contains(',') {
        return Err(Refusal::InvalidPayload.into());
    }
    let value = header::decode(text).ok_or(Refusal::InvalidPayload)?;
    PaymentPayload::parse(dialect, &value).map(Some)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::x402::header::{PAYMENT_SIGNATURE, X_PAYMENT};

    #[test]
    fn members_are_optional_and_null_is_absence() {
        let empty = AccessRequest {
            plan: None,
            request_id: None,
            resource: None,
            proof: None,
            is_strange: false,
            near_miss: None,
        };
        for body in ["", " \n", "{}", r#"{"planId":null,"other":null}"#] {
            assert_eq!(
                AccessRequest::parse(body.as_bytes()),
                Ok(empty.clone()),
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_that_asks_for_something_unknown_is_not_taken_for_an_empty_one() {
        let said = |body: &str| {
            let request = AccessRequest::parse(body.as_bytes()).unwrap();
            let error = request.misunderstood("https://shop.example/discover");
            error.map(|error| error.message.into_owned())
        };
        for body in [
            "",
            "{}",
            r#"{"resourceId":"a"}"#,
            r#"{"planId":"a","plan":"b"}"#,
        ] {
            assert_eq!(said(body), None, "{body}");
        }
        for (body, hint) in [
            (r#"{"other":1}"#, "{\"planId\": \"…\"}"),
            (r#"{"plan":"basic"}"#, "send `planId`"),
            (r#"{"plan_id":"basic"}"#, "send `planId`"),
            (r#"{"PlanID":"basic"}"#, "send `planId`"),
            (r#"{"a":1,"requestID":"x"}"#, "send `requestId`"),
            (r#"{"resource_id":"x"}"#, "send `resourceId`"),
            (r#"{"txHash":"0x"}"#, "send `proof`"),
        ] {
            let message = said(body).unwrap();
            assert!(message.contains(hint), "{body}: {message}");
            assert!(message.contains("https://shop.example/discover"));
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
    fn a_purchase_is_named_in_the_body_or_by_an_idempotency_key_or_in_both_alike() {
        let uuid = "550e8400-e29b-41d4-a716-446655440000";
        let read = |body: &str, keys: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static(key));
            }
            let request = AccessRequest::parse(body.as_bytes()).unwrap();
            let named = request.named_by(&headers).map_err(|error| error.message);
            named.map(|request| request.request_id.map(|id| id.as_str().to_owned()))
        };
        let its = Ok(Some(uuid.to_owned()));
        assert_eq!(read("", &[]), Ok(None));
        assert_eq!(read("", &[uuid]), its);
        assert_eq!(read("", &["\"550E8400-e29b-41d4-a716-446655440000\""]), its);
        let body = format!(r#"{{"requestId":"{uuid}"}}"#);
        assert_eq!((read(&body, &[]), read(&body, &[uuid])), (its.clone(), its));
        let text = RequestId::from_name("order 1").as_str().to_owned();
        assert_eq!(read("", &["order 1"]), Ok(Some(text)));
        assert!(read(&body, &["order 1"]).unwrap_err().contains("different"));
        for keys in [&[""][..], &["\"\""], &[uuid, uuid]] {
            assert!(read("", keys).unwrap_err().contains("one text"), "{keys:?}");
        }
    }

    fn text(version: u32) -> HeaderValue {
        let payment = json!({
            "x402Version": version,
            "scheme": "exact",
            "network": "base-sepolia",
            "accepted": {},
            "payload": {
                "signature": "0x",
                "authorization": {
                    "from": "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
                    "to": "0x209693bc6afc0c5328ba36faf03c514ef312287c",
                    "value": "15000",
                    "validAfter": "0",
                    "validBefore": "1900000000",
                    "nonce": format!("0x{}", "11".repeat(32)),
                },
            },
        });
        header::encode(&payment).unwrap().parse().unwrap()
    }

    fn read(lines: &[(&'static str, HeaderValue)]) -> Result<Option<Dialect>, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.clone());
        }
        payment(&headers)
            .map(|payment| payment.map(|payment| payment.dialect))
            .map_err(|fault| fault.refusal)
    }

    #[test]
    fn each_version_has_its_header_and_version_2_goes_first() {
        let garbage = HeaderValue::from_static("!");
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[(X_PAYMENT, text(1))]), Ok(Some(Dialect::X402V1)));
        assert_eq!(
            read(&[(PAYMENT_SIGNATURE, text(2))]),
            Ok(Some(Dialect::X402V2))
        );
        for ignored in [text(1), text(2), garbage.clone()] {
            let both = [(X_PAYMENT, ignored), (PAYMENT_SIGNATURE, text(2))];
            assert_eq!(read(&both), Ok(Some(Dialect::X402V2)));
        }
        for (name, number) in [(X_PAYMENT, 2), (PAYMENT_SIGNATURE, 1), (X_PAYMENT, 3)] {
            assert_eq!(
                read(&[(name, text(number))]),
                Err(Refusal::InvalidX402Version)
            );
        }
        let hidden = [(X_PAYMENT, text(1)), (PAYMENT_SIGNATURE, garbage)];
        assert_eq!(read(&hidden), Err(Refusal::InvalidPayload));
    }

    #[test]
    fn two_payments_are_refused() {
        for (name, number) in [(X_PAYMENT, 1), (PAYMENT_SIGNATURE, 2)] {
            let twice = [(name, text(number)), (name, text(number))];
            assert_eq!(read(&twice), Err(Refusal::InvalidPayload));
            let one = text(number);
            let joined = format!("{0}, {0}", one.to_str().unwrap());
            assert_eq!(
                read(&[(name, joined.parse().unwrap())]),
                Err(Refusal::InvalidPayload)
            );
        }
    }

    proptest! {
        #[test]
        fn hostile_bodies_never_panic(body: Vec<u8>) {
            let _ = AccessRequest::parse(&body);
        }
    }
}
