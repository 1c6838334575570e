//! A backend is known by the secret that it sends.

use http::{HeaderMap, header};

use crate::config::Config;
use crate::error::{Code, Error};
use crate::limit;
use crate::response::{self, Response};

/// A request of a backend.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

/// The answer to who has no business here: 404 without the setting, and 401, which counts against the sender's address,
/// without the secret.
pub(super) fn turned_away(config: &Config, headers: &HeaderMap) -> Option<Response> {
    let Some(secret) = &config.meter_secret else {
        return Some(response::not_found());
    };
    if secret.admits(headers) {
        return None;
    }
    let mut refusal = response::error(&Error::new(
        Code::Unauthorized,
        "Send the secret that the worker has as KEY0_METER_SECRET, as Authorization: Bearer <secret>.",
    ));
    let challenge = "Bearer realm=\"key0 meter\"";
    response::set(&mut refusal, header::WWW_AUTHENTICATE, challenge);
    Some(limit::counted(refusal))
}
