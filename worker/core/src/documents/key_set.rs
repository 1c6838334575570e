//! `GET /.well-known/jwks.json`: the keys with which backends check the tokens.

use serde::Serialize;

use crate::config::TokenSettings;
use crate::token::{JsonWebKey, RsaPublicKey};

/// `GET /.well-known/jwks.json`: the public keys whose tokens may be good (RFC 7517, section 5).
#[derive(Debug, Serialize)]
pub struct JsonWebKeySet<'a> {
    keys: Vec<JsonWebKey<'a>>,
}

/// The public keys of this deployment, the signing one first. A shared secret is not among them.
pub fn json_web_key_set(token: &TokenSettings) -> JsonWebKeySet<'_> {
    JsonWebKeySet {
        keys: token.public_keys.iter().map(RsaPublicKey::jwk).collect(),
    }
}
