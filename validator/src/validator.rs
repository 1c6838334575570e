//! The order of work: cheap refusals first, nothing of the payload before the signature is proven.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{AccessToken, Config, ValidationError, header, hs256};

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
}

impl Validator {
    /// A validator of this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
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
        validate_token(authorization, &self.config)
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
        check(&self.config, authorization.into(), Some(now))
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
    check(config, authorization_header.into(), system_seconds())
}

fn check(
    config: &Config,
    authorization: Option<&str>,
    now: Option<u64>,
) -> Result<AccessToken, ValidationError> {
    let authorization = authorization.ok_or(ValidationError::MissingHeader)?;
    if authorization.len() > MAX_HEADER_LEN {
        return Err(ValidationError::TooLong);
    }
    let token = Token::parse(bearer(authorization)?)?;
    config
        .keys
        .verify(token.header, token.signed, token.signature)?;

    let access = AccessToken::read(token.payload)?;
    if access.plan_id() == SERVICE_PLAN {
        return Err(ValidationError::ServiceToken);
    }
    if config.issuer.is_some() && config.issuer.as_deref() != access.iss() {
        return Err(ValidationError::WrongIssuer);
    }
    // A token bought elsewhere is as wrong as one signed elsewhere: 401. Telling a good buyer that this door needs
    // another plan (403) is the handler's business.
    if config
        .resource
        .as_ref()
        .is_some_and(|expected| expected != access.resource_id())
    {
        return Err(ValidationError::WrongResource);
    }
    if config
        .plan
        .as_ref()
        .is_some_and(|expected| expected != access.plan_id())
    {
        return Err(ValidationError::WrongPlan);
    }
    // RFC 7519 §4.1.4: good before `exp`, not on it.
    let now = now.ok_or(ValidationError::NoClock)?;
    if now >= access.exp().saturating_add(config.leeway) {
        return Err(ValidationError::Expired { exp: access.exp() });
    }
    if access
        .nbf()
        .is_some_and(|nbf| now.saturating_add(config.leeway) < nbf)
    {
        return Err(ValidationError::NotYetValid);
    }
    Ok(access)
}

/// The `planId` of tokens that services use among themselves.
const SERVICE_PLAN: &str = "system";

/// What follows the scheme. The scheme compares without case (RFC 9110 §11.1), one or more spaces separate.
fn bearer(authorization: &str) -> Result<&str, ValidationError> {
    let (scheme, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(ValidationError::WrongScheme);
    }
    let token = rest.trim_start_matches(' ');
    // What a JWT never contains: the list of a second token, white space, quotes.
    if token.is_empty()
        || token
            .bytes()
            .any(|b| matches!(b, 0..=b' ' | b',' | b';' | b'"' | 0x7f..))
    {
        return Err(ValidationError::NotOneToken);
    }
    Ok(token)
}

/// The places of a signed JWT's parts. Whether they mean anything is not known yet.
struct Token<'t> {
    header: &'t [u8],
    payload: &'t [u8],
    /// Header, dot and payload.
    signed: &'t [u8],
    signature: &'t [u8],
}

impl<'t> Token<'t> {
    /// The algorithm fixes the signature's length, so the last dot has one possible place.
    fn parse(token: &'t str) -> Result<Self, ValidationError> {
        let token = token.as_bytes();
        let split = |bytes: &'t [u8], at| {
            let (left, right) = bytes.split_at_checked(at)?;
            Some((left, right.strip_prefix(b".")?))
        };
        let last_dot = token.len().checked_sub(hs256::SIGNATURE_LEN + 1);
        let Some((signed, signature)) = last_dot.and_then(|at| split(token, at)) else {
            let dots = token.iter().filter(|byte| **byte == b'.').count();
            return Err(match dots {
                2 => ValidationError::WrongSignatureLength,
                _ => ValidationError::NotAJwt,
            });
        };
        let first_dot = signed
            .iter()
            .take(header::MAX_LEN + 1)
            .position(|byte| *byte == b'.');
        let (header, payload) = first_dot
            .and_then(|at| split(signed, at))
            .ok_or(ValidationError::NotAJwt)?;
        Ok(Self {
            header,
            payload,
            signed,
            signature,
        })
    }
}

/// Seconds of Unix time, where there is a clock and it was ever set.
fn system_seconds() -> Option<u64> {
    if cfg!(all(target_family = "wasm", target_os = "unknown")) {
        return None;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.ok().as_ref().map(Duration::as_secs)
}
