//! A refusal with all that belongs into the answer.

use core::fmt;
use std::sync::Arc;

use crate::{ValidationError, Validator};

/// Why a request was refused, with what its answer says: the status, the JSON body, and the challenge, which names where tokens
/// are sold if the [`Validator`] knows it.
///
/// Layers and extractors make it; [`Validator::refused`] makes it from a [`ValidationError`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    error: ValidationError,
    metadata: Option<Arc<str>>,
}

impl Refused {
    pub(crate) fn new(error: ValidationError, metadata: Option<Arc<str>>) -> Self {
        Self { error, metadata }
    }

    /// The reason.
    #[must_use]
    pub fn error(&self) -> &ValidationError {
        &self.error
    }

    /// [`ValidationError::status`].
    #[must_use]
    pub fn status(&self) -> u16 {
        self.error.status()
    }

    /// [`ValidationError::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.error.code()
    }

    /// [`ValidationError::body`].
    #[must_use]
    pub fn body(&self) -> String {
        self.error.body()
    }

    /// The value for the `WWW-Authenticate` header, where the status asks for one.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<String> {
        self.error.challenge(self.metadata.as_deref())
    }
}

impl Validator {
    /// This error as an answer of this validator.
    #[must_use]
    pub fn refused(&self, error: ValidationError) -> Refused {
        Refused::new(error, self.door.metadata.clone())
    }
}

impl From<ValidationError> for Refused {
    fn from(error: ValidationError) -> Self {
        Self::new(error, None)
    }
}

impl From<Refused> for ValidationError {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for Refused {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}
