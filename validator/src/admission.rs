//! The last word of a backend: refuse a token that is good by everything that it says itself.

use crate::{AccessToken, ValidationError};

/// Why a backend does not admit a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The token was revoked: its purchase was refunded, or its buyer banned.
    Revoked,
    /// The token was good for one use, and was used.
    AlreadyUsed,
    /// It is not known, because the store of revocations does not answer. The caller gets a 500.
    Unknown,
}

impl From<Refusal> for ValidationError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Revoked => Self::Revoked,
            Refusal::AlreadyUsed => Self::AlreadyUsed,
            Refusal::Unknown => Self::NotChecked,
        }
    }
}

/// Asked about every token that passed all other checks, guards for resource and plan included: once for each request that
/// goes through this crate's layers and extractors, however many of them are nested, and once for each call of a
/// [`Validator`](crate::Validator)'s method. Nothing is asked unless a configuration
/// [names one](crate::Config::admission), and nothing is stored by this crate.
///
/// That a token is admitted does not mean that the request is served: the handler may still refuse it. A token that is good
/// for one use is best counted where that use has happened, in the handler.
///
/// [`admit`](Self::admit) is called on the path of every request and must not block: look into memory, and keep that
/// fresh elsewhere. A question to a database belongs into a handler, which may wait.
///
#[cfg_attr(feature = "hs256", doc = "```")]
#[cfg_attr(not(feature = "hs256"), doc = "```ignore")]
/// use std::collections::HashSet;
/// use std::sync::{Arc, RwLock};
///
/// use key0_validator::{Admission, AccessToken, Config, Refusal};
///
/// /// Challenge ids of purchases that were paid back. Drop an id when its token has expired.
/// #[derive(Clone, Default)]
/// struct Refunded(Arc<RwLock<HashSet<String>>>);
///
/// impl Admission for Refunded {
///     fn admit(&self, token: &AccessToken) -> Result<(), Refusal> {
///         let refunded = self.0.read().map_err(|_| Refusal::Unknown)?;
///         if refunded.contains(token.jti()) { Err(Refusal::Revoked) } else { Ok(()) }
///     }
/// }
///
/// let refunded = Refunded::default();
/// let config = Config::hs256("the current secret, 32 bytes or more")?.admission(refunded.clone());
/// # Ok::<(), key0_validator::ConfigError>(())
/// ```
pub trait Admission: Send + Sync {
    /// Whether this token may be used now.
    ///
    /// # Errors
    ///
    /// Why it may not.
    fn admit(&self, token: &AccessToken) -> Result<(), Refusal>;
}

/// A function as an [`Admission`]. Not an implementation for all functions, so that other kinds can come.
pub(crate) struct AdmitIf<F>(pub(crate) F);

impl<F> Admission for AdmitIf<F>
where
    F: Fn(&AccessToken) -> Result<(), Refusal> + Send + Sync,
{
    fn admit(&self, token: &AccessToken) -> Result<(), Refusal> {
        (self.0)(token)
    }
}
