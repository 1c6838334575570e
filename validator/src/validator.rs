//! Checks tokens: of one gateway or several, for any resource and plan or for certain ones.

use core::fmt;
use std::sync::Arc;

use crate::door::Door;
use crate::gateway::{Clock, Gateway, Purpose, admit, bare_token, check, token_of_header};
use crate::passed::Passed;
use crate::{AccessToken, Config, ProtectedResource, ValidationError, trace};

/// Checks tokens against one [`Config`], or several. Made once; a clone is cheap and shares it.
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
#[derive(Clone)]
pub struct Validator {
    /// Never empty.
    pub(crate) gateways: Arc<[Arc<Gateway>]>,
    pub(crate) door: Arc<Door>,
}

impl Validator {
    /// A validator of this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            gateways: [Arc::new(Gateway::new(config))].into(),
            door: Arc::default(),
        }
    }

    /// Accepts the tokens of another gateway too. Give each configuration its [`issuer`](Config::issuer).
    ///
    /// ```
    /// # fn main() -> Result<(), key0_validator::ConfigError> {
    /// use key0_validator::{Config, Validator};
    ///
    /// let first = Config::hs256("the first gateway's secret, of its own")?.issuer("https://a.example");
    /// let second = Config::hs256("the second gateway's secret, of its own")?.issuer("https://b.example");
    /// let validator = Validator::new(first).or(second);
    /// # Ok(()) }
    /// ```
    ///
    /// A token is tried with one gateway after the other, so a forged token costs a signature check for each. If all of
    /// them refuse a token, the error is that of the gateway whose checks got furthest.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        let other = other.into();
        let gateways = self.gateways.iter().chain(&*other.gateways);
        Self {
            gateways: gateways.cloned().collect(),
            ..self
        }
    }

    /// Accepts only tokens for this resource; others get 403.
    #[must_use]
    pub fn resource(self, resource_id: impl Into<String>) -> Self {
        self.at(|door| door.resource = Some(resource_id.into()))
    }

    /// Accepts only tokens of these plans; others get 403.
    #[must_use]
    pub fn plans<P: Into<String>>(self, plans: impl IntoIterator<Item = P>) -> Self {
        self.at(|door| door.plans = Some(plans.into_iter().map(Into::into).collect()))
    }

    /// Tells whoever is refused where tokens are sold: adds `resource_metadata` to the challenges of layers, extractors and
    /// [`Refused`](crate::Refused) (RFC 9728 §5.1). Serve the document of the [`ProtectedResource`] there.
    #[must_use]
    pub fn protected_resource(self, resource: &ProtectedResource) -> Self {
        self.at(|door| door.metadata = Some(resource.url().into()))
    }

    pub(crate) fn at(mut self, change: impl FnOnce(&mut Door)) -> Self {
        change(Arc::make_mut(&mut self.door));
        self
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
    ) -> Result<AccessToken, ValidationError> {
        self.check(token_of_header(authorization.into()), Clock::System)
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
        self.check(token_of_header(authorization.into()), Clock::At(now))
    }

    /// Like [`validate`](Self::validate); but when the token names a key that is not there, and the keys are from a
    /// [`KeySource`](crate::KeySource) that may fetch now, waits for that and tries once more. Needs no runtime.
    ///
    /// # Errors
    ///
    /// What is wrong with the header or the token.
    pub async fn validate_async<'h>(
        &self,
        authorization: impl Into<Option<&'h str>>,
    ) -> Result<AccessToken, ValidationError> {
        self.check_async(token_of_header(authorization.into()))
            .await
    }

    /// Checks a token that did not come in an Authorization header, by the system clock: the token alone, without a scheme.
    ///
    /// # Errors
    ///
    /// What is wrong with the token.
    pub fn validate_token(&self, token: &str) -> Result<AccessToken, ValidationError> {
        self.check(bare_token(token), Clock::System)
    }

    /// Like [`validate_token`](Self::validate_token), at the second `now` of Unix time.
    ///
    /// # Errors
    ///
    /// What is wrong with the token.
    pub fn validate_token_at(&self, token: &str, now: u64) -> Result<AccessToken, ValidationError> {
        self.check(bare_token(token), Clock::At(now))
    }

    /// Like [`validate_token`](Self::validate_token), but waits for keys as [`validate_async`](Self::validate_async) does.
    ///
    /// # Errors
    ///
    /// What is wrong with the token.
    pub async fn validate_token_async(&self, token: &str) -> Result<AccessToken, ValidationError> {
        self.check_async(bare_token(token)).await
    }

    fn purpose(&self) -> Purpose<'_> {
        Purpose::Buyer { door: &self.door }
    }

    fn check(
        &self,
        token: Result<&[u8], ValidationError>,
        clock: Clock,
    ) -> Result<AccessToken, ValidationError> {
        let outcome = token
            .and_then(|token| try_all(&self.gateways, token, clock, self.purpose(), None))
            .map(|(_, access)| access);
        trace::outcome(&outcome);
        _ = refresh(&self.gateways, &outcome);
        outcome
    }

    async fn check_async(
        &self,
        token: Result<&[u8], ValidationError>,
    ) -> Result<AccessToken, ValidationError> {
        let token = token?;
        let first = try_all(&self.gateways, token, Clock::System, self.purpose(), None);
        let outcome = match refresh(&self.gateways, &first) {
            None => first,
            Some(refreshed) => {
                refreshed.await;
                try_all(&self.gateways, token, Clock::System, self.purpose(), None)
            }
        };
        let outcome = outcome.map(|(_, access)| access);
        trace::outcome(&outcome);
        outcome
    }
}

/// Tries a token with one gateway after another. If all refuse it, returns the most informative reason.
pub(crate) fn try_all<'g>(
    gateways: &'g [Arc<Gateway>],
    token: &[u8],
    clock: Clock,
    purpose: Purpose<'_>,
    passed: Option<&Passed>,
) -> Result<(&'g Arc<Gateway>, AccessToken), ValidationError> {
    let mut refusal = ValidationError::NoKeys;
    for (at, gateway) in gateways.iter().enumerate() {
        match gateway.check(token, clock, purpose, passed) {
            Ok(access) => return Ok((gateway, access)),
            Err(error) if at == 0 || weight(&error) > weight(&refusal) => refusal = error,
            Err(_) => {}
        }
        // This gateway has issued the token, so its refusal is final.
        if weight(&refusal) == OWN {
            break;
        }
    }
    Err(refusal)
}

/// The weight of a refusal that shows that the gateway has issued the token.
const OWN: u8 = 5;

/// How far a gateway's checks got with a token that it refused.
fn weight(error: &ValidationError) -> u8 {
    use ValidationError as E;
    match error {
        E::NotOneToken
        | E::NotAJwt
        | E::WrongSignatureLength
        | E::MalformedSignature
        | E::MalformedHeader(_)
        | E::WrongAlgorithm
        | E::WrongType
        | E::ForbiddenHeader(_) => 0,
        E::WrongSignature => 1,
        E::UnknownKey => 2,
        // It is unknown whether the token is good.
        E::NoKeys => 3,
        // The token is signed with this gateway's key, but another gateway may share the key.
        E::WrongIssuer | E::WrongChain | E::TestMoney => 4,
        _ => OWN,
    }
}

/// If another try may succeed: requests a fetch of the keys, and returns a future that waits for it.
pub(crate) fn refresh<T>(
    gateways: &[Arc<Gateway>],
    outcome: &Result<T, ValidationError>,
) -> Option<crate::source::Refreshed> {
    let Err(ValidationError::UnknownKey | ValidationError::NoKeys) = outcome else {
        return None;
    };
    gateways
        .iter()
        .filter_map(|gateway| gateway.refresh())
        .reduce(crate::source::Refreshed::and)
}

impl From<Config> for Validator {
    fn from(config: Config) -> Self {
        Self::new(config)
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validator")
            .field("gateways", &self.gateways)
            .field("door", &self.door)
            .finish()
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
pub fn validate_header<'h>(
    authorization: impl Into<Option<&'h str>>,
    config: &Config,
) -> Result<AccessToken, ValidationError> {
    let purpose = Purpose::Buyer {
        door: &Door::default(),
    };
    let outcome = token_of_header(authorization.into()).and_then(|token| {
        let access = check(config, token, Clock::System, purpose)?;
        admit(config, &access, Clock::System, purpose, None)?;
        Ok(access)
    });
    trace::outcome(&outcome);
    if let Err(ValidationError::UnknownKey | ValidationError::NoKeys) = outcome {
        _ = config.keys.refresh();
    }
    outcome
}
