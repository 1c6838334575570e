//! The wallet's door: what a wallet has bought with limits, what is left of it, and taking it back. It is free.
//!
//! A wallet proves itself by one signature (sign-in-with-x, CAIP-122) over a challenge that is good for one action, once, for
//! five minutes. Who has only a token reads how its grant stands. Everybody else gets a challenge, whatever was wrong.

mod action;
mod challenge;
mod door;

pub use action::serves;
pub use door::{Arrival, answer};
