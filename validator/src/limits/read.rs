//! Reads the limits from a claim.

use super::{Limits, Period, Quota, Rate};
use crate::json::{Span, Value, read_object};

impl Limits {
    /// Reads the claim as it was signed. `None` if a limit has another form than a gateway's; limits of other kinds are
    /// passed over.
    pub(crate) fn read(claim: &str) -> Option<Self> {
        let [mut quota, mut rate, mut concurrency] = [None; 3];
        read_object(claim, |name, value| match &*name.read(claim) {
            "quota" => quota = Some(value),
            "rate" => rate = Some(value),
            "concurrency" => concurrency = Some(value),
            _ => (),
        })
        .ok()?;
        Some(Self {
            quota: optional(quota, |value| Quota::read(object(value)?.of(claim)))?,
            rate: optional(rate, |value| Rate::read(object(value)?.of(claim)))?,
            concurrency: optional(concurrency, |value| number(value, claim))?,
        })
    }
}

impl Quota {
    fn read(text: &str) -> Option<Self> {
        let [mut calls, mut credit, mut other] = [None; 3];
        read_object(text, |name, value| match &*name.read(text) {
            "calls" => calls = Some(value),
            "credit" => credit = Some(value),
            _ => other = Some(value),
        })
        .ok()?;
        match (calls, credit, other) {
            (Some(calls), None, None) => number(calls, text).map(Self::Calls),
            (None, Some(Value::Text(credit)), None) => {
                Some(Self::Credit(credit.read(text).into_owned()))
            }
            _ => None,
        }
    }
}

impl Rate {
    fn read(text: &str) -> Option<Self> {
        let [mut calls, mut per] = [None; 2];
        read_object(text, |name, value| match &*name.read(text) {
            "calls" => calls = Some(value),
            "per" => per = Some(value),
            _ => (),
        })
        .ok()?;
        let Some(Value::Text(per)) = per else {
            return None;
        };
        Some(Self {
            calls: number(calls?, text)?,
            per: match &*per.read(text) {
                "second" => Period::Second,
                "minute" => Period::Minute,
                "hour" => Period::Hour,
                _ => return None,
            },
        })
    }
}

/// `Some(None)` for what is absent, `None` for what is wrong.
fn optional<T>(value: Option<Value>, read: impl FnOnce(Value) -> Option<T>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

/// The place of a value that may be an object; reading it tells.
fn object(value: Value) -> Option<Span> {
    match value {
        Value::Other(span) => Some(span),
        _ => None,
    }
}

fn number<T: core::str::FromStr>(value: Value, text: &str) -> Option<T> {
    match value {
        Value::Number(span) => span.of(text).parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_a_gateway_writes_them() {
        let claim =
            r#"{"quota":{"calls":1650},"rate":{"calls":100,"per":"minute"},"concurrency":10}"#;
        let limits = Limits {
            quota: Some(Quota::Calls(1_650)),
            rate: Some(Rate {
                calls: 100,
                per: Period::Minute,
            }),
            concurrency: Some(10),
        };
        assert_eq!(Limits::read(claim), Some(limits));
        let credit = Limits::read(r#" { "quota" : { "cr\u0065dit" : "$5.00" } , "later" : [] } "#);
        let quota = Some(Quota::Credit("$5.00".to_owned()));
        let only = Limits {
            quota,
            ..Limits::default()
        };
        assert_eq!(credit, Some(only));
        assert_eq!(Limits::read("{}"), Some(Limits::default()));
    }

    #[test]
    fn limits_in_another_form_are_none() {
        for claim in [
            "",
            "null",
            "5",
            "[]",
            "\"{}\"",
            "{",
            r#"{"quota":5}"#,
            r#"{"quota":null}"#,
            r#"{"quota":[]}"#,
            r#"{"quota":{}}"#,
            r#"{"quota":{"calls":1,"credit":"$1"}}"#,
            r#"{"quota":{"calls":1,"per":"day"}}"#,
            r#"{"quota":{"calls":1,"calls":2}}"#,
            r#"{"quota":{"calls":"1"}}"#,
            r#"{"quota":{"calls":-1}}"#,
            r#"{"quota":{"calls":1.5}}"#,
            r#"{"quota":{"calls":1e3}}"#,
            r#"{"quota":{"calls":18446744073709551616}}"#,
            r#"{"quota":{"credit":5}}"#,
            r#"{"rate":"fast"}"#,
            r#"{"rate":{"calls":1}}"#,
            r#"{"rate":{"per":"hour"}}"#,
            r#"{"rate":{"calls":1,"per":"day"}}"#,
            r#"{"rate":{"calls":1,"per":60}}"#,
            r#"{"rate":{"calls":4294967296,"per":"hour"}}"#,
            r#"{"concurrency":"10"}"#,
            r#"{"concurrency":4294967296}"#,
            r#"{"concurrency":true}"#,
            r#"{"concurrency":1,"concurrency":2}"#,
        ] {
            assert_eq!(Limits::read(claim), None, "{claim}");
        }
    }
}
