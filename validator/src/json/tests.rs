//! What is JSON here and what is not.

use super::*;

fn accepts(text: &str) -> bool {
    read_object(text, |_, _| ()).is_ok()
}

#[test]
fn json_objects_are_accepted() {
    for text in [
        "{}",
        " \t\r\n{ } ",
        r#"{"a":1,"b":-0.5e+10,"c":"x","d":[],"e":[1,{"a":null}],"f":true,"g":false}"#,
        r#"{"\u00e9":"\ud83d\ude00 \" \\ \/ \b\f\n\r\t"}"#,
        r#"{"a":{"a":1},"b":{"a":1}}"#,
        r#"{"":0}"#,
        "{\"é\":\"\u{7f}\"}",
    ] {
        assert!(accepts(text), "{text}");
    }
}

#[test]
fn anything_else_is_refused() {
    for text in [
        "",
        " ",
        "null",
        "1",
        "[]",
        "\"a\"",
        "{",
        "}",
        "{}}",
        "{}{}",
        "{} x",
        "\u{feff}{}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":-}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":0x1}",
        "{\"a\":tru}",
        "{\"a\":True}",
        "{\"a\":nul",
        "{\"a\":[1,]}",
        "{\"a\":[1",
        "{\"a\":[,1]}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\u{0}\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\",
        "{\"a\":\"\\u",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\ud800\"}",
        "{\"a\":\"\\ud800\\n\"}",
        "{\"a\":\"\\u+123\"}",
        "{\"a\":1}/**/",
        "{\u{a0}}",
    ] {
        assert!(!accepts(text), "{text}");
    }
}

#[test]
fn a_name_stands_once_in_an_object_however_it_is_spelt() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"\u0061":1}"#,
        r#"{"\u0061":1,"\u0061":1}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        r#"{"x":[{"a":1,"a":2}]}"#,
    ] {
        assert_eq!(
            read_object(text, |_, _| ()),
            Err(Flaw::DuplicateName),
            "{text}"
        );
    }
}

/// Names that have the first bytes in common, or the length, and those at the very end of a text.
#[test]
fn names_that_look_alike_are_different() {
    for text in [
        r#"{"abcdefgh":1,"abcdefgi":1,"abcdefg":1,"abcdef":1}"#,
        r#"{"":1,"\u0000":1,"a":1,"aa":1}"#,
        "{\"a\":1,\"a\u{0}\":1}",
        r#"{"a":1,"b":{"a":1}}"#,
    ] {
        let expected = !text.contains('\0');
        assert_eq!(accepts(text), expected, "{text}");
    }
    for text in [
        r#"{"abcdefgh":1,"abcdefgh":1}"#,
        r#"{"":1,"":1}"#,
        r#"{"x":1,"y":2,"x":3}"#,
        r#"{"a":1,"":0,"":0}"#,
    ] {
        let outcome = read_object(text, |_, _| ());
        assert_eq!(outcome, Err(Flaw::DuplicateName), "{text}");
    }
}

#[test]
fn depth_and_number_of_members_are_bounded() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(accepts(&nested(15)));
    assert_eq!(read_object(&nested(16), |_, _| ()), Err(Flaw::TooBig));
    assert_eq!(read_object(&nested(4000), |_, _| ()), Err(Flaw::TooBig));
    let wide = |count: usize| {
        let members: Vec<_> = (0..count).map(|i| format!("\"{i}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(accepts(&wide(32)));
    assert_eq!(read_object(&wide(33), |_, _| ()), Err(Flaw::TooBig));
}

#[test]
fn escapes_are_read_as_what_they_spell() {
    let text = r#"{"a":"\ud83d\ude00x\u0041\"\\\/\b\f\n\r\té"}"#;
    let mut read = String::new();
    read_object(text, |_, value| {
        let Value::Text(value) = value else { panic!() };
        read = value.read(text).into_owned();
    })
    .unwrap();
    assert_eq!(read, "😀xA\"\\/\u{8}\u{c}\n\r\té");
}

#[test]
fn seconds_are_exact_and_saturate() {
    for (number, floor, ceil) in [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("-1", 0, 0),
        ("-0.5", 0, 0),
        ("1700000000", 1_700_000_000, 1_700_000_000),
        ("1700000000.0", 1_700_000_000, 1_700_000_000),
        ("1700000000.5", 1_700_000_000, 1_700_000_001),
        (
            "1700000000.0000000000000000000000000001",
            1_700_000_000,
            1_700_000_001,
        ),
        ("1.7e9", 1_700_000_000, 1_700_000_000),
        ("0.00000000017e+19", 1_700_000_000, 1_700_000_000),
        ("17000000005E-1", 1_700_000_000, 1_700_000_001),
        ("1e-400", 0, 1),
        ("0e400", 0, 0),
        (
            "9007199254740993",
            9_007_199_254_740_993,
            9_007_199_254_740_993,
        ),
        ("18446744073709551615", u64::MAX, u64::MAX),
        ("18446744073709551616", u64::MAX, u64::MAX),
        ("1e400", u64::MAX, u64::MAX),
        ("1e99999999999999999999", u64::MAX, u64::MAX),
        ("1e-99999999999999999999", 0, 1),
        ("-1e99999999999999999999", 0, 0),
    ] {
        assert_eq!(Seconds::read(number), Seconds { floor, ceil }, "{number}");
    }
}
