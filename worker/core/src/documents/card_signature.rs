//! The agent card's signature: a JWS (RFC 7515) over the canonical form of the card (RFC 8785). The JWS does not
//! contain the card itself.

use crate::json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::card_keys::CARD_KEYS_PATH;
use crate::types::{CardKey, HttpUrl};

/// The member of `signatures` for this card, which must be the pure 1.0 card without signatures: before they check,
/// readers leave out what version 1.0 does not know. `None` if the key cannot sign.
///
/// The signature is made anew for each request, which takes about a millisecond in wasm. The same card gets the same
/// signature, so its `ETag` stays the same.
pub(super) fn signature(card: &Value, key: &CardKey, origin: &HttpUrl) -> Option<Value> {
    let header = json!({
        "alg": "ES256",
        "jku": origin.join(CARD_KEYS_PATH),
        "kid": key.key_id(),
        "typ": "JOSE",
    });
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    // The compact text of serde_json is the canonical form here: its objects are sorted by name (the feature
    // `preserve_order` is off), all names are ASCII, no number is a fraction or large, and texts are escaped alike.
    let payload = URL_SAFE_NO_PAD.encode(card.to_string());
    let signature = key.sign(format!("{protected}.{payload}").as_bytes())?;
    Some(json!({
        "protected": protected,
        "signature": URL_SAFE_NO_PAD.encode(signature),
    }))
}

#[cfg(test)]
mod tests {
    use p256::EncodedPoint;
    use p256::ecdsa::signature::Verifier as _;
    use p256::ecdsa::{Signature, VerifyingKey};

    use super::super::{AgentCardVersion, agent_card, card_keys};
    use crate::config::{Config, test_config};
    use crate::types::TEST_CARD_KEY;

    use super::*;

    fn origin() -> HttpUrl {
        "https://shop.example".parse().unwrap()
    }

    fn signing() -> Config {
        let mut config = test_config();
        config.a2a.card_key = Some(CardKey::from_pem(TEST_CARD_KEY).unwrap());
        config
    }

    fn decoded(text: &Value) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
    }

    /// The published key to which the signature's header points.
    fn published(config: &Config, header: &Value) -> VerifyingKey {
        assert_eq!(header["jku"], origin().join(CARD_KEYS_PATH));
        let set = serde_json::to_value(card_keys(&config.a2a).unwrap()).unwrap();
        let key = &set["keys"][0];
        assert_eq!(key["kid"], header["kid"]);
        let [x, y] = ["x", "y"].map(|name| <[u8; 32]>::try_from(decoded(&key[name])).unwrap());
        let point = EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
        VerifyingKey::from_encoded_point(&point).unwrap()
    }

    /// Whether the signature of a card is good for this payload.
    fn is_good(config: &Config, card: &Value, payload: &str) -> bool {
        let signature = &card["signatures"][0];
        let header: Value = serde_json::from_slice(&decoded(&signature["protected"])).unwrap();
        assert_eq!(header["alg"], "ES256");
        assert_eq!(header["typ"], "JOSE");
        let protected = signature["protected"].as_str().unwrap();
        let input = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = Signature::from_slice(&decoded(&signature["signature"])).unwrap();
        let key = published(config, &header);
        key.verify(input.as_bytes(), &signature).is_ok()
    }

    /// The signed part of a card: without its signatures, and without members that A2A 1.0 does not know.
    fn signed_part(card: &Value) -> Value {
        let mut card = card.clone();
        for name in ["signatures", "url", "preferredTransport", "protocolVersion"] {
            card.as_object_mut().unwrap().remove(name);
        }
        card
    }

    /// The canonical form (RFC 8785) of objects whose names are ASCII and which have no numbers, written here without
    /// serde_json.
    fn canonical(value: &Value) -> String {
        match value {
            Value::Object(members) => {
                let mut names: Vec<_> = members.keys().collect();
                names.sort_by_key(|name| name.encode_utf16().collect::<Vec<_>>());
                let members = names.into_iter().map(|name| {
                    assert!(name.is_ascii(), "{name}");
                    format!("\"{name}\":{}", canonical(&members[name]))
                });
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(canonical).collect();
                format!("[{}]", items.join(","))
            }
            Value::String(text) => {
                let escaped = text.chars().map(|character| match character {
                    '"' => "\\\"".to_owned(),
                    '\\' => "\\\\".to_owned(),
                    '\u{8}' => "\\b".to_owned(),
                    '\t' => "\\t".to_owned(),
                    '\n' => "\\n".to_owned(),
                    '\u{c}' => "\\f".to_owned(),
                    '\r' => "\\r".to_owned(),
                    control @ '\0'..='\u{1f}' => format!("\\u{:04x}", u32::from(control)),
                    other => other.to_string(),
                });
                format!("\"{}\"", escaped.collect::<String>())
            }
            Value::Bool(value) => value.to_string(),
            Value::Null | Value::Number(_) => panic!("no such value is in a card"),
        }
    }

    #[test]
    fn both_forms_carry_one_signature_that_the_published_key_verifies() {
        let config = signing();
        let forms = [AgentCardVersion::V1_0, AgentCardVersion::Hybrid];
        let [pure, hybrid] = forms.map(|version| agent_card(&config, &origin(), version));
        assert_eq!(pure["signatures"], hybrid["signatures"]);
        assert_eq!(pure["signatures"].as_array().unwrap().len(), 1);
        for card in [&pure, &hybrid] {
            assert!(is_good(&config, card, &canonical(&signed_part(card))));
        }
        assert_eq!(
            pure,
            agent_card(&config, &origin(), AgentCardVersion::V1_0),
            "the same card again"
        );
    }

    #[test]
    fn no_byte_of_a_signed_card_can_be_changed() {
        let config = signing();
        let card = agent_card(&config, &origin(), AgentCardVersion::V1_0);
        let payload = canonical(&signed_part(&card));
        for (part, other) in [
            ("https://shop.example/a2a", "https://shop.example/a2b"),
            ("$0.015", "$0.016"),
            ("0x209693Bc", "0x309693Bc"),
        ] {
            let changed = payload.replacen(part, other, 1);
            assert_ne!(changed, payload);
            assert!(!is_good(&config, &card, &changed), "{other}");
        }
    }

    #[test]
    fn any_text_of_a_card_is_signed_in_its_canonical_form() {
        let mut config = signing();
        let plans = r#"[
            {"planId":"b","unitAmount":"$1","description":"é\u0000\u0001\u0008\u0009\u000a\u000c\u000d\u001f\u007f\u2028\ud83d\ude00\"\\/"},
            {"planId":"a","unitAmount":"$2"}
        ]"#;
        config.catalog = crate::catalog::Catalog::from_json(plans).unwrap();
        let card = agent_card(&config, &origin(), AgentCardVersion::V1_0);
        assert!(is_good(&config, &card, &canonical(&signed_part(&card))));
    }

    #[test]
    fn the_signature_of_a_fixed_card_is_fixed() {
        let card = json!({"version": "1", "name": "é", "capabilities": {"streaming": false}});
        let key = CardKey::from_pem(TEST_CARD_KEY).unwrap();
        let signature = signature(&card, &key, &origin()).unwrap();
        assert_eq!(
            decoded(&signature["protected"]),
            br#"{"alg":"ES256","jku":"https://shop.example/.well-known/agent-card-keys.json","kid":"DOvxvJiAdIqVWIkFt5hDtCunXLF0BV4-JGv4f-ALSm0","typ":"JOSE"}"#
        );
        assert_eq!(
            signature["signature"],
            "7NvFdKd6I9ZHliTfjzxLOdh8W-2QDDhcwkVPhENlwhm0nYi8XYeppfoxrZXjn2MQs_it7Ug_yqmA6WP41pqwrg"
        );
    }

    #[test]
    fn without_a_key_nothing_is_signed_and_no_key_is_published() {
        let config = test_config();
        let card = agent_card(&config, &origin(), AgentCardVersion::Hybrid);
        assert!(card["signatures"].is_null());
        assert!(card_keys(&config.a2a).is_none());
    }
}
