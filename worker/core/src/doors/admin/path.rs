//! The paths of the operator's door.

pub(super) const PREFIX: &str = "/admin";

/// Whether a path belongs to this door.
pub fn serves(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
