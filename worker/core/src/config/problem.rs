//! A setting that is wrong, and why.

use serde::Serialize;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it and what is expected; reads as the end of a sentence. Never contains the value.
    pub reason: String,
}
