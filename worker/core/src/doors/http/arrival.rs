//! A request as the platform hands it over.

use http::HeaderMap;

use crate::token::RsaSigner;
use crate::types::{HttpUrl, UnixSeconds};

/// A request as it arrived.
#[expect(
    missing_debug_implementations,
    reason = "the platform has nothing to show"
)]
pub struct Arrival<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, already limited to [`crate::response::MAX_BODY_BYTES`].
    pub body: &'a [u8],
    /// The public address of this deployment.
    pub origin: HttpUrl,
    /// When.
    pub now: UnixSeconds,
    /// Sixteen random bytes for a request id.
    pub random: [u8; 16],
    /// The platform's RSA.
    pub rsa: &'a dyn RsaSigner,
}
