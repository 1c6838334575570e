//! What a plan promises of its calls: how many, how fast, how many at a time.

use serde::{Deserialize, Serialize};

use crate::types::UsdcAmount;

/// How many calls of a grant may be under way at a time where its plan does not say.
const MOST_AT_A_TIME: u32 = 100;

/// The limits of a grant. Without any, the grant has no meter, and nothing is stored about its use.
///
/// In JSON, as in a catalog: `{"quota": {"calls": 1650}, "rate": {"calls": 100, "per": "minute"}, "concurrency": 10}`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// How much may be used until the grant ends; `None` for any number of calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// How fast calls may come; `None` for any speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many calls may be under way at a time; `None` for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// How much may be used until the grant ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Quota {
    /// A number of calls. A call counts as one, unless the seller's API says that it cost more.
    Calls(u64),
    /// Money, of which each call takes what the seller's API says that it cost.
    Credit(UsdcAmount),
}

/// How fast calls may come: so many in each period, which begins at a whole second, minute or hour of UTC.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// The number of calls; never zero.
    pub calls: u32,
    /// The period.
    pub per: Period,
}

/// The period of a [`Rate`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Period {
    /// A second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
}

impl Limits {
    /// Whether nothing is limited.
    pub const fn is_none(&self) -> bool {
        self.quota.is_none() && self.rate.is_none() && self.concurrency.is_none()
    }

    /// Whether it matters how a call ends. A rate counts beginnings only.
    pub const fn is_followed(&self) -> bool {
        self.quota.is_some() || self.concurrency.is_some()
    }

    /// How many calls may be under way at a time. A plan that does not say has a bound, too: what is set aside for calls
    /// under way is lost in a crash, and could be had again.
    pub fn most_at_a_time(&self) -> u32 {
        self.concurrency.unwrap_or(MOST_AT_A_TIME)
    }
}

/// The limits as a token tells them.
impl From<Limits> for key0_validator::Limits {
    fn from(limits: Limits) -> Self {
        use key0_validator::{Period as TokenPeriod, Quota as TokenQuota, Rate as TokenRate};
        Self {
            quota: limits.quota.map(|quota| match quota {
                Quota::Calls(calls) => TokenQuota::Calls(calls),
                Quota::Credit(credit) => TokenQuota::Credit(credit.to_string()),
            }),
            rate: limits.rate.map(|Rate { calls, per }| TokenRate {
                calls,
                per: match per {
                    Period::Second => TokenPeriod::Second,
                    Period::Minute => TokenPeriod::Minute,
                    Period::Hour => TokenPeriod::Hour,
                },
            }),
            concurrency: limits.concurrency,
        }
    }
}

impl Period {
    /// Its length, in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::json;

    use super::*;

    #[test]
    fn limits_are_written_as_in_a_catalog() {
        let limits = Limits {
            quota: Some(Quota::Calls(1_650)),
            rate: Some(Rate {
                calls: 100,
                per: Period::Minute,
            }),
            concurrency: Some(10),
        };
        let text = json!({
            "quota": {"calls": 1650},
            "rate": {"calls": 100, "per": "minute"},
            "concurrency": 10,
        });
        assert_eq!(serde_json::to_value(limits).unwrap(), text);
        assert_eq!(serde_json::from_value::<Limits>(text).unwrap(), limits);
        let credit = json!({"quota": {"credit": "$5.00"}});
        let read: Limits = serde_json::from_value(credit.clone()).unwrap();
        assert_eq!(
            read.quota,
            Some(Quota::Credit(UsdcAmount::from_units(5_000_000)))
        );
        assert_eq!(serde_json::to_value(read).unwrap(), credit);
        for limits in [limits, read, Limits::default()] {
            let told = serde_json::to_string(&key0_validator::Limits::from(limits)).unwrap();
            assert_eq!(told, serde_json::to_string(&limits).unwrap());
        }
        assert!(Limits::default().is_none() && !read.is_none());
    }
}
