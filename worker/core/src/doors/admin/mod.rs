//! The operator's door: it shows purchases, and helps those that cannot go on by themselves.
//!
//! The door exists only when the operator has set `KEY0_ADMIN_SECRET`. Without the right secret every path below
//! `/admin` gives the same answer, so nothing can be learnt by trying. `/admin` itself is a page that is the same for
//! everybody.

mod door;
mod grants;
mod page;
mod path;
mod query;
mod returned;
mod view;
mod wallets;

pub use door::{Arrival, answer};
pub use path::serves;
pub use returned::Transfers;
