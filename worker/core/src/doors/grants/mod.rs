//! The doors for what was sold with limits: who has it counted, and who asks how it stands.

mod consume;
mod introspect;
mod secret;

pub use consume::{MAX_CONSUME_BYTES, consume};
pub use introspect::{MAX_INTROSPECT_BYTES, introspect};
pub use secret::Arrival;
