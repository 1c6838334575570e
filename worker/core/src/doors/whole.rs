//! Whole numbers as clients write them.

use serde_json::Value;

/// A whole number of at most 2^53. Some clients carry all numbers as floats and send `84532.0`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "whole, and within what a float holds exactly"
)]
pub(super) fn whole(value: &Value) -> Option<u64> {
    const MOST: f64 = (1_u64 << 53) as f64;
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=MOST).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use crate::json;

    use super::*;

    #[test]
    fn floats_that_are_whole_are_read_and_nothing_else() {
        assert_eq!(whole(&json!(84532)), Some(84532));
        assert_eq!(whole(&json!(84532.0)), Some(84532));
        assert_eq!(whole(&json!(0)), Some(0));
        for bad in [
            json!(-1),
            json!(0.5),
            json!(1e300),
            json!("1"),
            json!(null),
            json!(u64::MAX),
        ] {
            assert_eq!(whole(&bad), None, "{bad}");
        }
    }
}
