//! Whether clients may pay by the Machine Payments Protocol.

use super::vars::Vars;

/// Whether clients may pay by the Machine Payments Protocol.
#[derive(Debug)]
pub struct MppSettings {
    /// Whether each 402 has a challenge of this protocol, and credentials are taken.
    pub enabled: bool,
}

/// Reads the settings. `None` only together with a recorded problem.
pub(super) fn read(vars: &mut Vars<'_>) -> Option<MppSettings> {
    Some(MppSettings {
        enabled: vars.flag("MPP_ENABLED", true)?,
    })
}
