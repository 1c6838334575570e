//! What holds for every token, not just for those somebody thought of.

use key0_validator::{ValidationError, Validator};
use proptest::prelude::*;

use crate::mint::*;

#[test]
fn no_single_byte_of_a_token_can_be_changed() {
    let validator = validator();
    let kid = format!(
        r#"{{"alg":"HS256","kid":"{}"}}"#,
        key0_validator::key_id(SECRET)
    );
    for header in [HEADER, &kid] {
        let good = bearer(header.as_bytes(), CLAIMS.as_bytes(), SECRET);
        for at in "Bearer ".len()..good.len() {
            for byte in (0..0x80_u8).filter(|byte| *byte != good.as_bytes()[at]) {
                let mut changed = good.clone();
                changed.replace_range(at..=at, char::from(byte).encode_utf8(&mut [0; 4]));
                let result = validator.validate_at(changed.as_str(), NOW);
                assert!(result.is_err(), "{at}: {byte}");
            }
        }
    }
}

#[test]
fn no_byte_can_be_taken_out_put_in_or_moved_to_the_next() {
    let validator = validator();
    let good = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    for at in "Bearer ".len()..good.len() {
        let mut shorter = good.clone();
        shorter.remove(at);
        assert!(validator.validate_at(shorter.as_str(), NOW).is_err());
        for inserted in ['A', '.', '=', '\n', '-'] {
            let mut longer = good.clone();
            longer.insert(at, inserted);
            assert!(
                validator.validate_at(longer.as_str(), NOW).is_err(),
                "{at}: {inserted:?}"
            );
        }
        if good
            .as_bytes()
            .get(at + 1)
            .is_some_and(|next| *next != good.as_bytes()[at])
        {
            let mut swapped = good.clone();
            let first = swapped.remove(at);
            swapped.insert(at + 1, first);
            assert!(validator.validate_at(swapped.as_str(), NOW).is_err());
        }
    }
}

/// JSON-like text: real JSON pieces in any order, so that the reader gets past the first byte.
fn json_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\"exp\":".to_owned()),
        Just("\"a\":".to_owned()),
        Just("null".to_owned()),
        Just("\\u".to_owned()),
        Just("\\ud83d".to_owned()),
        Just("1".to_owned()),
        Just("-0.5e+10".to_owned()),
        Just(" ".to_owned()),
        Just("\"sub\":\"x\"".to_owned()),
        "\\PC{0,3}",
        "[0-9eE.+-]{1,6}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Well-formed JSON of any kind, as another writer would spell it.
fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn validate(validator: &Validator, header: &[u8], payload: &[u8]) -> Result<(), ValidationError> {
    validator
        .validate_at(bearer(header, payload, SECRET).as_str(), NOW)
        .map(|_| ())
}

proptest! {
    #[test]
    fn any_header_value_is_judged_without_a_panic(
        value in any::<String>(),
        token in "[A-Za-z0-9_.-]{0,200}",
    ) {
        let scheme = "Bearer ";
        for authorization in [value.clone(), scheme.to_owned() + &value, scheme.to_owned() + &token] {
            prop_assert!(validator().validate_at(authorization.as_str(), NOW).is_err());
        }
    }

    #[test]
    fn any_signed_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(validate(&validator(), HEADER.as_bytes(), &bytes).is_err());
        prop_assert!(validate(&validator(), &bytes, CLAIMS.as_bytes()).is_err());
    }

    #[test]
    fn what_is_read_is_json_to_others_too(text in json_like()) {
        for part in [text.clone(), format!("{{{text}}}"), CLAIMS.replacen('{', &format!("{{{text},"), 1)] {
            let result = validate(&validator(), HEADER.as_bytes(), part.as_bytes());
            let unread = matches!(result, Err(ValidationError::MalformedClaims(_)));
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&part);
            prop_assert!(unread || theirs.is_ok(), "{}", part);
        }
    }

    #[test]
    fn what_others_write_is_read(extra in json(6)) {
        let mut claims: serde_json::Value = serde_json::from_str(CLAIMS).unwrap();
        claims["extra"] = extra;
        for text in [claims.to_string(), serde_json::to_string_pretty(&claims).unwrap()] {
            prop_assert_eq!(validate(&validator(), HEADER.as_bytes(), text.as_bytes()), Ok(()));
        }
    }

    #[test]
    fn no_changed_stretch_of_a_token_passes(at in 0..300_usize, stretch in "[A-Za-z0-9_.-]{1,40}") {
        let good = token(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
        let mut changed = good.clone();
        changed.replace_range(at..at + stretch.len(), &stretch);
        prop_assume!(changed != good);
        let changed = format!("Bearer {changed}");
        prop_assert!(validator().validate_at(changed.as_str(), NOW).is_err());
    }
}
