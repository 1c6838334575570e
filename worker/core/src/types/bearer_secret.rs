//! Whoever sends the secret is let in: the operator at `/admin`, a backend at the doors that count its calls.

use core::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::secret::Secret;

/// The digest of a secret that is sent as a bearer token; the secret itself is not kept.
#[derive(Clone)]
pub struct BearerSecret([u8; 32]);

impl BearerSecret {
    /// Keeps the secret's digest.
    pub fn new(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.expose()).into())
    }

    /// Whether the request carries the secret as its one bearer token. How long that takes depends on what was sent, not
    /// on the secret: digests of equal length are compared as a whole.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        let presented: [u8; 32] = Sha256::digest(token.trim()).into();
        scheme.eq_ignore_ascii_case("bearer") & bool::from(presented.ct_eq(&self.0))
    }
}

impl fmt::Debug for BearerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn admits(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        BearerSecret::new(&Secret::new(SECRET)).admits(&headers)
    }

    #[test]
    fn the_secret_is_admitted_under_any_spelling_of_the_scheme() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert!(admits(&[&format!("{scheme} {SECRET}")]));
        }
    }

    #[test]
    fn nothing_else_is_admitted() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            SECRET,
            "Bearer 0123456789abcdef0123456789abcde",
            "Bearer 0123456789abcdef0123456789abcdef0",
            "Bearer 0123456789ABCDEF0123456789abcdef",
            "Basic 0123456789abcdef0123456789abcdef",
        ] {
            assert!(!admits(&[value]), "{value}");
        }
        assert!(!admits(&[]));
        assert!(!admits(&[&format!("Bearer {SECRET}"), "Bearer x"]));
    }

    #[test]
    fn debug_output_shows_nothing() {
        let shown = format!("{:?}", BearerSecret::new(&Secret::new(SECRET)));
        assert_eq!(shown, "BearerSecret(…)");
    }
}
