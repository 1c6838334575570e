//! How access tokens are signed, and how long they last.

use super::secrets::Secrets;
use super::vars::{Read, Vars};
use crate::token::{RsaPrivateKey, RsaPublicKey, TokenReader, TokenSigner};

/// How access tokens are signed, and how long they last.
#[derive(Debug)]
pub struct TokenSettings {
    /// How long a token lasts when its plan does not say.
    pub ttl_seconds: u64,
    /// The key that signs tokens.
    pub signer: TokenSigner,
    /// The public keys that a good token may be signed with; the current one comes first.
    pub public_keys: Vec<RsaPublicKey>,
    /// Reads the tokens that callers of routes send.
    pub reader: TokenReader,
}

pub(super) fn read(vars: &mut Vars<'_>, secrets: &Secrets) -> Option<TokenSettings> {
    let ttl_seconds = vars.number("KEY0_TOKEN_TTL_SECONDS", 3600, 1, 10 * 366 * 86_400);
    let algorithms = [("HS256", false), ("RS256", true)];
    let signs_with_rsa = vars.choice("KEY0_TOKEN_ALGORITHM", "HS256", &algorithms);
    let key = vars.optional("KEY0_ACCESS_TOKEN_PRIVATE_KEY", RsaPrivateKey::from_pem);
    let mut keys = |name| {
        vars.optional(name, RsaPublicKey::list_from_pem)
            .into_option()
    };
    let next_keys = keys("KEY0_ACCESS_TOKEN_PUBLIC_KEYS_NEXT");
    let old_keys = keys("KEY0_ACCESS_TOKEN_PUBLIC_KEYS_OLD");
    if let (Some(true), Read::Absent) = (signs_with_rsa, &key) {
        vars.problem(
            "KEY0_ACCESS_TOKEN_PRIVATE_KEY",
            "is required when KEY0_TOKEN_ALGORITHM is RS256",
        );
    }
    let key = key.into_option();
    let mut public_keys: Vec<RsaPublicKey> = key.iter().map(|key| key.public().clone()).collect();
    // The next keys come before the old ones, because backends read only the beginning of a long document.
    for other in next_keys.into_iter().chain(old_keys).flatten() {
        if !public_keys.contains(&other) {
            public_keys.push(other);
        }
    }
    Some(TokenSettings {
        ttl_seconds: ttl_seconds?,
        signer: match key {
            Some(key) if signs_with_rsa? => TokenSigner::Rs256(Box::new(key)),
            _ => TokenSigner::hs256(secrets.token.as_ref()?),
        },
        reader: TokenReader::new(
            secrets.token.iter().chain(&secrets.old),
            public_keys.clone(),
        ),
        public_keys,
    })
}
