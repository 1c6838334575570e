//! Limits in words, the same in everything that buyers read.

use core::fmt;

use super::limits::{Limits, Period, Quota, Rate};

/// Writes, like `1,650 calls, at most 100 a minute and 10 at a time`. Nothing, if nothing is limited.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quota {
            Some(Quota::Calls(1)) => f.write_str("1 call")?,
            Some(Quota::Calls(calls)) => write!(f, "{} calls", grouped(calls))?,
            Some(Quota::Credit(credit)) => write!(f, "calls for {credit}")?,
            None => {}
        }
        let fast = self.rate.map(|Rate { calls, per }| {
            let per = match per {
                Period::Second => "a second",
                Period::Minute => "a minute",
                Period::Hour => "an hour",
            };
            (u64::from(calls), per)
        });
        let parallel = self
            .concurrency
            .map(|calls| (u64::from(calls), "at a time"));
        let bounds = [fast, parallel].into_iter().flatten();
        for (at, (calls, when)) in bounds.enumerate() {
            f.write_str(match (at, self.quota) {
                (0, None) => "at most ",
                (0, Some(_)) => ", at most ",
                _ => " and ",
            })?;
            // The first number says what is counted, unless the quota has said it.
            let noun = match (at, self.quota, calls) {
                (0, None, 1) => " call",
                (0, None, _) => " calls",
                _ => "",
            };
            write!(f, "{}{noun} {when}", grouped(calls))?;
        }
        Ok(())
    }
}

/// A number with a comma between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_in_one_way() {
        for (limits, said) in [
            ("{}", ""),
            (r#"{"quota":{"calls":1}}"#, "1 call"),
            (r#"{"quota":{"calls":999}}"#, "999 calls"),
            (
                r#"{"quota":{"calls":1000000000000}}"#,
                "1,000,000,000,000 calls",
            ),
            (r#"{"quota":{"credit":"$5"}}"#, "calls for $5.00"),
            (
                r#"{"quota":{"calls":1650},"rate":{"calls":100,"per":"minute"},"concurrency":10}"#,
                "1,650 calls, at most 100 a minute and 10 at a time",
            ),
            (
                r#"{"quota":{"credit":"$0.015"},"concurrency":1}"#,
                "calls for $0.015, at most 1 at a time",
            ),
            (
                r#"{"rate":{"calls":1000,"per":"hour"},"concurrency":2}"#,
                "at most 1,000 calls an hour and 2 at a time",
            ),
            (
                r#"{"rate":{"calls":1,"per":"second"}}"#,
                "at most 1 call a second",
            ),
            (r#"{"concurrency":10}"#, "at most 10 calls at a time"),
        ] {
            let limits: Limits = serde_json::from_str(limits).unwrap();
            assert_eq!(limits.to_string(), said);
        }
    }
}
