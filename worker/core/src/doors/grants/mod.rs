//! The doors for what was sold with limits.
//!
//! The wallet's door shows a wallet what it has bought, what is left of it, and takes it back. A wallet proves itself by one
//! signature (sign-in-with-x, CAIP-122) over a challenge that is good for one action, once, for five minutes. Who has only a
//! token reads how its grant stands. Everybody else gets a challenge, whatever was wrong.
//!
//! Backends have their calls counted (`consume`) and ask how a token stands (`introspect`), with a secret of their own.

mod action;
mod challenge;
mod consume;
mod door;
mod introspect;
mod secret;

pub use action::serves;
pub use consume::{MAX_CONSUME_BYTES, consume};
pub use door::{Arrival, answer};
pub use introspect::{MAX_INTROSPECT_BYTES, introspect};
pub use secret::Arrival as BackendArrival;
