//! Offers: their terms, and the seal that makes them ours.

mod seal;
mod terms;

pub use seal::{ChallengeId, Offer, SealKeys};
pub use terms::{Target, Terms, lifetime};
