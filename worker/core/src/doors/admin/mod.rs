//! The operator's door: look at purchases, and help those that cannot help themselves.
//!
//! It exists only when the operator has set `KEY0_ADMIN_SECRET`. Without the right secret every path below `/admin`
//! gives the same answer, so nothing is learnt from asking.

mod door;
mod path;
mod query;
mod returned;
mod view;
mod wallets;

pub use door::{Arrival, answer};
pub use path::serves;
pub use returned::Transfers;
