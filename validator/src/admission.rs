//! The last word of a backend: refuse a token that is good by everything that it says itself.

use crate::{ClaimsRef, ValidationError};

/// Why a backend does not admit a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// It was called back: its purchase was refunded, or its buyer banned.
    Revoked,
    /// It was good for one use, and was used.
    AlreadyUsed,
    /// It cannot be said: the store of revocations does not answer. The caller gets a 500.
    Unknown,
}

impl From<Refusal> for ValidationError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Revoked => Self::Revoked,
            Refusal::AlreadyUsed => Self::AlreadyUsed,
            Refusal::Unknown => Self::NoVerdict,
        }
    }
}

/// Asked about every token that passed all other checks, remembered ones included. Nothing is asked unless a
/// configuration [names one](crate::Config::admission), and nothing is stored by this crate.
///
/// It is called on the path of every request and must not block: look into memory, and keep that fresh elsewhere. A
/// question to a database belongs into a handler, which may wait.
///
#[cfg_attr(feature = "hs256", doc = "```")]
#[cfg_attr(not(feature = "hs256"), doc = "```ignore")]
/// use std::collections::HashSet;
/// use std::sync::{Arc, RwLock};
///
/// use key0_validator::{Admission, ClaimsRef, Config, Refusal};
///
/// /// Challenge ids of purchases that were paid back. Drop an id when its token has expired.
/// #[derive(Clone, Default)]
/// struct Refunded(Arc<RwLock<HashSet<String>>>);
///
/// impl Admission for Refunded {
///     fn admit(&self, token: ClaimsRef<'_>) -> Result<(), Refusal> {
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
    fn admit(&self, token: ClaimsRef<'_>) -> Result<(), Refusal>;
}

impl<F> Admission for F
where
    F: Fn(ClaimsRef<'_>) -> Result<(), Refusal> + Send + Sync,
{
    fn admit(&self, token: ClaimsRef<'_>) -> Result<(), Refusal> {
        self(token)
    }
}
