//! Calls to the seller's backend: their content, and how the gateway proves that it is the caller.

use core::fmt;

use alloy_primitives::hex;
use key0_validator::Claims;

use super::oauth::OAuthClient;
use crate::token::{RsaSigner, SigningError, TokenSigner};
use crate::types::{SERVICE_PLAN, Secret, UnixSeconds};

/// How long a service token is good.
const SERVICE_TOKEN_SECONDS: u64 = 60;

/// One call to the backend.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackendCall {
    /// The URL to post to.
    pub url: String,
    /// The JSON body.
    pub body: Vec<u8>,
    /// Equal for every repeat of this call, so that a backend can act on it once (header `Idempotency-Key`).
    pub idempotency_key: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The public URL of this deployment at which the purchase was made.
    pub issuer: String,
    /// How long the answer may take, in milliseconds.
    pub timeout_millis: u32,
}

/// What the backend answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackendAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl BackendAnswer {
    /// By a secret that the gateway and the backend share.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// How the gateway authenticates towards the backend (`BACKEND_AUTH_STRATEGY`).
pub enum BackendAuth {
    /// The gateway does not authenticate itself: only the worker can reach the backend.
    None,
    /// The gateway sends a secret that both know.
    SharedSecret {
        /// The header that carries it.
        header: String,
        /// The secret.
        secret: Secret,
    },
    /// By a token that the gateway signs for each call. It has the form of a buyer's token, but only this backend
    /// accepts it.
    ServiceToken {
        /// The audience: who shall accept the token.
        audience: String,
    },
    /// By a token that an authorization server issues.
    OAuth(Box<OAuthClient>),
}

impl fmt::Debug for BackendAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl BackendAuth {
    /// The strategy's name in the settings.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SharedSecret { .. } => "shared-secret",
            Self::ServiceToken { .. } => "jwt",
            Self::OAuth(_) => "oauth",
        }
    }
}

/// The token that proves to a backend that this gateway calls. It is good for a minute.
pub async fn service_token(
    signer: &TokenSigner,
    rsa: &dyn RsaSigner,
    audience: &str,
    issuer: &str,
    now: UnixSeconds,
    nonce: [u8; 16],
) -> Result<String, SigningError> {
    let claims = Claims {
        sub: "key0-service".to_owned(),
        jti: hex::encode(nonce),
        resource_id: audience.to_owned(),
        plan_id: SERVICE_PLAN.to_owned(),
        tx_hash: "system-auth".to_owned(),
        iat: now.0,
        exp: now.plus(SERVICE_TOKEN_SECONDS).0,
        iss: Some(issuer.to_owned()),
        payer: None,
        chain_id: None,
        grant: None,
        limits: None,
    };
    signer.sign(&claims, rsa).await
}

#[cfg(test)]
mod tests {
    use crate::json;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use futures_util::FutureExt as _;
    use key0_validator::{Config, Validator};
    use serde_json::Value;

    use super::*;
    use crate::token::NoRsa;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn token() -> String {
        let signer = TokenSigner::hs256(&Secret::new(SECRET));
        service_token(
            &signer,
            &NoRsa,
            "https://backend.example",
            "https://shop.example",
            NOW,
            [7; 16],
        )
        .now_or_never()
        .unwrap()
        .unwrap()
    }

    #[test]
    fn a_service_token_has_the_documented_claims() {
        let token = token();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
        let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
        assert_eq!(
            claims,
            json!({
                "sub": "key0-service",
                "jti": "07".repeat(16),
                "resourceId": "https://backend.example",
                "planId": "system",
                "txHash": "system-auth",
                "iat": NOW.0,
                "exp": NOW.0 + 60,
                "iss": "https://shop.example",
            })
        );
    }

    #[test]
    fn a_service_token_opens_nothing_that_is_sold() {
        let validator = Validator::new(Config::hs256(SECRET).unwrap());
        let header = format!("Bearer {}", token());
        assert!(validator.validate_at(header.as_str(), NOW.0).is_err());
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let auth = BackendAuth::SharedSecret {
            header: "x-internal-auth".to_owned(),
            secret: Secret::new("hunter2"),
        };
        assert_eq!(format!("{auth:?}"), "shared-secret");
    }
}
