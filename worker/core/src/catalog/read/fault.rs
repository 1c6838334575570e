//! What the seller is told about a catalog that cannot be sold.

use core::fmt;

/// The most faults that are listed at once: more would scroll the first ones away.
const MAX_FAULTS_TOLD: usize = 20;

/// What is wrong with a catalog. The text is the end of a sentence whose subject is the setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CatalogError {
    /// The text as a whole is wrong.
    Whole(String),
    /// Plans and routes have these faults. Each names its plan or route.
    Items(Vec<String>),
}

impl CatalogError {
    pub(super) fn whole(fault: impl Into<String>) -> Self {
        Self::Whole(fault.into())
    }
}

impl fmt::Display for CatalogError {
    /// Writes the end of the sentence, and faults of plans and routes below it, one a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(fault) => f.write_str(fault),
            Self::Items(faults) => {
                match faults.len() {
                    1 => f.write_str("has a fault:")?,
                    several => write!(f, "has {several} faults:")?,
                }
                for fault in faults.iter().take(MAX_FAULTS_TOLD) {
                    write!(f, "\n{fault}")?;
                }
                match faults.len().checked_sub(MAX_FAULTS_TOLD) {
                    None | Some(0) => Ok(()),
                    Some(more) => write!(f, "\nand {more} more"),
                }
            }
        }
    }
}

impl std::error::Error for CatalogError {}
