//! Fetches key documents over HTTPS.

use std::io;
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH};

use crate::{FetchError, FetchKeys, Fetched, KeySource, MAX_JWKS_LEN, Refresh};

/// Longest time for one fetch, from the look-up of the name to the last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway's `/.well-known/jwks.json`, over HTTPS: at most 64 KiB within ten seconds, redirects not followed, `ETag` and
/// `Cache-Control: max-age` honoured.
#[derive(Debug)]
pub struct HttpKeys {
    agent: Agent,
    url: String,
}

impl HttpKeys {
    /// Fetches this address. Plain HTTP is for this machine only: whoever can change the document on its way can sign.
    ///
    /// # Errors
    ///
    /// For other addresses.
    pub fn new(url: impl Into<String>) -> Result<Self, FetchError> {
        let url = url.into();
        if !url.starts_with("https://") && !is_local(&url) {
            let reason =
                "keys are fetched over https only, except from 127.0.0.1, [::1] and localhost";
            return Err(FetchError(reason.to_owned()));
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
        let failed = |error: ureq::Error| FetchError(format!("{}: {error}", self.url));
        let mut request = self.agent.get(&self.url).header(ACCEPT, "application/json");
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let mut response = request.call().map_err(failed)?;
        let max_age = max_age(response.headers());
        match response.status().as_u16() {
            200 => {}
            304 => return Ok(Fetched::Unchanged { max_age }),
            status => return Err(FetchError(format!("{}: status {status}", self.url))),
        }
        let etag = text(response.headers(), &ETAG).map(str::to_owned);
        let text = response
            .body_mut()
            .with_config()
            .limit(MAX_JWKS_LEN as u64)
            .read_to_string()
            .map_err(failed)?;
        Ok(Fetched::Document {
            text,
            etag,
            max_age,
        })
    }
}

impl KeySource {
    /// Keys from this address, for example `https://seller.example/.well-known/jwks.json`.
    ///
    /// # Errors
    ///
    /// For an address that is neither HTTPS nor on this machine, and when the system gives no thread.
    pub fn from_url(url: impl Into<String>, refresh: Refresh) -> io::Result<Self> {
        let keys =
            HttpKeys::new(url).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        Self::fetching(keys, refresh)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// For how long the server says that the document is good. `no-store` and `no-cache` mean not at all.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = text(headers, &CACHE_CONTROL)?.split(',').map(str::trim);
    let mut age = None;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => {
                age = value
                    .trim_matches('"')
                    .parse()
                    .ok()
                    .map(Duration::from_secs)
            }
            _ => {}
        }
    }
    age
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
            assert!(HttpKeys::new(url).is_ok(), "{url}");
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
            assert!(HttpKeys::new(url).is_err(), "{url}");
            assert!(KeySource::from_url(url, Refresh::default()).is_err());
        }
    }

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
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, value.parse().unwrap());
            assert_eq!(
                max_age(&headers),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }
}
