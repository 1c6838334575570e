//! Absolute http(s) addresses from the configuration.

use core::fmt;
use core::str::FromStr;

use url::{Host, Url};

use super::ids::IdError;

/// An absolute `http` or `https` URL without credentials, query or fragment; never ends in a slash.
///
/// `Debug` shows only the host: RPC providers put access keys into the path.
#[derive(Clone, Eq, PartialEq)]
pub struct HttpUrl(Url);

impl HttpUrl {
    /// The URL as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// This URL followed by `path`, which begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }

    /// The host, without a port. The only part that may be shown.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether this is `https` at its usual port on this host.
    pub fn is_https_at(&self, host: &str) -> bool {
        self.0.scheme() == "https" && self.0.port().is_none() && self.host() == host
    }

    /// Whether what is sent there can be read and changed on the way: plain `http` to another machine.
    pub fn is_in_the_clear(&self) -> bool {
        self.0.scheme() == "http" && !self.is_local()
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether the URL's scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether scheme, host and port are those of the other.
    pub fn has_origin_of(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The path of `join(path)`.
    pub fn path_of(&self, path: &str) -> String {
        format!("{}{path}", self.0.path().trim_end_matches('/'))
    }

    /// Scheme, host and port of a request's URL: where the request reached us.
    pub fn origin_of(request_url: &str) -> Option<Self> {
        let url = Url::parse(request_url).ok()?;
        url.origin().ascii_serialization().parse().ok()
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({})", self.host())
    }
}

impl FromStr for HttpUrl {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let url = Url::parse(text).map_err(|_| IdError::new("is not an absolute URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(IdError::new("must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(IdError::new("must not contain a user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(IdError::new("must not contain a query or fragment"));
        }
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_kept_without_a_trailing_slash() {
        let url: HttpUrl = "https://api.example.com/".parse().unwrap();
        assert_eq!(
            url.join("/x402/access"),
            "https://api.example.com/x402/access"
        );
    }

    #[test]
    fn an_address_has_one_form_however_it_was_written() {
        for text in [
            "https://api.example.com",
            "https://api.example.com/",
            "https://api.example.com//",
            "HTTPS://API.example.com:443/",
            "https://api.example.com/x/..",
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!(url.as_str(), "https://api.example.com", "{text}");
        }
        let deep: HttpUrl = "https://api.example.com/pay/".parse().unwrap();
        assert_eq!(deep.as_str(), "https://api.example.com/pay");
    }

    #[test]
    fn the_origin_of_a_request_drops_path_and_query() {
        let origin = HttpUrl::origin_of("http://127.0.0.1:8787/a/b?c=d").unwrap();
        assert_eq!(origin.as_str(), "http://127.0.0.1:8787");
    }

    #[test]
    fn what_is_not_a_plain_web_address_is_refused() {
        for text in [
            "",
            "example.com",
            "ftp://example.com",
            "https://user:pass@example.com",
            "https://example.com/?q=1",
            "https://example.com/#f",
            "http://",
        ] {
            assert!(text.parse::<HttpUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_path() {
        let url: HttpUrl = "https://rpc.example.com/v2/secret-key".parse().unwrap();
        assert_eq!(format!("{url:?}"), "HttpUrl(rpc.example.com)");
    }
}
