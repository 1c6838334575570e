//! Which documents for models are published.

use super::vars::Vars;

/// Which documents for models are published.
#[derive(Clone, Copy, Debug)]
pub struct DocumentSettings {
    /// Whether there is `/llms.txt`.
    pub llms: bool,
    /// Whether there is `/skills.md`.
    pub skills: bool,
}

/// Reads the settings. `None` only together with a recorded problem.
pub(super) fn read(vars: &mut Vars<'_>) -> Option<DocumentSettings> {
    let llms = vars.flag("LLMS_ENABLED", true);
    let skills = vars.flag("SKILLS_MD_ENABLED", true);
    Some(DocumentSettings {
        llms: llms?,
        skills: skills?,
    })
}
