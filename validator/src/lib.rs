//! Checks the access tokens that a key0 gateway sells.
#![forbid(unsafe_code)]

mod claims;

pub use claims::Claims;
