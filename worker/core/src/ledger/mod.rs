//! The index of all purchases, made for the operator's questions. The purchase's own object stays the truth; it reports
//! here after each change, so the index is a little behind, and an operator can have a purchase report again.

mod entry;

pub use entry::LedgerEntry;
