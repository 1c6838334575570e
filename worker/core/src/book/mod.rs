//! The payer's book: which purchase owns a payment, and what a payer has under way.

pub mod payer;
