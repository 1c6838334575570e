//! Checks the access tokens that a key0 gateway sells.
// The README's examples need these two.
#![cfg_attr(
    all(feature = "hs256", feature = "tower"),
    doc = "",
    doc = include_str!("../README.md")
)]
#![forbid(unsafe_code)]

mod claims;
#[cfg(feature = "hs256")]
mod config;
mod error;
#[cfg(feature = "hs256")]
mod header;
#[cfg(feature = "hs256")]
mod hs256;
#[cfg(feature = "hs256")]
mod json;
#[cfg(feature = "hs256")]
mod token;
#[cfg(all(feature = "hs256", feature = "tower"))]
pub mod tower;
#[cfg(feature = "hs256")]
mod validator;

pub use claims::Claims;
#[cfg(feature = "hs256")]
pub use config::{Config, MAX_LEEWAY, MAX_SECRETS};
pub use error::{ConfigError, Flaw, ValidationError};
#[cfg(feature = "hs256")]
pub use hs256::key_id;
#[cfg(feature = "hs256")]
pub use token::AccessToken;
#[cfg(feature = "hs256")]
pub use validator::{MAX_HEADER_LEN, Validator, validate_token};
