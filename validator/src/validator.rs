//! The order of work: cheap refusals first, nothing of the payload before the signature is proven.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cache::Cache;
use crate::config::BASE_SEPOLIA;
#[cfg(feature = "rs256")]
use crate::keys::Keys;
use crate::{AccessToken, ClaimsRef, Config, TokenBuffer, ValidationError, service, words};

/// Longest Authorization header that is looked at, in bytes.
pub const MAX_HEADER_LEN: usize = 8192;

/// Checks tokens against one [`Config`]. Made once; a clone is cheap and shares it.
///
/// ```
/// use key0_validator::{Config, ValidationError, Validator};
///
/// let validator = Validator::new(Config::hs256("the current secret, 32 bytes or more")?);
///
/// let refused = validator.validate("Bearer not-a-token").unwrap_err();
/// assert_eq!(refused, ValidationError::NotAJwt);
/// assert_eq!((refused.status(), refused.code()), (401, "INVALID_REQUEST"));
/// # Ok::<(), key0_validator::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Validator {
    config: Arc<Config>,
    cache: Option<Arc<Cache>>,
}

impl Validator {
    /// A validator of this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            cache: config
                .cached_tokens
                .map(|tokens| Arc::new(Cache::new(tokens))),
            config: Arc::new(config),
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
    ) -> Result<AccessToken, ValidationError> {
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
    ) -> Result<AccessToken, ValidationError> {
        self.check(authorization.into(), Clock::At(now))
    }

    /// Like [`validate`](Self::validate), with the claims in a buffer of the caller's: nothing is allocated when it was
    /// used before. Nothing is remembered either.
    ///
    /// # Errors
    ///
    /// What is wrong with the header or the token.
    pub fn validate_in<'b, 'h>(
        &self,
        authorization: impl Into<Option<&'h str>>,
        buffer: &'b mut TokenBuffer,
    ) -> Result<ClaimsRef<'b>, ValidationError> {
        self.check_in(authorization.into(), Clock::System, buffer)
    }

    /// Like [`validate_in`](Self::validate_in), at the second `now` of Unix time.
    ///
    /// # Errors
    ///
    /// What is wrong with the header or the token.
    pub fn validate_in_at<'b, 'h>(
        &self,
        authorization: impl Into<Option<&'h str>>,
        now: u64,
        buffer: &'b mut TokenBuffer,
    ) -> Result<ClaimsRef<'b>, ValidationError> {
        self.check_in(authorization.into(), Clock::At(now), buffer)
    }

    /// Like [`validate`](Self::validate); but when the token names a key that is not there, and the keys are from a
    /// [`KeySource`](crate::KeySource) that may fetch now, waits for that and tries once more. Needs no runtime.
    ///
    /// # Errors
    ///
    /// What is wrong with the header or the token.
    #[cfg(feature = "rs256")]
    pub async fn validate_fresh(
        &self,
        authorization: Option<&str>,
    ) -> Result<AccessToken, ValidationError> {
        let first = self.validate(authorization);
        match self.refresh_for(&first) {
            None => first,
            Some(refreshed) => {
                refreshed.await;
                self.validate(authorization)
            }
        }
    }

    /// What to wait for when another try may end better than this one.
    #[cfg(feature = "rs256")]
    pub(crate) fn refresh_for<T>(
        &self,
        outcome: &Result<T, ValidationError>,
    ) -> Option<crate::source::Refreshed> {
        let Err(ValidationError::UnknownKey | ValidationError::NoKeys) = outcome else {
            return None;
        };
        match &self.config.keys {
            Keys::Source(source) => source.refresh(),
            _ => None,
        }
    }

    fn check(&self, header: Option<&str>, clock: Clock) -> Result<AccessToken, ValidationError> {
        let fresh = || {
            check(
                &self.config,
                header,
                clock,
                Purpose::Buyer,
                AccessToken::read,
                AccessToken::claims,
            )
        };
        let Some(cache) = &self.cache else {
            return fresh();
        };
        let token = token(header)?;
        let Some(generation) = self.config.keys.generation() else {
            return fresh();
        };
        if let Some(access) = cache.get(token, generation) {
            judge_dates(&self.config, access.claims(), clock.now()?)?;
            admit(&self.config, access.claims())?;
            return Ok(access);
        }
        fresh().map(|access| cache.put(token, access, generation))
    }

    fn check_in<'b>(
        &self,
        header: Option<&str>,
        clock: Clock,
        buffer: &'b mut TokenBuffer,
    ) -> Result<ClaimsRef<'b>, ValidationError> {
        check(
            &self.config,
            header,
            clock,
            Purpose::Buyer,
            move |payload| ClaimsRef::read(payload, buffer),
            |claims| *claims,
        )
    }
}

impl From<Config> for Validator {
    fn from(config: Config) -> Self {
        Self::new(config)
    }
}

/// Checks the value of an Authorization header by the system clock: [`Validator::validate`] in one call.
///
/// On bare `wasm32-unknown-unknown`, where there is no clock to read, this answers [`ValidationError::NoClock`] for
/// a good token; pass the time to [`Validator::validate_at`] there.
///
/// # Errors
///
/// What is wrong with the header or the token.
pub fn validate_token<'h>(
    authorization_header: impl Into<Option<&'h str>>,
    config: &Config,
) -> Result<AccessToken, ValidationError> {
    check(
        config,
        authorization_header.into(),
        Clock::System,
        Purpose::Buyer,
        AccessToken::read,
        AccessToken::claims,
    )
}

/// By what dates are judged. The system's clock is read only for a token that got so far.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    System,
    At(u64),
}

impl Clock {
    fn now(self) -> Result<u64, ValidationError> {
        match self {
            Self::At(now) => Ok(now),
            // Reading the clock of this target panics.
            Self::System if cfg!(all(target_family = "wasm", target_os = "unknown")) => {
                Err(ValidationError::NoClock)
            }
            Self::System => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .as_ref()
                .map(Duration::as_secs)
                .map_err(|_| ValidationError::NoClock),
        }
    }
}

/// Whose tokens are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'p> {
    Buyer,
    Service { audience: &'p str },
}

/// The whole check. `read` takes the payload once the signature is proven; `claims` looks at what it made.
pub(crate) fn check<T, R, C>(
    config: &Config,
    authorization: Option<&str>,
    clock: Clock,
    purpose: Purpose<'_>,
    read: R,
    claims: C,
) -> Result<T, ValidationError>
where
    R: FnOnce(&[u8]) -> Result<T, ValidationError>,
    C: for<'t> Fn(&'t T) -> ClaimsRef<'t>,
{
    let payload = prove(config, token(authorization)?)?;
    let access = read(payload)?;
    judge(config, claims(&access), clock, purpose)?;
    Ok(access)
}

/// The signed payload, once its signature is proven.
fn prove<'t>(config: &Config, token: &'t [u8]) -> Result<&'t [u8], ValidationError> {
    // What no JWT contains, such as a second token behind a comma, failed above for one reason or another. Only then is it
    // worth the time to look for it, so that the caller learns the true reason.
    config.keys.prove(token).map_err(|error| {
        if is_one_token(token) {
            error
        } else {
            ValidationError::NotOneToken
        }
    })
}

/// What follows the scheme. The scheme compares without case (RFC 9110 §11.1), one or more spaces separate.
fn token(authorization: Option<&str>) -> Result<&[u8], ValidationError> {
    let authorization = authorization
        .ok_or(ValidationError::MissingHeader)?
        .as_bytes();
    if authorization.len() > MAX_HEADER_LEN {
        return Err(ValidationError::TooLong);
    }
    let Some((scheme, rest)) = authorization.split_first_chunk::<6>() else {
        return Err(ValidationError::WrongScheme);
    };
    // Nearly everybody writes it like this, and all six bytes compare at once.
    if scheme != b"Bearer" && !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(ValidationError::WrongScheme);
    }
    match rest {
        [b' ', b' ', ..] => {
            let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
            rest.get(spaces..)
        }
        [b' ', token @ ..] => Some(token),
        [] => None,
        _ => return Err(ValidationError::WrongScheme),
    }
    .filter(|token| !token.is_empty())
    .ok_or(ValidationError::NotOneToken)
}

/// Whether there is nothing in it that separates or quotes.
fn is_one_token(token: &[u8]) -> bool {
    // Nothing of what is looked for, and little else, is below a JWT's first symbol, as signed numbers are.
    let is_odd =
        |byte: u8| (byte.cast_signed() < b'-'.cast_signed()) | (byte == b';') | (byte == 0x7f);
    let separates = |byte: &u8| matches!(byte, 0..=b' ' | b'"' | b',' | b';' | 0x7f..);
    !words::any(token, is_odd) || !token.iter().any(separates)
}

/// Judges claims whose signature is proven.
fn judge(
    config: &Config,
    claims: ClaimsRef<'_>,
    clock: Clock,
    purpose: Purpose<'_>,
) -> Result<(), ValidationError> {
    if let Some(expected) = &config.issuer
        && !claims.iss().is_some_and(|iss| is_same_url(iss, expected))
    {
        return Err(ValidationError::WrongIssuer);
    }
    let differs = |expected: &Option<String>, is: &str| {
        expected.as_deref().is_some_and(|expected| expected != is)
    };
    let now = match purpose {
        Purpose::Buyer => {
            if !service::is_for_buyers(claims) {
                return Err(ValidationError::ServiceToken);
            }
            judge_chain(config, claims)?;
            // A token bought elsewhere is as wrong as one signed elsewhere: 401. Telling a good buyer that this door
            // needs another plan (403) is what `AccessToken::require_plan` is for.
            if differs(&config.resource, claims.resource_id()) {
                return Err(ValidationError::WrongResource);
            }
            if differs(&config.plan, claims.plan_id()) {
                return Err(ValidationError::WrongPlan);
            }
            clock.now()?
        }
        Purpose::Service { audience } => {
            let now = clock.now()?;
            service::judge(claims, audience, now, config.leeway)?;
            now
        }
    };
    judge_dates(config, claims, now)?;
    admit(config, claims)
}

/// Money of one chain opens nothing that is sold for money of another.
fn judge_chain(config: &Config, claims: ClaimsRef<'_>) -> Result<(), ValidationError> {
    let paid_on = claims
        .chain_id()
        .ok_or(ValidationError::MissingClaim("chainId"))?;
    if paid_on == config.chain_id || (config.testnet && paid_on == BASE_SEPOLIA) {
        Ok(())
    } else if paid_on == BASE_SEPOLIA {
        Err(ValidationError::TestMoney)
    } else {
        Err(ValidationError::WrongChain)
    }
}

/// A slash at the end of a public URL is a matter of taste: people write `https://seller.example/` in one setting and
/// `https://seller.example` in the other, and mean the same gateway.
fn is_same_url(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

/// The backend's own word, after all others.
fn admit(config: &Config, claims: ClaimsRef<'_>) -> Result<(), ValidationError> {
    match &config.admission {
        Some(admission) => Ok(admission.admit(claims)?),
        None => Ok(()),
    }
}

fn judge_dates(config: &Config, claims: ClaimsRef<'_>, now: u64) -> Result<(), ValidationError> {
    // RFC 7519 §4.1.4: good before `exp`, not on it.
    if now >= claims.exp().saturating_add(config.leeway) {
        return Err(ValidationError::Expired { exp: claims.exp() });
    }
    if claims
        .nbf()
        .is_some_and(|nbf| now.saturating_add(config.leeway) < nbf)
    {
        return Err(ValidationError::NotYetValid);
    }
    Ok(())
}
