//! Types for fetching keys: the fetcher, the document that it finds, and the outcome.

use core::fmt;
use core::time::Duration;
use std::io;

use crate::JwksError;

/// What a fetch of keys found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetched {
    /// `None`: the document is still the one that the given tag names.
    pub(crate) document: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) max_age: Option<Duration>,
}

impl Fetched {
    /// A JWKS document: its text.
    #[must_use]
    pub fn document(text: impl Into<String>) -> Self {
        Self {
            document: Some(text.into()),
            etag: None,
            max_age: None,
        }
    }

    /// The document is still the one that the given tag names.
    #[must_use]
    pub fn unchanged() -> Self {
        Self {
            document: None,
            etag: None,
            max_age: None,
        }
    }

    /// The entity tag of this version of the document, for the next fetch.
    #[must_use]
    pub fn etag(self, etag: impl Into<String>) -> Self {
        Self {
            etag: Some(etag.into()),
            ..self
        }
    }

    /// For how long the server says that the document is good.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        Self {
            max_age: Some(max_age),
            ..self
        }
    }

    /// What an HTTP answer means, for programs that fetch with a client of their own: status, headers by name, body. `ETag` and
    /// `Cache-Control` are honoured.
    ///
    /// # Errors
    ///
    /// For every status but 200 and 304.
    pub fn from_http<'h>(
        status: u16,
        header: impl Fn(&str) -> Option<&'h str>,
        body: impl Into<String>,
    ) -> Result<Self, FetchError> {
        let fetched = match status {
            200 => Self::document(body),
            304 => Self::unchanged(),
            300..=399 => {
                let to = header("location").unwrap_or("nowhere");
                return Err(FetchError::new(format!(
                    "status {status}, a redirect to {to}; redirects are not followed, give the address of the document itself"
                )));
            }
            404 => {
                return Err(FetchError::new(
                    "status 404, there is no document; a gateway has it at /.well-known/jwks.json",
                ));
            }
            status => return Err(FetchError::new(format!("status {status}"))),
        };
        Ok(Self {
            etag: header("etag").map(str::to_owned),
            max_age: header("cache-control").and_then(cache_control),
            ..fetched
        })
    }
}

/// For how long `Cache-Control` says that a document is good. `no-store` and `no-cache` mean not at all.
fn cache_control(value: &str) -> Option<Duration> {
    let mut age = None;
    for directive in value.split(',').map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => {
                let seconds = value.trim_matches('"').parse().ok();
                age = seconds.map(Duration::from_secs);
            }
            _ => {}
        }
    }
    age
}

/// Why keys could not be fetched, in words for a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FetchError(pub(crate) String);

impl FetchError {
    /// An error with these words.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for FetchError {}

/// How a fetch ended, for [`Refresh::observe`](crate::Refresh::observe).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FetchOutcome<'o> {
    /// There is a document, and its keys are in use.
    Loaded {
        /// How many keys are in use.
        keys: usize,
        /// Why other keys of the document are not in use (RFC 7517 §5).
        ignored: &'o [JwksError],
    },
    /// The document has not changed.
    Unchanged,
    /// There is no document, or it cannot be used. The keys stay as they were.
    Failed {
        /// Why the fetch failed, in words.
        reason: &'o str,
    },
}

impl fmt::Display for FetchOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded { keys, ignored } => {
                write!(f, "keys loaded: {keys}")?;
                ignored
                    .iter()
                    .try_for_each(|reason| write!(f, "; one ignored: {reason}"))
            }
            Self::Unchanged => f.write_str("keys unchanged"),
            Self::Failed { reason } => write!(f, "keys could not be fetched: {reason}"),
        }
    }
}

/// Why there is no [`KeySource`](crate::KeySource).
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// No RSA library of this build runs on this processor. Feature `ring` adds one that does.
    NoRsaBackend,
    /// Keys are fetched over HTTPS only, except from this machine.
    NotHttps,
    /// The system gives no thread.
    NoThread(io::Error),
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRsaBackend => crate::ConfigError::NoRsaBackend.fmt(f),
            Self::NotHttps => f.write_str(
                "keys are fetched over https only, except from 127.0.0.1, [::1] and localhost",
            ),
            Self::NoThread(error) => write!(f, "there is no thread to fetch keys: {error}"),
        }
    }
}

impl core::error::Error for SourceError {}

/// Fetches a JWKS document. Feature `jwks-http` has one over HTTPS.
pub trait FetchKeys: Send + 'static {
    /// Fetches the document, or says that it is still the one with this tag. May block: it runs on a thread of its own,
    /// one call after the other. It must come to an end by itself.
    ///
    /// # Errors
    ///
    /// What prevented it, in words for a log.
    fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError>;
}

impl<F> FetchKeys for F
where
    F: FnMut(Option<&str>) -> Result<Fetched, FetchError> + Send + 'static,
{
    fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        self(etag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control_is_read() {
        for (value, expected) in [
            ("max-age=60", Some(60)),
            ("public, MAX-AGE=\"300\", immutable", Some(300)),
            ("max-age=60, no-cache", Some(0)),
            ("no-store", Some(0)),
            ("max-age=soon", None),
            ("max-age=-1", None),
            ("s-maxage=60", None),
            ("", None),
        ] {
            assert_eq!(
                cache_control(value),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
