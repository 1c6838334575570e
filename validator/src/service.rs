//! Tokens with which a gateway shows itself to the seller's backend (`BACKEND_AUTH_STRATEGY=jwt`).

use core::fmt;

use crate::validator::{Clock, Purpose, check};
use crate::{AccessToken, ClaimsRef, Config, ValidationError};

/// Longest life of such a token, in seconds.
pub const MAX_SERVICE_TOKEN_SECONDS: u64 = 60;

/// Checks the tokens with which a gateway calls a backend: to issue a credential, to tell of a payment.
///
/// What it accepts and what a [`Validator`](crate::Validator) accepts have nothing in common, even under the same key: a
/// buyer cannot act as the gateway, and the gateway's token buys nothing.
///
/// ```
/// use key0_validator::{Config, ServiceValidator, ValidationError};
///
/// // The key that signs buyers' tokens, too; with RS256, its public half.
/// let config = Config::hs256("the gateway's KEY0_ACCESS_TOKEN_SECRET")?;
/// let gateway = ServiceValidator::new(config, "https://api.example.com");
///
/// let refused = gateway.validate("Bearer not-a-token").unwrap_err();
/// assert_eq!(refused, ValidationError::NotAJwt);
/// # Ok::<(), key0_validator::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServiceValidator {
    config: Config,
    audience: String,
}

impl ServiceValidator {
    /// Accepts tokens for this audience: their `resourceId` must be exactly this. Of the configuration, what concerns buyers'
    /// tokens only (resource, plan, cache) has no effect here.
    #[must_use]
    pub fn new(config: Config, audience: impl Into<String>) -> Self {
        Self {
            config,
            audience: audience.into(),
        }
    }

    /// Checks the value of an Authorization header, or says that there was none, by the system clock.
    ///
    /// # Errors
    ///
    /// What is wrong with the header or the token.
    pub fn validate<'h>(
        &self,
        authorization: impl Into<Option<&'h str>>,
    ) -> Result<ServiceToken, ValidationError> {
        self.check(authorization.into(), Clock::System)
    }

    /// Like [`validate`](Self::validate), at the second `now` of Unix time.
    ///
    /// # Errors
    ///
    /// What is wrong with the header or the token.
    pub fn validate_at<'h>(
        &self,
        authorization: impl Into<Option<&'h str>>,
        now: u64,
    ) -> Result<ServiceToken, ValidationError> {
        self.check(authorization.into(), Clock::At(now))
    }

    fn check(&self, header: Option<&str>, clock: Clock) -> Result<ServiceToken, ValidationError> {
        let purpose = Purpose::Service {
            audience: &self.audience,
        };
        check(
            &self.config,
            header,
            clock,
            purpose,
            AccessToken::read,
            AccessToken::claims,
        )
        .map(ServiceToken)
    }
}

/// A gateway's token for one call, which passed every check. Only validation makes one.
#[derive(Clone, Eq, PartialEq)]
pub struct ServiceToken(AccessToken);

impl ServiceToken {
    /// The token's own id, random. A backend that fears replays within a minute refuses an id that it has seen.
    #[must_use]
    pub fn jti(&self) -> &str {
        self.0.jti()
    }

    /// Whom it is for: the backend.
    #[must_use]
    pub fn audience(&self) -> &str {
        self.0.resource_id()
    }

    /// The gateway's public URL, if it says so.
    #[must_use]
    pub fn iss(&self) -> Option<&str> {
        self.0.iss()
    }

    /// First second at which it is no longer good, Unix time.
    #[must_use]
    pub fn exp(&self) -> u64 {
        self.0.exp()
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceToken")
            .field("jti", &self.jti())
            .field("audience", &self.audience())
            .field("exp", &self.exp())
            .finish()
    }
}

const SERVICE_PLAN: &str = "system";
const SERVICE_SUBJECT: &str = "key0-service";
const SERVICE_TX_HASH: &str = "system-auth";

/// Which of a service token's marks are there.
fn marks(claims: ClaimsRef<'_>) -> [bool; 3] {
    claims.are(SERVICE_PLAN, SERVICE_SUBJECT, SERVICE_TX_HASH)
}

/// A buyer's token has none of a service token's marks.
pub(crate) fn is_for_buyers(claims: ClaimsRef<'_>) -> bool {
    marks(claims) == [false; 3]
}

/// A service token has all of them, is for us and short-lived.
pub(crate) fn judge(
    claims: ClaimsRef<'_>,
    audience: &str,
    now: u64,
    leeway: u64,
) -> Result<(), ValidationError> {
    if marks(claims) != [true; 3] {
        return Err(ValidationError::NotAServiceToken);
    }
    if claims.resource_id() != audience {
        return Err(ValidationError::WrongAudience);
    }
    let iat = claims.iat().ok_or(ValidationError::MissingClaim("iat"))?;
    if claims.exp() > iat.saturating_add(MAX_SERVICE_TOKEN_SECONDS) {
        return Err(ValidationError::InvalidClaim("exp"));
    }
    if iat > now.saturating_add(leeway) {
        return Err(ValidationError::NotYetValid);
    }
    Ok(())
}
