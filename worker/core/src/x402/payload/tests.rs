use proptest::prelude::*;

use super::*;
use crate::purchase::test_offer;

fn payload() -> Value {
    json!({
        "x402Version": 2,
        "accepted": serde_json::to_value(PaymentRequirements::new(&test_offer())).unwrap(),
        "payload": {
            "signature": format!("0x{}", "ab".repeat(65)),
            "authorization": {
                "from": "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
                "to": "0x209693bc6afc0c5328ba36faf03c514ef312287c",
                "value": "15000",
                "validAfter": "0",
                "validBefore": "1900000000",
                "nonce": format!("0x{}", "11".repeat(32)),
            },
        },
    })
}

#[test]
fn a_payment_is_read_with_floats_and_nulls() {
    let mut value = payload();
    value["x402Version"] = json!(2.0);
    value["extensions"] = Value::Null;
    let payment = PaymentPayload::parse(Dialect::X402V2, &value).unwrap();
    assert_eq!(payment.authorization.value, U256::from(15_000));
    assert_eq!(payment.signature.len(), 65);
    assert!(payment.challenge_id().is_some());
}

/// The error for a payment in which one member was changed, or removed.
fn unreadable(dialect: Dialect, path: &str, value: Option<Value>) -> Unreadable {
    let mut changed = payload();
    changed["x402Version"] = json!(dialect.x402_version());
    let (parent, name) = path.rsplit_once('/').unwrap();
    let members = changed.pointer_mut(parent).unwrap();
    let members = members.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    PaymentPayload::parse(dialect, &changed).unwrap_err()
}

#[test]
fn each_malformed_member_is_named_with_what_belongs_there() {
    let text = |value: &str| Some(json!(value));
    let number = Some(json!(15_000));
    let null = Some(Value::Null);
    for (path, value, expected) in [
        ("/x402Version", None, "is missing: it must be the number 2"),
        ("/x402Version", text("2"), "must be the number 2"),
        (
            "/accepted",
            None,
            "is missing: it must be the entry of `accepts`",
        ),
        (
            "/accepted",
            null.clone(),
            "is null: it must be the entry of `accepts`",
        ),
        ("/accepted", text("x"), "must be the entry of `accepts`"),
        ("/payload", None, "must be an object"),
        (
            "/payload",
            Some(json!([])),
            "is a list: it must be an object",
        ),
        ("/payload/signature", None, "is missing"),
        ("/payload/signature", text("0xzz"), "0x and an even number"),
        ("/payload/signature", text("1122"), "0x and an even number"),
        ("/payload/signature", Some(json!(1)), "is a number"),
        (
            "/payload/authorization",
            null,
            "is null: it must be an object",
        ),
        (
            "/payload/authorization/from",
            text("0x7E5F"),
            "40 hex digits",
        ),
        ("/payload/authorization/to", None, "40 hex digits"),
        ("/payload/authorization/value", text("-1"), "decimal digits"),
        (
            "/payload/authorization/value",
            text("1e3"),
            "decimal digits",
        ),
        ("/payload/authorization/value", text(""), "decimal digits"),
        (
            "/payload/authorization/value",
            number.clone(),
            "is a number: it must be a text of decimal digits",
        ),
        (
            "/payload/authorization/validAfter",
            number.clone(),
            "is a number: it must be a text",
        ),
        (
            "/payload/authorization/validBefore",
            number,
            "is a number: it must be a text",
        ),
        (
            "/payload/authorization/validBefore",
            Some(json!("9".repeat(79))),
            "decimal digits",
        ),
        (
            "/payload/authorization/nonce",
            text("0x11"),
            "64 hex digits",
        ),
        (
            "/payload/authorization/nonce",
            Some(json!("11".repeat(32))),
            "0x and 64 hex digits",
        ),
    ] {
        let fault = unreadable(Dialect::X402V2, path, value);
        assert_eq!(fault.refusal, Refusal::InvalidPayload, "{path}");
        let member = path.trim_start_matches('/').replace('/', ".");
        assert_eq!(fault.member, Some(member.as_str()), "{path}");
        assert!(
            fault.message.contains(&format!("`{member}`")),
            "{}",
            fault.message
        );
        assert!(
            fault.message.contains(expected),
            "{path}: {}",
            fault.message
        );
    }
    let version1 = unreadable(Dialect::X402V1, "/x402Version", Some(json!("1")));
    assert!(
        version1.message.contains("the number 1"),
        "{}",
        version1.message
    );
    let mut named = payload();
    named["extensions"] = json!({"payment-identifier": {"info": {"id": "short"}}});
    let fault = PaymentPayload::parse(Dialect::X402V2, &named).unwrap_err();
    assert_eq!(fault.member, Some("extensions.payment-identifier.info.id"));
}

#[test]
fn a_time_in_milliseconds_is_refused_and_one_that_means_for_ever_is_not() {
    let path = "/payload/authorization/validBefore";
    for digits in ["1800000000000", "1000000000000", "999999999999999"] {
        let fault = unreadable(Dialect::X402V2, path, Some(json!(digits)));
        assert_eq!(fault.member, Some("payload.authorization.validBefore"));
        let said = "is in milliseconds: it must be in seconds since 1970. Nothing was charged";
        assert!(fault.message.contains(said), "{}", fault.message);
    }
    for digits in [
        "999999999999".to_owned(),
        "1000000000000000".to_owned(),
        u64::MAX.to_string(),
        U256::MAX.to_string(),
    ] {
        let mut long = payload();
        long["payload"]["authorization"]["validBefore"] = json!(digits);
        let payment = PaymentPayload::parse(Dialect::X402V2, &long).unwrap();
        assert_eq!(payment.authorization.valid_before.to_string(), digits);
    }
}

#[test]
fn a_payment_of_the_other_version_is_told_which_header_is_its_own() {
    let mut version = payload();
    version["x402Version"] = json!(1);
    assert_eq!(
        PaymentPayload::parse(Dialect::X402V2, &version).err(),
        Some(Refusal::InvalidX402Version.into())
    );
}

proptest! {
    #[test]
    fn numbers_beyond_uint256_are_refused(text in "[0-9]{78}") {
        let parsed = decimal(&text);
        prop_assert_eq!(parsed.is_some(), text.as_str() <= "115792089237316195423570985008687907853269984665640564039457584007913129639935");
    }
}
