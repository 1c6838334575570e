//! The sweep: once an hour it looks for purchases that nothing drives any more, and wakes them.
//!
//! Each purchase is driven by its own alarm and by its buyer's questions. An alarm may be lost, and a buyer may never come
//! back. What is open in the ledger is found there. But a purchase reports to the ledger by that same alarm, so one whose
//! alarm never rang is in no ledger. Its money is on the chain, though, and its payer's book knows whose it is.
//!
//! One sweep does a bounded amount of work and remembers how far it has come.

mod env;
mod open;
mod payments;
mod run;
#[cfg(test)]
mod tests;
mod transfers;

pub use env::{SweepEnv, Swept};
pub use run::sweep;
