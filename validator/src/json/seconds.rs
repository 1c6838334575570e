//! Dates: JSON numbers as whole seconds.

use crate::words;

/// A JSON number as whole seconds, rounded both ways. Exact, and saturating at both ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seconds {
    pub(crate) floor: u64,
    pub(crate) ceil: u64,
}

impl Seconds {
    pub(crate) fn whole(seconds: u64) -> Self {
        Self {
            floor: seconds,
            ceil: seconds,
        }
    }

    /// Reads what [`read_object`](super::read_object) found to be a number.
    pub(crate) fn read(number: &str) -> Self {
        Self::of_date(number.as_bytes()).unwrap_or_else(|| Self::of_any(number))
    }

    /// What nearly all dates are, from 2001 to 2286: ten digits.
    fn of_date(number: &[u8]) -> Option<Self> {
        let (eight, [tens @ b'0'..=b'9', ones @ b'0'..=b'9']) = number.split_first_chunk()? else {
            return None;
        };
        let front = words::eight_digits(*eight)?;
        let seconds = front * 100 + u64::from(tens - b'0') * 10 + u64::from(ones - b'0');
        Some(Self::whole(seconds))
    }

    fn of_any(number: &str) -> Self {
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // An exponent beyond i64 means the same as one at its end.
        let overflow = if exponent.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        let exponent = exponent.parse().unwrap_or(overflow);
        let mut before_point = (whole.len() as i64).saturating_add(exponent);

        let (mut floor, mut rest) = (0_u64, false);
        for digit in whole
            .bytes()
            .chain(fraction.bytes())
            .map(|b| b.wrapping_sub(b'0'))
        {
            if before_point > 0 {
                floor = floor.saturating_mul(10).saturating_add(digit.into());
                before_point -= 1;
            } else {
                rest |= digit != 0;
            }
        }
        // Zeros that the exponent adds; twenty of them fill a u64 already.
        for _ in 0..before_point.clamp(0, 20) {
            floor = floor.saturating_mul(10);
        }
        match (negative, rest) {
            (true, _) => Self { floor: 0, ceil: 0 },
            (false, rest) => Self {
                floor,
                ceil: floor.saturating_add(rest.into()),
            },
        }
    }
}
