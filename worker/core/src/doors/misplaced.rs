//! Payments in places where no payment is read. If such a payment were ignored, the client would get the offer that it
//! has paid, again and again.

use crate::json;
use http::HeaderMap;
use serde_json::{Map, Value};

use super::near::{self, MAX_NAME};
use crate::error::Error;
use crate::response::MAX_PAYMENT_HEADER_CHARS;
use crate::x402::header::{self, PAYMENT_SIGNATURE, X_PAYMENT};

/// Names that clients give a payment, in lower case and without separators.
const NAMES: [&str; 6] = [
    "payment",
    "paymentpayload",
    "paymentsignature",
    "xpayment",
    "x402payment",
    "x402/payment",
];

/// Where a request has a payment that belongs elsewhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// The object that should say what is wanted is itself a payment.
    Whole,
    /// This member of the object is a payment.
    Member(String),
    /// This header has a payment.
    Header(String),
}

impl Place {
    /// The error that tells the client where the payment was found, and that nothing was paid with it. `object` names
    /// the object, and `right` continues the words "send it".
    pub(super) fn error(&self, object: &str, right: &str) -> Error {
        let (place, name) = match self {
            Self::Whole => (format!("The {object} as a whole"), None),
            Self::Member(name) if name.len() > MAX_NAME => {
                (format!("A member of the {object}"), None)
            }
            Self::Member(name) => (format!("`{name}` in the {object}"), Some(name)),
            Self::Header(name) => (format!("The header `{name}`"), Some(name)),
        };
        let error = Error::invalid_request(format!(
            "{place} looks like a payment, and none is read there: send it {right}. Nothing was charged for this request."
        ));
        match name {
            Some(name) => error.with_details(json!({"member": name})),
            None => error,
        }
    }
}

/// Finds a payment in an object: the object itself, or one of its members.
pub(super) fn within(object: &Value) -> Option<Place> {
    match is_whole(object) {
        true => Some(Place::Whole),
        false => among(object.as_object()?),
    }
}

/// Finds a member that is named after payments, or that holds one.
pub(super) fn among(members: &Map<String, Value>) -> Option<Place> {
    let (name, _) = members.iter().find(|(name, value)| {
        is_payment(value) || (value.is_object() && NAMES.contains(&near::bare(name).as_str()))
    })?;
    Some(Place::Member(name.clone()))
}

/// Finds a payment in another header than the two that are read. Only headers named after payments are looked at.
pub(super) fn in_header(headers: &HeaderMap) -> Option<Place> {
    let mut lines = headers.iter();
    let (name, _) = lines.find(|(name, value)| {
        let name = name.as_str();
        name.contains("payment")
            && ![PAYMENT_SIGNATURE, X_PAYMENT].contains(&name)
            && value.to_str().is_ok_and(is_written)
    })?;
    Some(Place::Header(name.as_str().to_owned()))
}

/// Whether `value` looks like an x402 payment of version 1 or 2: as an object, or as text in JSON or base64.
fn is_payment(value: &Value) -> bool {
    match value {
        Value::String(text) => is_written(text),
        object => is_whole(object),
    }
}

fn is_written(text: &str) -> bool {
    let json = || serde_json::from_str::<Value>(text).ok();
    text.len() <= MAX_PAYMENT_HEADER_CHARS
        && header::decode(text)
            .or_else(json)
            .is_some_and(|value| is_whole(&value))
}

fn is_whole(value: &Value) -> bool {
    let has = |name| value.get(name).is_some_and(|member| !member.is_null());
    (has("x402Version") && has("payload")) || (has("authorization") && has("signature"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x402::header::encode;

    fn held_as(name: &str, value: &Value) -> Value {
        json!({"planId": "basic", name: value})
    }

    fn at(name: &str) -> Option<Place> {
        Some(Place::Member(name.to_owned()))
    }

    #[test]
    fn a_payment_is_known_by_its_name_or_by_what_it_holds() {
        let payment = json!({"x402Version": 2, "accepted": {}, "payload": {}});
        let signed = json!({"authorization": {}, "signature": "0x"});
        for held in [
            payment.clone(),
            signed,
            json!(payment.to_string()),
            json!(encode(&payment).unwrap()),
        ] {
            assert_eq!(within(&held), held.is_object().then_some(Place::Whole));
            assert_eq!(
                within(&held_as("whatever", &held)),
                at("whatever"),
                "{held}"
            );
        }
        for name in [
            "payment",
            "paymentPayload",
            "PAYMENT-SIGNATURE",
            "X-Payment",
            "x402_payment",
            "x402/payment",
        ] {
            assert_eq!(within(&held_as(name, &json!({}))), at(name));
        }
    }

    #[test]
    fn what_only_speaks_of_payments_is_none() {
        let offer = json!({"x402Version": 2, "accepts": [], "resource": {}});
        for object in [
            json!({"planId": "basic", "payment": "x402"}),
            json!({"payment": null, "payments": {}}),
            json!({"offer": offer, "text": encode(&offer).unwrap()}),
            json!({"x402Version": 2, "payload": null}),
            json!([1]),
            json!({"long": "x".repeat(MAX_PAYMENT_HEADER_CHARS + 1)}),
        ] {
            assert_eq!(within(&object), None, "{object}");
        }
    }

    #[test]
    fn a_header_is_misplaced_when_it_is_named_after_payments_and_holds_one() {
        let payment = encode(&json!({"x402Version": 2, "payload": {}})).unwrap();
        let found = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            in_header(&headers)
        };
        for name in ["payment", "x-payment-signature", "x402-payment"] {
            assert_eq!(found(name, &payment), Some(Place::Header(name.to_owned())));
            assert_eq!(found(name, "x402"), None);
        }
        for name in ["payment-signature", "x-payment", "x-other"] {
            assert_eq!(found(name, &payment), None, "{name}");
        }
    }
}
