//! USDC amounts: whole micro-units, read and written exactly.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::U256;

const DECIMALS: usize = 6;
const UNITS_PER_USDC: u64 = 1_000_000;

/// An amount of USDC in micro-units (six decimals). Never negative, never a float.
///
/// As text it is a dollar price (`"$0.015"`); in JSON it is that text.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UsdcAmount(u64);

impl UsdcAmount {
    /// An amount of `units` micro-units.
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// The number of micro-units.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Whether this is nothing at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The amount as the token contract counts it.
    pub fn to_u256(self) -> U256 {
        U256::from(self.0)
    }
}

/// Why a price text was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PriceError {
    /// The text does not have the form `$12.34` or `12.34`.
    Malformed,
    /// The price has more than six digits after the point; rounding it is the seller's decision.
    TooPrecise,
    /// The price is more than the type can hold (about 18 trillion dollars).
    TooLarge,
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not a price like \"$0.015\"",
            Self::TooPrecise => "has more than six digits after the point",
            Self::TooLarge => "is too large",
        })
    }
}

impl std::error::Error for PriceError {}

impl FromStr for UsdcAmount {
    type Err = PriceError;

    /// Reads `"$0.015"` or `"0.015"` exactly.
    fn from_str(text: &str) -> Result<Self, PriceError> {
        let number = text.strip_prefix('$').unwrap_or(text);
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return Err(PriceError::Malformed),
            Some((whole, fraction)) => (whole, fraction),
            None => (number, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(PriceError::Malformed);
        }
        if fraction.len() > DECIMALS {
            return Err(PriceError::TooPrecise);
        }
        // Bounded length, so that the number parsers below can only fail on size.
        if whole.len() > 20 {
            return Err(PriceError::TooLarge);
        }
        let whole: u64 = whole.parse().map_err(|_| PriceError::TooLarge)?;
        let fraction: u64 = format!("{fraction:0<DECIMALS$}")
            .parse()
            .map_err(|_| PriceError::Malformed)?;
        whole
            .checked_mul(UNITS_PER_USDC)
            .and_then(|units| units.checked_add(fraction))
            .map(Self)
            .ok_or(PriceError::TooLarge)
    }
}

impl fmt::Display for UsdcAmount {
    /// Writes at least two digits after the point and no superfluous ones: `$0.015`, `$15.00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 / UNITS_PER_USDC;
        let fraction = format!("{:06}", self.0 % UNITS_PER_USDC);
        let significant = fraction.trim_end_matches('0').len().max(2);
        let fraction: String = fraction.chars().take(significant).collect();
        write!(f, "${whole}.{fraction}")
    }
}

impl Serialize for UsdcAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UsdcAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_are_read_exactly() {
        for (text, units) in [
            ("$0.015", 15_000),
            ("0.015", 15_000),
            ("$15", 15_000_000),
            ("$168.00", 168_000_000),
            ("$0.000001", 1),
            ("0", 0),
        ] {
            assert_eq!(text.parse(), Ok(UsdcAmount::from_units(units)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        use PriceError::{Malformed, TooLarge, TooPrecise};
        for (text, error) in [
            ("", Malformed),
            ("$", Malformed),
            ("$1.", Malformed),
            (".5", Malformed),
            ("-1", Malformed),
            ("+1", Malformed),
            ("1e3", Malformed),
            ("1,5", Malformed),
            ("$$1", Malformed),
            (" 1", Malformed),
            ("1.2.3", Malformed),
            ("0.0000001", TooPrecise),
            ("18446744073710", TooLarge),
            ("99999999999999999999999", TooLarge),
        ] {
            assert_eq!(text.parse::<UsdcAmount>(), Err(error), "{text}");
        }
    }

    #[test]
    fn prices_are_written_for_people() {
        for (units, text) in [
            (15_000, "$0.015"),
            (15_000_000, "$15.00"),
            (1, "$0.000001"),
            (100_000, "$0.10"),
        ] {
            assert_eq!(UsdcAmount::from_units(units).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn writing_then_reading_gives_the_same_amount(units: u64) {
            let amount = UsdcAmount::from_units(units);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }

        #[test]
        fn hostile_text_never_panics(text in ".{0,40}") {
            let _ = text.parse::<UsdcAmount>();
        }
    }
}
