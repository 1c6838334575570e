//! Payment headers: base64 of JSON. They are written strictly and read leniently.
//! <https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/http.md>

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::Serialize;
use serde_json::Value;

use crate::response::MAX_PAYMENT_HEADER_CHARS;

/// The header with our offers, in a 402.
pub const PAYMENT_REQUIRED: &str = "payment-required";
/// The header with the client's payment.
pub const PAYMENT_SIGNATURE: &str = "payment-signature";
/// The header with the client's payment in x402 version 1.
pub const X_PAYMENT: &str = "x-payment";
/// The header with the outcome of the payment.
pub const PAYMENT_RESPONSE: &str = "payment-response";
/// The header with the outcome of the payment in x402 version 1.
pub const X_PAYMENT_RESPONSE: &str = "x-payment-response";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Writes a header's value in the standard alphabet and padded: the only form that every client reads.
pub fn encode(value: &impl Serialize) -> Option<String> {
    serde_json::to_vec(value)
        .ok()
        .map(|json| STANDARD.encode(json))
}

/// Reads a header's JSON object. `None` for anything else, or when the header is too long.
pub fn decode(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_PAYMENT_HEADER_CHARS {
        return None;
    }
    let standard: String = text
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    let json = LENIENT.decode(standard).ok()?;
    serde_json::from_slice::<Value>(&json)
        .ok()
        .filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use crate::json;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_alphabets_with_and_without_padding_are_read() {
        let value = json!({"a": "??>>~~", "b": 1});
        let padded = encode(&value).unwrap();
        assert!(padded.contains('+') || padded.contains('/'));
        let url_safe = padded.replace('+', "-").replace('/', "_");
        for text in [
            padded.clone(),
            padded.trim_end_matches('=').to_owned(),
            url_safe.trim_end_matches('=').to_owned(),
            format!("  {padded}\t"),
        ] {
            assert_eq!(decode(&text), Some(value.clone()), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "!!!", "eyJ", "W10=", "MQ==", "a, b"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_that_is_too_long_is_refused_whatever_it_says() {
        let of_length = |chars: usize| {
            let bare = json!({"a": ""}).to_string().len();
            encode(&json!({"a": "x".repeat(chars / 4 * 3 - bare)})).unwrap()
        };
        let longest = of_length(MAX_PAYMENT_HEADER_CHARS);
        assert_eq!(longest.len(), MAX_PAYMENT_HEADER_CHARS);
        assert!(decode(&longest).is_some());
        assert_eq!(decode(&of_length(MAX_PAYMENT_HEADER_CHARS + 4)), None);
    }

    proptest! {
        #[test]
        fn hostile_headers_never_panic(text in ".{0,300}") {
            let _ = decode(&text);
        }

        #[test]
        fn what_is_written_is_read(text in ".{0,100}", number: u32) {
            let value = json!({"text": text, "number": number});
            prop_assert_eq!(decode(&encode(&value).unwrap()), Some(value));
        }
    }
}
