//! `GET /.well-known/revoked`: the grants that were taken back, signed like an access token. Backends read it.

use serde::Serialize;

use crate::config::Config;
use crate::meter::RevokedList;
use crate::token::{RsaSigner, SigningError};
use crate::types::{HttpUrl, UnixSeconds};

/// The path of the list.
pub const REVOKED_PATH: &str = "/.well-known/revoked";
/// The list's media type.
pub const REVOKED_TYPE: &str = "application/revoked+jwt";
/// The list's type, in its header. No reader of access tokens takes it.
const TYPE: &str = "revoked+jwt";
/// For how long a list is good.
const GOOD_SECONDS: u64 = 300;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: u64,
    exp: u64,
    revoked: &'a [String],
    truncated: bool,
}

/// The signed list, as it is at this time.
pub async fn revoked(
    config: &Config,
    origin: &HttpUrl,
    list: &RevokedList,
    now: UnixSeconds,
    rsa: &dyn RsaSigner,
) -> Result<String, SigningError> {
    let claims = Claims {
        iss: origin.as_str(),
        iat: now.0,
        exp: now.0.saturating_add(GOOD_SECONDS),
        revoked: &list.grants,
        truncated: list.truncated,
    };
    let claims = serde_json::to_vec(&claims).map_err(|_| SigningError)?;
    config.token.signer.sign_as(TYPE, &claims, rsa).await
}
