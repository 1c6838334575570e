//! Why a call is not made, in words.

use core::fmt;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

/// Why a call with a good token is not made. Nothing was counted for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MeterRefusal {
    /// What the access was good for is used up: 402.
    UsedUp,
    /// The access has ended, or the gateway knows no purchase that has founded it: 401.
    Ended,
    /// The calls of this period are made: 429.
    TooFast {
        /// Seconds until the next period.
        after: u64,
    },
    /// As many calls as are allowed at a time are under way: 429.
    TooMany,
    /// What is left is set aside for other calls, and may come back: 429.
    Outstanding,
    /// The gateway gives no answer: 503.
    Unknown,
}

impl MeterRefusal {
    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::UsedUp => 402,
            Self::Ended => 401,
            Self::TooFast { .. } | Self::TooMany | Self::Outstanding => 429,
            Self::Unknown => 503,
        }
    }

    /// The stable code for clients.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::UsedUp => "QUOTA_USED_UP",
            Self::Ended => "CHALLENGE_EXPIRED",
            Self::TooFast { .. } | Self::TooMany | Self::Outstanding => "RATE_LIMITED",
            Self::Unknown => "TEMPORARILY_UNAVAILABLE",
        }
    }

    /// After how many seconds the call may be repeated, if that helps.
    #[must_use]
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::UsedUp | Self::Ended => None,
            Self::TooFast { after } => Some(after.max(1)),
            Self::TooMany | Self::Outstanding | Self::Unknown => Some(1),
        }
    }

    /// The answer: status, JSON body, `Retry-After` or `WWW-Authenticate`.
    #[must_use]
    pub fn response<B: From<String>>(self) -> Response<B> {
        let code = self.code();
        // Nothing to escape: every text is ASCII without quotes and backslashes.
        let body = format!(r#"{{"type":"Error","code":"{code}","message":"{self}"}}"#);
        let mut response = Response::new(B::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self == Self::Ended {
            let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl fmt::Display for MeterRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UsedUp => "What the access token was good for is used up; buy access again",
            Self::Ended => "The access has ended; buy access again",
            Self::TooFast { .. } => "The calls of this period are made; repeat this one after Retry-After seconds",
            Self::TooMany => "As many calls as the access is good for at a time are under way; repeat this one after Retry-After seconds",
            Self::Outstanding => {
                "What is left of the access is set aside for other calls and may come back; repeat this one after Retry-After seconds"
            }
            Self::Unknown => "The call could not be counted, so it was not made; repeat it after Retry-After seconds",
        })
    }
}

impl core::error::Error for MeterRefusal {}
