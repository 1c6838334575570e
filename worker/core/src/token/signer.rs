//! Access tokens: JWTs signed by this gateway. The claims are `key0_validator::Claims`.

use core::fmt;
use core::future::Future;
use core::pin::Pin;

use alloy_primitives::hex;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{Algorithm as _, AlgorithmSignature as _};
use key0_validator::Claims;
use sha2::{Digest, Sha256};

use super::rsa_key::RsaPrivateKey;
use crate::types::Secret;

/// The key that signs tokens. The same claims always give the same token, so none needs to be stored.
pub enum TokenSigner {
    /// A secret that the backend shares (HMAC-SHA-256).
    Hs256 {
        /// The key.
        key: Hs256Key,
        /// The key's name in token headers.
        key_id: String,
    },
    /// A key whose public half everybody may have (RSASSA-PKCS1-v1_5 with SHA-256).
    Rs256(Box<RsaPrivateKey>),
}

/// A token could not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SigningError;

/// A future that makes a signature.
pub type Signature<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SigningError>> + 'a>>;

/// The platform's RSA.
pub trait RsaSigner {
    /// Signs with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 8017).
    fn rs256<'a>(&'a self, key: &'a RsaPrivateKey, message: &'a [u8]) -> Signature<'a>;
}

impl TokenSigner {
    /// Signs with a secret that the backend shares.
    pub fn hs256(secret: &Secret) -> Self {
        let digest = Sha256::new()
            .chain_update(b"key0 kid v1\0")
            .chain_update(secret.expose())
            .finalize();
        let mut key_id = hex::encode(digest);
        key_id.truncate(16);
        Self::Hs256 {
            key: Hs256Key::new(secret.expose()),
            key_id,
        }
    }

    /// The name of the algorithm (RFC 7518).
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256 { .. } => "HS256",
            Self::Rs256(_) => "RS256",
        }
    }

    /// The key's name in token headers.
    pub fn key_id(&self) -> &str {
        match self {
            Self::Hs256 { key_id, .. } => key_id,
            Self::Rs256(key) => key.public().key_id(),
        }
    }

    /// The token for these claims.
    pub async fn sign(&self, claims: &Claims, rsa: &dyn RsaSigner) -> Result<String, SigningError> {
        let claims = serde_json::to_vec(claims).map_err(|_| SigningError)?;
        self.sign_as("JWT", &claims, rsa).await
    }

    /// The JWT of this type for these claims, which are JSON.
    pub async fn sign_as(
        &self,
        kind: &str,
        claims: &[u8],
        rsa: &dyn RsaSigner,
    ) -> Result<String, SigningError> {
        let (algorithm, key_id) = (self.algorithm(), self.key_id());
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{key_id}","typ":"{kind}"}}"#);
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = match self {
            Self::Hs256 { key, .. } => Hs256.sign(key, token.as_bytes()).as_bytes().into_owned(),
            Self::Rs256(key) => rsa.rs256(key, token.as_bytes()).await?,
        };
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TokenSigner({}, kid {})",
            self.algorithm(),
            self.key_id()
        )
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::token::NoRsa;

    fn sign(signer: &TokenSigner) -> Result<String, SigningError> {
        signer.sign(&claims(), &NoRsa).now_or_never().unwrap()
    }

    fn claims() -> Claims {
        Claims {
            sub: "550e8400-e29b-41d4-a716-446655440000".to_owned(),
            jti: "purchase".to_owned(),
            resource_id: "default".to_owned(),
            plan_id: "basic".to_owned(),
            tx_hash: format!("0x{}", "ab".repeat(32)),
            iat: 1_800_000_000,
            exp: 1_800_003_600,
            iss: Some("https://shop.example".to_owned()),
            payer: Some("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".to_owned()),
            chain_id: Some(8453),
            grant: None,
            limits: None,
        }
    }

    #[test]
    fn the_same_claims_give_the_same_token() {
        let signer = TokenSigner::hs256(&Secret::new("0123456789abcdef0123456789abcdef"));
        assert_eq!(sign(&signer).unwrap(), sign(&signer).unwrap());
    }

    #[test]
    fn a_token_is_what_jwt_compact_writes() {
        use jwt_compact::{AlgorithmExt as _, Claims as JwtClaims, Header};
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        let signer = TokenSigner::hs256(&secret);
        let header = Header::empty()
            .with_token_type("JWT")
            .with_key_id(signer.key_id());
        let key = Hs256Key::new(secret.expose());
        let theirs = Hs256.token(&header, &JwtClaims::new(claims()), &key);
        assert_eq!(sign(&signer).unwrap(), theirs.unwrap());
    }

    #[test]
    fn each_claim_stands_in_the_token_once() {
        let signer = TokenSigner::hs256(&Secret::new("0123456789abcdef0123456789abcdef"));
        let token = sign(&signer).unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
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
            "chainId",
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
