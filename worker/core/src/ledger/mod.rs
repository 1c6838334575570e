//! The index of all purchases, made for the operator's questions.
//!
//! A purchase's own object stays the truth. The purchase reports to the ledger after its changes, so the index is a
//! little behind, and an operator can have a purchase report again. The index is cut into [`SHARDS`] by request id: so
//! purchases do not wait for one object that all must pass, and a question goes to all shards at once. The ledger uses
//! Durable Objects and not D1, the platform's SQL database: they can be tested on the raw runtime, they cost a purchase
//! no further service, and what operators would query by SQL they get as CSV.
//!
//! A shard is found by hash, so [`SHARDS`] can never change without moving the entries. The ledger grows by further
//! parts ([`Layout`]).

mod cursor;
mod day;
mod entry;
mod export;
mod layout;
mod progress;
mod query;
mod shard;
#[cfg(test)]
pub(crate) mod test_support;
mod totals;

pub use cursor::{Cursor, Order};
pub use day::{Days, UtcDay};
pub use entry::LedgerEntry;
pub use export::{CSV_HEADER, csv};
pub use layout::{Layout, SHARDS, Shard};
pub use progress::Progress;
pub(crate) use query::wrong_answer;
pub use query::{Ledgers, Page, ask_all, page, put, remove, share, totals};
pub use shard::{LedgerCommand, LedgerReply, LedgerStore, execute};
pub use totals::{Removed, StatusTotal, Total, by_status, merge as merge_totals};
