//! Whether agents may buy through A2A.

use super::vars::Vars;

/// Whether agents may buy through A2A.
#[derive(Debug)]
pub struct A2aSettings {
    /// Whether there is an A2A door. Without one the agent card declares none.
    pub enabled: bool,
}

pub(super) fn read(vars: &mut Vars<'_>) -> Option<A2aSettings> {
    let enabled = vars.flag("A2A_ENABLED", true);
    Some(A2aSettings { enabled: enabled? })
}
