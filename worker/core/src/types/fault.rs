//! Errors of calls to the outside.

/// Another object gave no answer. The text is for the log only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallFault(pub String);
