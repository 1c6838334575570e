//! Tokens with which a gateway shows itself to the seller's backend (`BACKEND_AUTH_STRATEGY=jwt`).

use core::fmt;

use std::sync::Arc;

use crate::gateway::{Clock, Gateway, Purpose, token_of_header};
use crate::validator::{refresh, try_all};
use crate::{AccessToken, Config, ValidationError, trace};

/// Longest life of such a token, in seconds.
const MAX_SERVICE_TOKEN_SECONDS: u64 = 60;

/// Checks the tokens with which a gateway calls a backend: to issue a credential, to tell of a payment.
///
/// What this validator accepts and what a [`Validator`](crate::Validator) accepts have nothing in common, even under
/// the same key: a buyer cannot act as the gateway, and the gateway's token buys nothing.
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
#[derive(Clone)]
pub struct ServiceValidator {
    /// Never empty.
    pub(crate) gateways: Arc<[Arc<Gateway>]>,
    audience: Arc<str>,
}

impl ServiceValidator {
    /// Accepts tokens for this audience: their `resourceId` must be exactly this. Of the configuration, what concerns buyers'
    /// tokens only (chain, cache) has no effect here.
    #[must_use]
    pub fn new(config: Config, audience: impl Into<String>) -> Self {
        let config = Config {
            cache: None,
            ..config
        };
        Self {
            gateways: [Arc::new(Gateway::new(config))].into(),
            audience: audience.into().into(),
        }
    }

    /// Accepts the calls of another gateway too, for the same audience. Give each configuration its
    /// [`issuer`](Config::issuer).
    #[must_use]
    pub fn or(self, other: Config) -> Self {
        let other = Self::new(other, "");
        let gateways = self.gateways.iter().chain(&*other.gateways);
        Self {
            gateways: gateways.cloned().collect(),
            ..self
        }
    }

    /// Checks the value of an Authorization header, or says that there was none, by the system clock.
    ///
    /// A token that names an unknown key makes a [`KeySource`](crate::KeySource) fetch, and is refused until the key is there.
    /// [`validate_async`](Self::validate_async) waits for that.
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

    /// Like [`validate`](Self::validate), but waits for keys as
    /// [`Validator::validate_async`](crate::Validator::validate_async) does.
    ///
    /// # Errors
    ///
    /// What is wrong with the header or the token.
    pub async fn validate_async<'h>(
        &self,
        authorization: impl Into<Option<&'h str>>,
    ) -> Result<ServiceToken, ValidationError> {
        let token = token_of_header(authorization.into())?;
        let first = self.try_all(token, Clock::System);
        let outcome = match refresh(&self.gateways, &first) {
            None => first,
            Some(refreshed) => {
                refreshed.await;
                self.try_all(token, Clock::System)
            }
        };
        trace::outcome(&outcome);
        outcome
    }

    fn check(&self, header: Option<&str>, clock: Clock) -> Result<ServiceToken, ValidationError> {
        let outcome = token_of_header(header).and_then(|token| self.try_all(token, clock));
        trace::outcome(&outcome);
        _ = refresh(&self.gateways, &outcome);
        outcome
    }

    fn try_all(&self, token: &[u8], clock: Clock) -> Result<ServiceToken, ValidationError> {
        try_all(&self.gateways, token, clock, self.purpose(), None)
            .map(|(_, access)| ServiceToken(access))
    }

    pub(crate) fn purpose(&self) -> Purpose<'_> {
        Purpose::Service {
            audience: &self.audience,
        }
    }
}

impl fmt::Debug for ServiceValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceValidator")
            .field("gateways", &self.gateways)
            .field("audience", &self.audience)
            .finish()
    }
}

/// A gateway's token for one call. The token passed every check: only validation makes one.
#[derive(Clone, Eq, PartialEq)]
pub struct ServiceToken(pub(crate) AccessToken);

impl ServiceToken {
    /// The token's own id, random. A backend that fears replays within a minute refuses an id that it has seen.
    #[must_use]
    pub fn jti(&self) -> &str {
        self.0.jti()
    }

    /// The audience: the backend that the token is for.
    #[must_use]
    pub fn audience(&self) -> &str {
        self.0.resource_id()
    }

    /// The gateway's public URL, if the token names it.
    #[must_use]
    pub fn iss(&self) -> Option<&str> {
        self.0.iss()
    }

    /// First second at which the token is no longer good, Unix time.
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

pub(crate) const SERVICE_PLAN: &str = "system";
pub(crate) const SERVICE_SUBJECT: &str = "key0-service";
pub(crate) const SERVICE_TX_HASH: &str = "system-auth";

/// Which of these claims have the fixed value that marks a service token: plan, subject, transaction.
fn marks(claims: &AccessToken) -> [bool; 3] {
    claims.are(SERVICE_PLAN, SERVICE_SUBJECT, SERVICE_TX_HASH)
}

/// A buyer's token has none of a service token's marks.
pub(crate) fn is_for_buyers(claims: &AccessToken) -> bool {
    marks(claims) == [false; 3]
}

/// A service token has all of these marks, is for this audience and short-lived.
pub(crate) fn judge(
    claims: &AccessToken,
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
