//! What is bought, as the book names it.

use serde::{Deserialize, Serialize};

use crate::offer::{Target, Terms};
use crate::types::ResourceId;

/// A target together with its resource, as one text.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TargetKey(String);

impl TargetKey {
    /// The key of a target and a resource. Neither contains a space of its own, so no two pairs share a key.
    pub fn new(target: &Target, resource: &ResourceId) -> Self {
        Self(format!("{} {resource}", target.key()))
    }

    /// The key of what these terms sell.
    pub fn of(terms: &Terms) -> Self {
        Self::new(&terms.target, &terms.resource)
    }

    /// Stands for all keys of a target, to look a purchase up whose resource is not known. Nothing is booked under it.
    pub fn of_any_resource(target: &Target) -> Self {
        Self(format!("{} ", target.key()))
    }

    /// Stands for all keys of plans that open a resource, or for those of every plan, to look a purchase up whose client named no
    /// plan. Nothing is booked under it.
    pub fn of_any_plan(resource: Option<&ResourceId>) -> Self {
        Self(resource.map_or_else(String::new, |resource| format!(" {resource}")))
    }

    /// Whether this is the other key, or stands for it. (A resource id is never empty.)
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let is_of_any_plan = self.0.is_empty() || self.0.starts_with(' ');
        self == other
            || (self.0.ends_with(' ') && other.0.starts_with(&self.0))
            || (is_of_any_plan && other.is_plan() && other.0.ends_with(&self.0))
    }

    /// Whether it is a plan that is bought. A call is made as often as it is paid for; who buys a plan twice within moments may
    /// have lost an answer.
    pub(super) fn is_plan(&self) -> bool {
        self.0.starts_with("plan ")
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
