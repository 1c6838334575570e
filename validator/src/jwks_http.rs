//! Fetches key documents over HTTPS.

use core::fmt::Display;
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{ACCEPT, IF_NONE_MATCH};

use crate::jwks::MAX_JWKS_LEN;
use crate::{FetchError, FetchKeys, Fetched, KeySource, Refresh, SourceError};

/// Longest time for one fetch, from the look-up of the name to the last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway's `/.well-known/jwks.json`, over HTTPS.
struct HttpKeys {
    agent: Agent,
    url: String,
}

impl HttpKeys {
    /// Fetches this address. Plain HTTP is for this machine only: whoever can change the document on its way can sign.
    fn new(url: String) -> Result<Self, SourceError> {
        if !url.starts_with("https://") && !is_local(&url) {
            return Err(SourceError::NotHttps);
        }
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("key0-validator/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.new_agent(),
            url,
        })
    }
}

fn is_local(url: &str) -> bool {
    url.strip_prefix("http://").is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // With a user in front, the host is behind the @.
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        matches!(host, "127.0.0.1" | "[::1]" | "localhost")
    })
}

impl FetchKeys for HttpKeys {
    fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let failed = |error: &dyn Display| FetchError::new(format!("{}: {error}", self.url));
        let mut request = self.agent.get(&self.url).header(ACCEPT, "application/json");
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.call().map_err(|error| failed(&error))?;
        let (parts, mut body) = response.into_parts();
        let body = match parts.status.as_u16() {
            200 => body
                .with_config()
                .limit(MAX_JWKS_LEN as u64)
                .read_to_string()
                .map_err(|error| failed(&error))?,
            _ => String::new(),
        };
        let header = |name: &str| parts.headers.get(name)?.to_str().ok();
        Fetched::from_http(parts.status.as_u16(), header, body).map_err(|error| failed(&error))
    }
}

impl KeySource {
    /// Keys from this address, for example `https://seller.example/.well-known/jwks.json`: at most 64 KiB within ten seconds,
    /// redirects not followed, `ETag` and `Cache-Control: max-age` honoured. Mozilla's roots are trusted, and no proxy is used;
    /// with [`fetching`](Self::fetching) you bring a client of your own.
    ///
    /// # Errors
    ///
    /// For an address that is neither HTTPS nor on this machine, and as [`fetching`](Self::fetching). Whether there are keys at
    /// that address is not known yet: call [`wait`](Self::wait).
    pub fn from_url(url: impl Into<String>, refresh: Refresh) -> Result<Self, SourceError> {
        Self::fetching(HttpKeys::new(url.into())?, refresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for url in [
            "https://seller.example/.well-known/jwks.json",
            "http://127.0.0.1/keys",
            "http://127.0.0.1:8787/.well-known/jwks.json",
            "http://localhost:1",
            "http://[::1]:80/x",
        ] {
            assert!(HttpKeys::new(url.to_owned()).is_ok(), "{url}");
        }
        for url in [
            "http://seller.example/.well-known/jwks.json",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "http://127.0.0.1:80@evil.example/",
            "http://localhost.example",
            "ftp://127.0.0.1/",
            "file:///keys",
            "",
        ] {
            let refused = KeySource::from_url(url, Refresh::new());
            assert!(matches!(refused, Err(SourceError::NotHttps)), "{url}");
        }
    }
}
