//! The Machine Payments Protocol, as a third dialect of the same 402: it is spoken wherever x402 is, and a payment in it is
//! the same payment (<https://paymentauth.org/>).

mod side;
mod verdict;

pub(super) use side::{Paid, Presented, Side, Told, bears, refusal, several};
pub(super) use verdict::Verdict;
