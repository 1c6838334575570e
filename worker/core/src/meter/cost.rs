//! What a call takes of a quota.

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use super::limits::{Limits, Quota};
use crate::types::UsdcAmount;

/// The header in which the seller's API says what a call has cost. No buyer sees it.
pub const COST: HeaderName = HeaderName::from_static("key0-cost");

/// What a call takes of a quota: a number of calls, like `3`, or dollars of a credit, like `$0.0123`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cost {
    /// As much as so many calls.
    Calls(u64),
    /// So much of a credit.
    Credit(UsdcAmount),
}

impl Cost {
    /// Reads a cost. `None` if it is neither a whole number nor dollars.
    pub fn parse(text: &str) -> Option<Self> {
        match text.starts_with('$') {
            true => text.parse().ok().map(Self::Credit),
            false if text.bytes().all(|digit| digit.is_ascii_digit()) => {
                text.parse().ok().map(Self::Calls)
            }
            false => None,
        }
    }

    /// The units of this quota. `None` if the quota is counted in the other kind.
    pub const fn of(self, quota: Quota) -> Option<u64> {
        match (self, quota) {
            (Self::Calls(calls), Quota::Calls(_)) => Some(calls),
            (Self::Credit(amount), Quota::Credit(_)) => Some(amount.units()),
            _ => None,
        }
    }
}

impl Quota {
    /// The whole of it, in units: calls, or millionths of a dollar.
    pub const fn units(self) -> u64 {
        match self {
            Self::Calls(calls) => calls,
            Self::Credit(amount) => amount.units(),
        }
    }

    /// A quota of the same kind with so many units.
    pub const fn with_units(self, units: u64) -> Self {
        match self {
            Self::Calls(_) => Self::Calls(units),
            Self::Credit(_) => Self::Credit(UsdcAmount::from_units(units)),
        }
    }
}

impl Limits {
    /// The units that a call has cost, by the headers of its answer. A call whose cost is not told counts as one unit.
    /// `Err`: so does this one, because what is told cannot be read, or is no cost of this quota.
    pub fn cost(&self, headers: &HeaderMap) -> Result<u64, u64> {
        let Some(quota) = self.quota else {
            return Ok(0);
        };
        let mut told = headers.get_all(COST).iter();
        let Some(first) = told.next() else {
            return Ok(1);
        };
        let cost = first.to_str().ok().and_then(Cost::parse);
        let units = cost.and_then(|cost| cost.of(quota));
        units.filter(|_| told.next().is_none()).ok_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(quota: &str) -> Limits {
        serde_json::from_str(&format!(r#"{{"quota":{quota}}}"#)).unwrap()
    }

    #[test]
    fn a_cost_is_a_whole_number_of_calls_or_dollars_and_anything_else_is_one_unit() {
        let calls = limits(r#"{"calls":9}"#);
        let credit = limits(r#"{"credit":"$5.00"}"#);
        for (told, of_calls, of_credit) in [
            ("3", Ok(3), Err(1)),
            ("0", Ok(0), Err(1)),
            ("$0.0123", Err(1), Ok(12_300)),
            ("$0", Err(1), Ok(0)),
            ("-1", Err(1), Err(1)),
            ("", Err(1), Err(1)),
            ("1.5", Err(1), Err(1)),
            ("+1", Err(1), Err(1)),
            ("$-1", Err(1), Err(1)),
            ("$0.0000001", Err(1), Err(1)),
            ("3, 4", Err(1), Err(1)),
            ("99999999999999999999999", Err(1), Err(1)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COST, told.parse().unwrap());
            assert_eq!(calls.cost(&headers), of_calls, "{told:?}");
            assert_eq!(credit.cost(&headers), of_credit, "{told:?}");
            assert_eq!(Limits::default().cost(&headers), Ok(0));
            headers.append(COST, told.parse().unwrap());
            assert_eq!(calls.cost(&headers), Err(1), "told twice");
        }
        assert_eq!(calls.cost(&HeaderMap::new()), Ok(1));
    }
}
