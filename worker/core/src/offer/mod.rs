//! Offers: their terms, and the seal that makes them ours.

mod seal;
mod terms;

pub use seal::{Challenge, ChallengeId, SealKeys};
pub use terms::{Target, Terms, lifetime};
