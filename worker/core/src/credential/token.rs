//! Access tokens: JWTs signed by this gateway (`design.md`, section 10). The claims are `key0_validator::Claims`.

use core::fmt;

use alloy_primitives::hex;
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{AlgorithmExt, Claims as JwtClaims, Header};
use key0_validator::Claims;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::types::{HttpUrl, Secret};

/// What tokens are signed with. The same claims always give the same token, so none needs to be stored.
pub struct TokenSigner {
    key: Hs256Key,
    key_id: String,
}

/// A token could not be made; the claims could not be written as JSON.
#[derive(Debug)]
pub struct SigningError;

impl TokenSigner {
    /// Signs with a secret that the backend shares (HMAC-SHA-256).
    pub fn hs256(secret: &Secret) -> Self {
        let digest = Sha256::new()
            .chain_update(b"key0 kid v1\0")
            .chain_update(secret.expose())
            .finalize();
        let mut key_id = hex::encode(digest);
        key_id.truncate(16);
        Self {
            key: Hs256Key::new(secret.expose()),
            key_id,
        }
    }

    /// The token for these claims.
    pub fn sign(&self, claims: &Claims) -> Result<String, SigningError> {
        let header = Header::empty()
            .with_token_type("JWT")
            .with_key_id(self.key_id.as_str());
        // `exp` and `iat` are members of our claims type, so jwt-compact must not write its own.
        let claims = JwtClaims::new(claims);
        Hs256
            .token(&header, &claims, &self.key)
            .map_err(|_| SigningError)
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSigner(HS256, kid {})", self.key_id)
    }
}

/// `GET /.well-known/token-info`: what a backend must know to check the tokens.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenInfo<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    token_type: &'static str,
    algorithm: &'static str,
    key_id: &'a str,
    issuer: &'a str,
    expires_in: u64,
    claims: [ClaimInfo; 9],
}

#[derive(Debug, Serialize)]
struct ClaimInfo {
    name: &'static str,
    description: &'static str,
}

/// The token format of this deployment, as seen at `origin`.
pub fn token_info<'a>(config: &'a Config, origin: &'a HttpUrl) -> TokenInfo<'a> {
    let claim = |name, description| ClaimInfo { name, description };
    TokenInfo {
        kind: "JWT",
        token_type: "Bearer",
        algorithm: "HS256",
        key_id: &config.token_signer.key_id,
        issuer: origin.as_str(),
        expires_in: config.token_ttl_seconds,
        claims: [
            claim("sub", "request id of the purchase"),
            claim("jti", "challenge id of the purchase"),
            claim("resourceId", "the resource that the token opens"),
            claim("planId", "the plan that was bought"),
            claim("txHash", "the transaction that paid"),
            claim("iat", "second of issue, Unix time"),
            claim(
                "exp",
                "first second at which the token is no longer good, Unix time",
            ),
            claim("iss", "the gateway's public URL"),
            claim("payer", "address of the wallet that paid"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            sub: "550e8400-e29b-41d4-a716-446655440000".to_owned(),
            jti: "challenge".to_owned(),
            resource_id: "default".to_owned(),
            plan_id: "basic".to_owned(),
            tx_hash: format!("0x{}", "ab".repeat(32)),
            iat: 1_800_000_000,
            exp: 1_800_003_600,
            iss: Some("https://shop.example".to_owned()),
            payer: Some("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".to_owned()),
        }
    }

    #[test]
    fn the_same_claims_give_the_same_token() {
        let signer = TokenSigner::hs256(&Secret::new("0123456789abcdef0123456789abcdef"));
        assert_eq!(
            signer.sign(&claims()).unwrap(),
            signer.sign(&claims()).unwrap()
        );
    }

    #[test]
    fn each_claim_stands_in_the_token_once() {
        use base64::Engine as _;
        let signer = TokenSigner::hs256(&Secret::new("0123456789abcdef0123456789abcdef"));
        let token = signer.sign(&claims()).unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(payload)
            .unwrap();
        let text = String::from_utf8(payload).unwrap();
        for name in [
            "sub",
            "jti",
            "resourceId",
            "planId",
            "txHash",
            "iat",
            "exp",
            "iss",
            "payer",
        ] {
            assert_eq!(text.matches(&format!("\"{name}\":")).count(), 1, "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let signer = TokenSigner::hs256(&Secret::new("0123456789abcdef0123456789abcdef"));
        assert!(!format!("{signer:?}").contains("0123456789abcdef0"));
    }
}
