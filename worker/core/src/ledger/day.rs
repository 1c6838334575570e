//! Days in UTC, as bookkeeping counts them.

use core::fmt;
use core::str::FromStr;

use chrono::{DateTime, Datelike as _, NaiveDate};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::UnixMillis;

const DAY_MILLIS: u64 = 86_400_000;
/// The number of days from 1970-01-01 to 9999-12-31.
const MAX_DAYS: u64 = 2_932_897;
/// The number of the day 1970-01-01 in the proleptic calendar, in which 0001-01-01 is day 1.
const EPOCH_FROM_CE: i32 = 719_163;

/// A day in UTC from 1970 to 9999, written `2026-01-31`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct UtcDay(u64);

/// The error for a text that is no day of this calendar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadDay;

/// Days from the first to the last, both included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Days {
    /// The first day.
    pub from: UtcDay,
    /// The last day.
    pub to: UtcDay,
}

impl UtcDay {
    /// The first day.
    pub const FIRST: Self = Self(0);
    /// The last day.
    pub const LAST: Self = Self(MAX_DAYS - 1);

    /// The day to which a time belongs.
    pub fn of(moment: UnixMillis) -> Self {
        Self(moment.0 / DAY_MILLIS).min(Self::LAST)
    }
}

impl Days {
    /// All days.
    pub const ALL: Self = Self {
        from: UtcDay::FIRST,
        to: UtcDay::LAST,
    };

    /// The first millisecond of these days, and the first millisecond after them.
    pub const fn millis(self) -> (UnixMillis, UnixMillis) {
        (
            UnixMillis(self.from.0 * DAY_MILLIS),
            UnixMillis((self.to.0 + 1) * DAY_MILLIS),
        )
    }
}

impl FromStr for UtcDay {
    type Err = BadDay;

    fn from_str(text: &str) -> Result<Self, BadDay> {
        let fits = text.len() == 10
            && text.bytes().enumerate().all(|(at, b)| match at {
                4 | 7 => b == b'-',
                _ => b.is_ascii_digit(),
            });
        if !fits {
            return Err(BadDay);
        }
        let mut parts = text.split('-');
        let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
        let (year, month, day) = (number(), number(), number());
        let date = (|| NaiveDate::from_ymd_opt(i32::try_from(year?).ok()?, month?, day?))();
        let days = date.ok_or(BadDay)?.num_days_from_ce() - EPOCH_FROM_CE;
        u64::try_from(days).map(Self).map_err(|_| BadDay)
    }
}

impl fmt::Display for UtcDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0 * (DAY_MILLIS / 1000)).unwrap_or_default();
        let date = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        write!(f, "{}", date.date_naive())
    }
}

impl Serialize for UtcDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(|BadDay| serde::de::Error::custom("no day"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let day: UtcDay = "2027-01-15".parse().unwrap();
        let (first, end) = Days { from: day, to: day }.millis();
        assert_eq!(UtcDay::of(first), day);
        assert_eq!(UtcDay::of(UnixMillis(end.0 - 1)), day);
        assert_ne!(UtcDay::of(end), day);
        assert_ne!(UtcDay::of(UnixMillis(first.0 - 1)), day);
    }

    #[test]
    fn the_calendar_ends_where_it_says() {
        assert_eq!(UtcDay::FIRST.to_string(), "1970-01-01");
        assert_eq!(UtcDay::LAST.to_string(), "9999-12-31");
        assert_eq!(UtcDay::of(UnixMillis(u64::MAX)), UtcDay::LAST);
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2026",
            "2026-1-01",
            "2026-13-01",
            "2026-02-29",
            "1969-12-31",
            "+026-01-01",
            "2026-01-01T",
            "20é6-01-1",
        ] {
            assert_eq!(text.parse::<UtcDay>(), Err(BadDay), "{text}");
        }
    }

    proptest! {
        #[test]
        fn writing_then_reading_gives_the_same_day(number in 0..MAX_DAYS) {
            let day = UtcDay(number);
            prop_assert_eq!(day.to_string().parse(), Ok(day));
        }

        #[test]
        fn hostile_text_never_panics(text in ".{0,20}") {
            let _ = text.parse::<UtcDay>();
        }
    }
}
