//! Where clients that were refused learn where tokens are sold (RFC 9728).

use core::fmt;

use crate::ConfigError;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The backend, and the gateway that sells access to it: the document of RFC 9728 that says so, and its address.
///
/// A client that gets a 401 finds the address in the challenge
/// ([`Validator::protected_resource`](crate::Validator::protected_resource)), and the gateway in the document. Serve
/// [`document`](Self::document) at [`path`](Self::path), without a token, as `application/json`.
///
/// ```
/// use key0_validator::ProtectedResource;
///
/// let resource = ProtectedResource::new("https://api.example.com", "https://seller.example")?;
/// assert_eq!(resource.path(), "/.well-known/oauth-protected-resource");
/// assert_eq!(
///     resource.document(),
///     concat!(
///         r#"{"resource":"https://api.example.com","authorization_servers":["https://seller.example"],"#,
///         r#""bearer_methods_supported":["header"],"x402_access_endpoint":"https://seller.example/x402/access"}"#,
///     ),
/// );
/// # Ok::<(), key0_validator::ConfigError>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct ProtectedResource {
    resource: String,
    gateway: String,
}

impl ProtectedResource {
    /// Takes the backend's public URL and the gateway's.
    ///
    /// # Errors
    ///
    /// [`ConfigError::BadUrl`] for what is not an absolute `http` or `https` address, or has a query or a fragment.
    pub fn new(
        resource: impl Into<String>,
        gateway: impl Into<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            resource: base(resource.into())?,
            gateway: base(gateway.into())?,
        })
    }

    /// The path at which the document is served: a well-known one, followed by the backend's own path (RFC 9728 §3.1).
    #[must_use]
    pub fn path(&self) -> String {
        format!("{WELL_KNOWN}{}", self.split().1)
    }

    /// The document's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.split().0, self.path())
    }

    /// The document: JSON.
    #[must_use]
    pub fn document(&self) -> String {
        // Nothing to escape: the addresses have neither quotes nor backslashes.
        format!(
            r#"{{"resource":"{}","authorization_servers":["{gateway}"],"bearer_methods_supported":["header"],"x402_access_endpoint":"{gateway}/x402/access"}}"#,
            self.resource,
            gateway = self.gateway,
        )
    }

    /// Origin and path.
    fn split(&self) -> (&str, &str) {
        let host = self.resource.find("://").map_or(0, |at| at + 3);
        let path = self.resource.get(host..).and_then(|rest| rest.find('/'));
        self.resource
            .split_at_checked(path.map_or(self.resource.len(), |at| host + at))
            .unwrap_or((&self.resource, ""))
    }
}

/// An address without a slash at its end. It needs no escapes in JSON and in a header.
pub(crate) fn base(mut url: String) -> Result<String, ConfigError> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'?' | b'#');
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .ok_or(ConfigError::BadUrl)?;
    if host.is_empty() || host.starts_with('/') || !url.bytes().all(plain) {
        return Err(ConfigError::BadUrl);
    }
    url.truncate(url.trim_end_matches('/').len());
    Ok(url)
}

impl fmt::Debug for ProtectedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.document())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_address_has_the_backends_path_behind_the_well_known_one() {
        for (resource, url) in [
            (
                "https://api.example.com/",
                "https://api.example.com/.well-known/oauth-protected-resource",
            ),
            (
                "http://127.0.0.1:8080/v1/weather",
                "http://127.0.0.1:8080/.well-known/oauth-protected-resource/v1/weather",
            ),
        ] {
            let resource = ProtectedResource::new(resource, "https://seller.example/").unwrap();
            assert_eq!(resource.url(), url);
            assert!(resource.url().ends_with(&resource.path()));
            let json: serde_json::Value = serde_json::from_str(&resource.document()).unwrap();
            assert_eq!(json["authorization_servers"][0], "https://seller.example");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for url in [
            "",
            "api.example.com",
            "ftp://x",
            "https://",
            "https:///x",
            "https://x\"",
            "https://x y",
            "https://x\\",
            "https://x?y",
            "https://x#y",
            "https://\u{e9}",
        ] {
            let refused = ProtectedResource::new(url, "https://seller.example");
            assert_eq!(refused, Err(ConfigError::BadUrl), "{url}");
            let refused = ProtectedResource::new("https://api.example", url);
            assert_eq!(refused, Err(ConfigError::BadUrl), "{url}");
        }
    }
}
