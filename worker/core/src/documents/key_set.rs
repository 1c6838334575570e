//! `GET /.well-known/jwks.json`: the keys with which backends check the tokens.

use serde::Serialize;

use crate::config::TokenSettings;
use crate::token::{JsonWebKey, RsaPublicKey};

/// `GET /.well-known/jwks.json`: the public keys that a good token may be signed with (RFC 7517, section 5).
#[derive(Debug, Serialize)]
pub struct JsonWebKeySet<'a> {
    keys: Vec<JsonWebKey<'a>>,
}

/// The public keys of this deployment; the one that signs now comes first. A shared secret is not listed.
pub fn json_web_key_set(token: &TokenSettings) -> JsonWebKeySet<'_> {
    JsonWebKeySet {
        keys: token.public_keys.iter().map(RsaPublicKey::jwk).collect(),
    }
}
