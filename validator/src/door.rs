//! What a part of a backend requires of a good token, and where a request may carry the token.

use std::sync::Arc;

use crate::{AccessToken, ValidationError};

/// The resource and the plans that a good token must have, where `None` accepts all, and where the token may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door {
    pub(crate) resource: Option<String>,
    pub(crate) plans: Option<Vec<String>>,
    /// Where clients learn where tokens are sold: the value of `resource_metadata` in challenges.
    pub(crate) metadata: Option<Arc<str>>,
    /// The names under which a request may carry the token elsewhere than in the Authorization header.
    #[cfg(feature = "http")]
    pub(crate) carriers: crate::carrier::Carriers,
}

impl Door {
    /// Refuses a token of another resource or plan. Asked before the backend's [`Admission`](crate::Admission), so that
    /// a token for one use is not used up where another resource or plan is required.
    pub(crate) fn judge(&self, token: &AccessToken) -> Result<(), ValidationError> {
        if let Some(resource) = &self.resource {
            token.require_resource(resource)?;
        }
        if let Some(plans) = &self.plans {
            token.require_plan(plans)?;
        }
        Ok(())
    }
}
