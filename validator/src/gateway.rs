//! One gateway's tokens: the order of the checks, from the cheap refusals to the backend's admission.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cache::Cache;
use crate::config::BASE_SEPOLIA;
use crate::door::Door;
use crate::passed::Passed;
use crate::{AccessToken, Admission, Config, ValidationError, service, words};

/// Longest Authorization header that is read, in bytes.
pub(crate) const MAX_HEADER_LEN: usize = 8192;

/// Longest token that came without a scheme: as long as one in the longest header.
const MAX_TOKEN_LEN: usize = MAX_HEADER_LEN - b"Bearer ".len();

/// The clock for dates. The system clock is read only for a token that passed the checks before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    System,
    At(u64),
}

impl Clock {
    pub(crate) fn now(self) -> Result<u64, ValidationError> {
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

/// The kind of token that is expected, and the further requirements on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'p> {
    Buyer { door: &'p Door },
    Service { audience: &'p str },
}

/// The configuration for one gateway, and the cache of its tokens.
#[derive(Debug)]
pub(crate) struct Gateway {
    config: Config,
    cache: Option<Cache>,
}

impl Gateway {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            cache: config.cache.map(|(tokens, make)| make(tokens)),
            config,
        }
    }

    /// Checks one token completely, including the backend's admission. `passed` holds what was already checked for the
    /// same request.
    pub(crate) fn check(
        &self,
        token: &[u8],
        clock: Clock,
        purpose: Purpose<'_>,
        passed: Option<&Passed>,
    ) -> Result<AccessToken, ValidationError> {
        let access = self.prove_and_read(token, clock, purpose)?;
        admit(&self.config, &access, clock, purpose, passed)?;
        Ok(access)
    }

    fn prove_and_read(
        &self,
        token: &[u8],
        clock: Clock,
        purpose: Purpose<'_>,
    ) -> Result<AccessToken, ValidationError> {
        let Some(cache) = &self.cache else {
            return check(&self.config, token, clock, purpose);
        };
        let Some(generation) = self.config.keys.generation() else {
            return check(&self.config, token, clock, purpose);
        };
        if let Some(access) = cache.get(token, generation) {
            judge_dates(&self.config, &access, clock.now()?)?;
            return Ok(access);
        }
        check(&self.config, token, clock, purpose)
            .map(|access| cache.put(token, access, generation))
    }

    pub(crate) fn admission(&self) -> Option<&Arc<dyn Admission>> {
        self.config.admission.as_ref()
    }

    pub(crate) fn refresh(&self) -> Option<crate::source::Refreshed> {
        self.config.keys.refresh()
    }
}

/// Checks one token without cache, without what the [`Door`] requires, and without admission.
pub(crate) fn check(
    config: &Config,
    token: &[u8],
    clock: Clock,
    purpose: Purpose<'_>,
) -> Result<AccessToken, ValidationError> {
    let payload = prove(config, token)?;
    let access = AccessToken::read(payload)?;
    judge(config, &access, clock, purpose)?;
    Ok(access)
}

/// The last checks of a good token: resource and plan, its grant, then the backend's admission. In this order, so that a token for
/// one use is not used up where another resource or plan is required.
pub(crate) fn admit(
    config: &Config,
    access: &AccessToken,
    clock: Clock,
    purpose: Purpose<'_>,
    passed: Option<&Passed>,
) -> Result<(), ValidationError> {
    if let Purpose::Buyer { door } = purpose {
        door.judge(access)?;
    }
    #[cfg(feature = "revoked")]
    if let Some(revocations) = &config.revocations {
        revocations.judge(access, clock)?;
    }
    #[cfg(not(feature = "revoked"))]
    let _ = clock;
    match &config.admission {
        Some(admission) if !passed.is_some_and(|passed| passed.admitted(admission, access)) => {
            Ok(admission.admit(access)?)
        }
        _ => Ok(()),
    }
}

/// The signed payload, once its signature is proven.
fn prove<'t>(config: &Config, token: &'t [u8]) -> Result<&'t [u8], ValidationError> {
    // A header with two tokens, for example, has failed for some other reason by now. Only failed tokens are searched for
    // such characters: good ones lose no time, and the caller learns the true reason.
    config.keys.prove(token).map_err(|error| {
        if is_one_token(token) {
            error
        } else {
            ValidationError::NotOneToken
        }
    })
}

/// The token after the scheme. The scheme is case-insensitive (RFC 9110 §11.1); one or more spaces follow it.
pub(crate) fn token_of_header(authorization: Option<&str>) -> Result<&[u8], ValidationError> {
    let authorization = authorization
        .ok_or(ValidationError::MissingHeader)?
        .as_bytes();
    if authorization.len() > MAX_HEADER_LEN {
        return Err(ValidationError::TooLong);
    }
    let Some((scheme, rest)) = authorization.split_first_chunk::<6>() else {
        return Err(ValidationError::WrongScheme);
    };
    // The usual spelling; all six bytes are compared at once.
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

/// A token that came without a scheme: from a cookie, for example.
pub(crate) fn bare_token(token: &str) -> Result<&[u8], ValidationError> {
    match token.len() {
        0 => Err(ValidationError::NotOneToken),
        len if len > MAX_TOKEN_LEN => Err(ValidationError::TooLong),
        _ => Ok(token.as_bytes()),
    }
}

/// Whether the token contains no separator and no quote.
fn is_one_token(token: &[u8]) -> bool {
    // As signed numbers, all bytes that `separates` matches are below `-`, the lowest symbol of a JWT, except `;` and
    // 0x7f. Few other bytes are.
    let is_odd =
        |byte: u8| (byte.cast_signed() < b'-'.cast_signed()) | (byte == b';') | (byte == 0x7f);
    let separates = |byte: &u8| matches!(byte, 0..=b' ' | b'"' | b',' | b';' | 0x7f..);
    !words::any(token, is_odd) || !token.iter().any(separates)
}

/// Checks claims whose signature is proven.
fn judge(
    config: &Config,
    access: &AccessToken,
    clock: Clock,
    purpose: Purpose<'_>,
) -> Result<(), ValidationError> {
    if let Some(expected) = &config.issuer
        && !access.iss().is_some_and(|iss| is_same_url(iss, expected))
    {
        return Err(ValidationError::WrongIssuer);
    }
    let now = match purpose {
        Purpose::Buyer { .. } => {
            if !service::is_for_buyers(access) {
                return Err(ValidationError::ServiceToken);
            }
            judge_chain(config, access)?;
            clock.now()?
        }
        Purpose::Service { audience } => {
            let now = clock.now()?;
            service::judge(access, audience, now, config.leeway)?;
            now
        }
    };
    judge_dates(config, access, now)
}

/// Payments on one chain open nothing that is sold for payments on another.
fn judge_chain(config: &Config, access: &AccessToken) -> Result<(), ValidationError> {
    let paid_on = access
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

/// Compares public URLs without a trailing slash: people write `https://seller.example/` in one setting and
/// `https://seller.example` in the other, and mean the same gateway.
pub(crate) fn is_same_url(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

fn judge_dates(config: &Config, access: &AccessToken, now: u64) -> Result<(), ValidationError> {
    // RFC 7519 §4.1.4: good before `exp`, not on it.
    if now >= access.exp().saturating_add(config.leeway) {
        return Err(ValidationError::Expired { exp: access.exp() });
    }
    if access
        .nbf()
        .is_some_and(|nbf| now.saturating_add(config.leeway) < nbf)
    {
        return Err(ValidationError::NotYetValid);
    }
    Ok(())
}
