//! What a good token must be for, at one door.

use crate::{AccessToken, ValidationError};

#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    resource: Option<String>,
    plans: Option<Vec<String>>,
}

impl Guard {
    pub(crate) fn resource(mut self, resource_id: String) -> Self {
        self.resource = Some(resource_id);
        self
    }

    pub(crate) fn plans(mut self, plans: Vec<String>) -> Self {
        self.plans = Some(plans);
        self
    }

    pub(crate) fn admit(&self, token: AccessToken) -> Result<AccessToken, ValidationError> {
        if let Some(resource) = &self.resource {
            token.require_resource(resource)?;
        }
        if let Some(plans) = &self.plans {
            token.require_plan(plans)?;
        }
        Ok(token)
    }
}
