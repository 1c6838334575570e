//! The door for calls: every path of the seller's API, paid per call.

mod counted;
mod door;
mod uncounted;

pub use counted::Counted;
pub use door::{Arrival, Passage, access, enter, pays, stray};
