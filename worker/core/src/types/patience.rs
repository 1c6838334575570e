//! How long a caller waits for an outcome.

use serde::{Deserialize, Serialize};

/// How long a request is kept waiting before it is told to come back, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Patience(u64);

impl Patience {
    /// A look: what is known now, without driving anything on.
    pub const NONE: Self = Self(0);
    /// What an HTTP request is worth waiting for: long enough for a payment to be settled on Base, short enough for clients
    /// and proxies.
    pub const REQUEST: Self = Self(20_000);

    /// Whether so many milliseconds are too many.
    pub const fn is_over_after(self, millis: u64) -> bool {
        millis >= self.0
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::REQUEST
    }
}
