//! Offers: their terms, and the seal that makes them ours.

mod digest;
mod layout;
mod seal;
mod target;
mod terms;
#[cfg(test)]
mod tests;

pub use digest::{CallDigest, ExtraDigest};
pub use seal::{ChallengeId, Offer, SealKeys};
pub use target::Target;
pub use terms::{Terms, lifetime};
