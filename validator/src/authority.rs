//! The interface through which layers and extractors use the validators that check their tokens.
#![expect(
    private_interfaces,
    reason = "the trait is sealed: only this crate calls its methods"
)]

use std::sync::Arc;

use crate::carrier::{Carriers, Headers};
use crate::gateway::{Clock, Gateway, Purpose};
use crate::passed::Passed;
use crate::validator::try_all;
use crate::{AccessToken, Refused, ServiceToken, ServiceValidator, ValidationError, Validator};

/// What checks tokens: a [`Validator`] or a [`ServiceValidator`]. Nothing else can implement it.
pub trait Authority: sealed::Parts {}

impl Authority for Validator {}
impl Authority for ServiceValidator {}

pub(crate) mod sealed {
    use super::{AccessToken, Arc, Carriers, Gateway, Purpose};

    pub trait Parts: Clone + Send + Sync + 'static {
        /// The token that a handler gets.
        type Token: Clone + Send + Sync + 'static;

        #[doc(hidden)]
        fn gateways(&self) -> &Arc<[Arc<Gateway>]>;
        #[doc(hidden)]
        fn purpose(&self) -> Purpose<'_>;
        #[doc(hidden)]
        fn carriers(&self) -> Option<&Carriers>;
        #[doc(hidden)]
        fn metadata(&self) -> Option<Arc<str>>;
        #[doc(hidden)]
        fn token(access: AccessToken) -> Self::Token;
    }
}

impl sealed::Parts for Validator {
    type Token = AccessToken;

    fn gateways(&self) -> &Arc<[Arc<Gateway>]> {
        &self.gateways
    }

    fn purpose(&self) -> Purpose<'_> {
        Purpose::Buyer { door: &self.door }
    }

    fn carriers(&self) -> Option<&Carriers> {
        Some(&self.door.carriers)
    }

    fn metadata(&self) -> Option<Arc<str>> {
        self.door.metadata.clone()
    }

    fn token(access: AccessToken) -> AccessToken {
        access
    }
}

impl sealed::Parts for ServiceValidator {
    type Token = ServiceToken;

    fn gateways(&self) -> &Arc<[Arc<Gateway>]> {
        &self.gateways
    }

    fn purpose(&self) -> Purpose<'_> {
        self.purpose()
    }

    fn carriers(&self) -> Option<&Carriers> {
        None
    }

    fn metadata(&self) -> Option<Arc<str>> {
        None
    }

    fn token(access: AccessToken) -> ServiceToken {
        ServiceToken(access)
    }
}

/// Finds and checks a request's token. If another layer or extractor of the same validator has found it good, only
/// resource and plan are checked again. Notes a newly checked token in `passed`.
pub(crate) fn judge<A: Authority>(
    authority: &A,
    headers: &impl Headers,
    query: Option<&str>,
    passed: &mut Passed,
    clock: Clock,
) -> Result<AccessToken, ValidationError> {
    if let Some(token) = passed.by(authority.gateways()) {
        if let Purpose::Buyer { door } = authority.purpose() {
            door.judge(token)?;
        }
        return Ok(token.clone());
    }
    let nowhere = Carriers::default();
    let carriers = authority.carriers().unwrap_or(&nowhere);
    let token = carriers.find(headers, query)?;
    let gateways = authority.gateways();
    let (gateway, access) = try_all(gateways, token, clock, authority.purpose(), Some(passed))?;
    passed.note(Arc::clone(gateway), access.clone());
    Ok(access)
}

pub(crate) fn refused<A: Authority>(authority: &A, error: ValidationError) -> Refused {
    Refused::new(error, authority.metadata())
}
