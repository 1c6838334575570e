//! What one door of a backend asks of a good token, and where a request may carry it.

use std::sync::Arc;

use crate::{AccessToken, ValidationError};

/// A good token opens it when its resource and plan fit.
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
    /// Refuses what does not fit. Asked before the backend's [`Admission`](crate::Admission), so that a token for one use
    /// is not used up at a door that it does not open.
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
