//! The name of a purchase's state, as everybody outside reads it.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// The state of a purchase. Those that an operator may have to act upon come first, then the one that is under way.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The money is here; the goods are not delivered.
    Paid,
    /// The money is on its way back.
    RefundPending,
    /// The money could not be returned.
    RefundFailed,
    /// Money may be on its way.
    Pending,
    /// The buyer has the goods.
    Delivered,
    /// The money went back.
    Refunded,
    /// The offer was not paid in time.
    Expired,
    /// The purchase was called off before any money moved.
    Cancelled,
}

impl Status {
    /// Every state, in order.
    pub const ALL: [Self; 8] = [
        Self::Paid,
        Self::RefundPending,
        Self::RefundFailed,
        Self::Pending,
        Self::Delivered,
        Self::Refunded,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "PAID",
            Self::RefundPending => "REFUND_PENDING",
            Self::RefundFailed => "REFUND_FAILED",
            Self::Pending => "PENDING",
            Self::Delivered => "DELIVERED",
            Self::Refunded => "REFUNDED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no state's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownStatus;

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        let named = Self::ALL.into_iter().find(|status| status.as_str() == text);
        named.ok_or(UnknownStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_name_is_the_name_that_is_read() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!(Status::ALL.is_sorted());
        assert_eq!("paid".parse::<Status>(), Err(UnknownStatus));
    }
}
