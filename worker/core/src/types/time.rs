//! Moments, as whole seconds or milliseconds since 1970.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00Z: what tokens and contracts use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

/// Milliseconds since 1970-01-01T00:00Z: what clocks and alarms use.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixSeconds {
    /// This moment plus `seconds`.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The same moment in milliseconds.
    pub const fn to_millis(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(1000))
    }

    /// ISO 8601 in UTC with milliseconds, as A2A wants it: `2026-01-02T03:04:05.000Z`.
    pub fn to_iso(self) -> String {
        self.to_millis().to_iso()
    }

    /// RFC 3339 in UTC, in whole seconds: `2026-01-02T03:04:05Z`.
    pub fn to_rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .unwrap_or(DateTime::<chrono::Utc>::MAX_UTC)
            .to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

impl UnixMillis {
    /// This moment plus `millis`.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// This moment less `millis`; the beginning of time when that is closer.
    #[must_use]
    pub const fn minus(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// How many milliseconds have passed since `earlier`; zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// ISO 8601 in UTC: `2026-01-02T03:04:05.678Z`.
    pub fn to_iso(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .unwrap_or(DateTime::<chrono::Utc>::MAX_UTC)
            .to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Reads ISO 8601 with its offset (RFC 3339). `None` for anything else, and for what lies before 1970.
    pub fn from_iso(text: &str) -> Option<Self> {
        let moment = DateTime::parse_from_rfc3339(text).ok()?;
        u64::try_from(moment.timestamp_millis()).ok().map(Self)
    }

    /// The same moment in seconds, rounded down.
    pub const fn to_seconds(self) -> UnixSeconds {
        UnixSeconds(self.0 / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_iso_form() {
        assert_eq!(
            UnixSeconds(1_767_323_045).to_iso(),
            "2026-01-02T03:04:05.000Z"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let moment = UnixMillis(1_767_323_045_678);
        assert_eq!(UnixMillis::from_iso(&moment.to_iso()), Some(moment));
        let elsewhere = UnixMillis::from_iso("2026-01-02T05:04:05.678+02:00");
        assert_eq!(elsewhere, Some(moment));
        for bad in ["", "today", "2026-01-02", "1969-12-31T00:00:00Z"] {
            assert_eq!(UnixMillis::from_iso(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_beyond_the_calendar_do_not_panic() {
        assert!(UnixSeconds(u64::MAX).to_iso().ends_with('Z'));
    }
}
