//! Reads the headers of a request that name a purchase or pay.

use http::HeaderMap;

use crate::doors::access_request::AccessRequest;
use crate::error::Error;
use crate::types::RequestId;
use crate::x402::header;
use crate::x402::{Dialect, PaymentPayload, Refusal, Unreadable};

/// The header that names the purchase (draft-ietf-httpapi-idempotency-key-header), like `requestId` in the body.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MAX_KEY_CHARS: usize = 255;

/// Adds the request id from the headers to the body's request.
pub(super) fn named_by(
    mut request: AccessRequest,
    headers: &HeaderMap,
) -> Result<AccessRequest, Error> {
    let named = named(headers)?;
    if named.is_some() && request.request_id.is_some() && request.request_id != named {
        return Err(Error::invalid_request(
            "requestId and Idempotency-Key name different purchases: send one of them, or the same UUID in both.",
        ));
    }
    request.request_id = request.request_id.or(named);
    Ok(request)
}

/// The request id from `Idempotency-Key`, if it is sent. The draft requires quotes around the key; most clients send none.
pub(in crate::doors) fn named(headers: &HeaderMap) -> Result<Option<RequestId>, Error> {
    Ok(key(headers)?.map(RequestId::from_name))
}

/// The request id from `Idempotency-Key` for a call. Since a call's body is not ours, a client that was told a request
/// id that follows from a payment can send it back only in this header.
pub(in crate::doors) fn named_for_call(headers: &HeaderMap) -> Result<Option<RequestId>, Error> {
    let Some(key) = key(headers)? else {
        return Ok(None);
    };
    let told = key.parse().ok().filter(RequestId::is_derived);
    Ok(Some(told.unwrap_or_else(|| RequestId::from_name(key))))
}

/// The client's own name for what it asks for.
pub(in crate::doors) fn key(headers: &HeaderMap) -> Result<Option<&str>, Error> {
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
        Some(key) if values.next().is_none() => Ok(Some(key)),
        _ => Err(Error::invalid_request(
            "Idempotency-Key must be one text of 1 to 255 visible ASCII characters, a UUID for instance.",
        )),
    }
}

/// The payment, if there is one; if both headers are sent, the payment of version 2. Two payments in one header are
/// refused, even when a proxy has joined them with a comma, which is no base64.
pub(in crate::doors) fn payment(headers: &HeaderMap) -> Result<Option<PaymentPayload>, Unreadable> {
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
    use crate::json;
    use http::HeaderValue;

    use super::*;
    use crate::x402::header::{PAYMENT_SIGNATURE, X_PAYMENT};

    #[test]
    fn a_purchase_is_named_in_the_body_or_by_an_idempotency_key_or_in_both_alike() {
        let uuid = "550e8400-e29b-41d4-a716-446655440000";
        let read = |body: &str, keys: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static(key));
            }
            let request = AccessRequest::parse(body.as_bytes()).unwrap();
            let named = named_by(request, &headers).map_err(|error| error.message);
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
}
