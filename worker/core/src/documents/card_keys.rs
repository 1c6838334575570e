//! `GET /.well-known/agent-card-keys.json`: the key with which agents check the card.

use serde::Serialize;

use crate::config::A2aSettings;

/// Where the key is published. The set of the tokens' keys has another address: this key signs no tokens.
pub const CARD_KEYS_PATH: &str = "/.well-known/agent-card-keys.json";

/// A set of keys (RFC 7517, section 5) that holds the card's key only.
#[derive(Debug, Serialize)]
pub struct CardKeys<'a> {
    keys: [CardJwk<'a>; 1],
}

/// A public key on P-256 (RFC 7518, section 6.2).
#[derive(Debug, Serialize)]
struct CardJwk<'a> {
    kty: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: &'a str,
    crv: &'static str,
    x: &'a str,
    y: &'a str,
}

/// The public half of the key that signs the card; `None` where the card is not signed.
pub fn card_keys(a2a: &A2aSettings) -> Option<CardKeys<'_>> {
    let key = a2a.card_key.as_ref()?;
    let (x, y) = key.coordinates();
    Some(CardKeys {
        keys: [CardJwk {
            kty: "EC",
            usage: "sig",
            alg: "ES256",
            kid: key.key_id(),
            crv: "P-256",
            x,
            y,
        }],
    })
}
