//! The door for calls: every path of the seller's API, paid per call.

mod door;

pub use door::{Arrival, Passage, access, enter, pays, stray};
