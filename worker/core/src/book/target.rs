//! The key by which the book identifies what is bought.

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

    /// Matches every key of a target: used to look up a purchase whose resource is unknown. Nothing is booked under it.
    pub fn of_any_resource(target: &Target) -> Self {
        Self(format!("{} ", target.key()))
    }

    /// Matches every plan that opens a resource, or every plan if `None`: used to look up a purchase whose client named no
    /// plan. Nothing is booked under it.
    pub fn of_any_plan(resource: Option<&ResourceId>) -> Self {
        Self(resource.map_or_else(String::new, |resource| format!(" {resource}")))
    }

    /// Whether this key equals the key `other`, or matches it because this one is of any resource or any plan. (A
    /// resource id is never empty.)
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let is_of_any_plan = self.0.is_empty() || self.0.starts_with(' ');
        self == other
            || (self.0.ends_with(' ') && other.0.starts_with(&self.0))
            || (is_of_any_plan && other.is_plan() && other.0.ends_with(&self.0))
    }

    /// Whether the target is a plan. A client that buys the same plan twice within moments may have lost an answer; a
    /// call is sold as often as it is paid for.
    pub(super) fn is_plan(&self) -> bool {
        self.0.starts_with("plan ")
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
