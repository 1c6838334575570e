//! The sweep: once an hour it looks for purchases that nothing drives any more, and wakes them.
//!
//! Each purchase is driven by its own alarm and by its buyer's questions. But an alarm may be lost, and a buyer may
//! never come back. The sweep finds such a purchase in the ledger, if the ledger lists it as open. A purchase reports
//! to the ledger by that same alarm, though, so one whose alarm never rang is not in the ledger. Its money is on the
//! chain, and the payer's book knows which purchase it belongs to.
//!
//! One sweep does a bounded amount of work and stores how far it has come.

mod env;
mod open;
mod payments;
mod run;
#[cfg(test)]
mod tests;
mod transfers;

pub use env::{SweepEnv, Swept};
pub use run::sweep;
