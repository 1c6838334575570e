//! A setting that is wrong, and why.

use serde::Serialize;

/// One fault in the settings.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// The name of the variable.
    pub name: &'static str,
    /// What is wrong with the value, and what is expected. The text is the end of a sentence, and never contains the
    /// value.
    pub reason: String,
}
