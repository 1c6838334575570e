//! A request as the platform hands it over.

use http::HeaderMap;

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, already limited to [`crate::response::MAX_BODY_BYTES`].
    pub body: &'a [u8],
}
