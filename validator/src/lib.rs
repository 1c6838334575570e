//! Checks the access tokens that a key0 gateway sells.
// The README's examples need these.
#![cfg_attr(
    all(feature = "hs256", feature = "jwks-http", feature = "tower"),
    doc = "",
    doc = include_str!("../README.md")
)]
#![forbid(unsafe_code)]

#[cfg(feature = "_verify")]
mod access;
#[cfg(all(feature = "_verify", feature = "actix-web"))]
pub mod actix;
#[cfg(feature = "_verify")]
mod admission;
#[cfg(all(feature = "_verify", feature = "axum"))]
pub mod axum;
#[cfg(feature = "_verify")]
mod cache;
mod claims;
#[cfg(feature = "_verify")]
mod config;
#[cfg(feature = "rs256")]
mod der;
mod error;
#[cfg(feature = "_verify")]
mod fields;
#[cfg(all(feature = "_verify", any(feature = "actix-web", feature = "tower")))]
mod guard;
#[cfg(feature = "_verify")]
mod header;
#[cfg(feature = "hs256")]
mod hmac;
#[cfg(all(feature = "_verify", feature = "http"))]
pub mod http;
#[cfg(feature = "_verify")]
mod json;
#[cfg(feature = "rs256")]
mod jwks;
#[cfg(feature = "jwks-http")]
mod jwks_http;
#[cfg(all(feature = "_verify", feature = "jwt-compact"))]
pub mod jwt_compact;
#[cfg(feature = "_verify")]
mod keys;
#[cfg(feature = "rs256")]
mod pem;
#[cfg(feature = "_verify")]
mod quick;
#[cfg(feature = "_verify")]
mod ring;
#[cfg(feature = "rs256")]
mod rsa;
#[cfg(feature = "rs256")]
mod schedule;
#[cfg(feature = "_verify")]
mod service;
#[cfg(feature = "rs256")]
mod source;
#[cfg(feature = "_verify")]
mod token;
#[cfg(all(feature = "_verify", feature = "tower"))]
pub mod tower;
#[cfg(feature = "_verify")]
mod validator;
#[cfg(feature = "_verify")]
mod words;

#[cfg(feature = "_verify")]
pub use access::{AccessToken, ClaimsRef, TokenBuffer};
#[cfg(feature = "_verify")]
pub use admission::{Admission, Refusal};
pub use claims::Claims;
#[cfg(feature = "_verify")]
pub use config::{Config, MAX_KEYS, MAX_LEEWAY};
pub use error::{ConfigError, Flaw, ValidationError};
#[cfg(feature = "hs256")]
pub use hmac::key_id;
#[cfg(feature = "rs256")]
pub use jwks::{JwksError, MAX_JWKS_LEN};
#[cfg(feature = "jwks-http")]
pub use jwks_http::HttpKeys;
#[cfg(feature = "rs256")]
pub use schedule::Refresh;
#[cfg(feature = "_verify")]
pub use service::{MAX_SERVICE_TOKEN_SECONDS, ServiceToken, ServiceValidator};
#[cfg(feature = "rs256")]
pub use source::{FetchError, FetchKeys, Fetched, KeySource};
#[cfg(feature = "_verify")]
pub use validator::{MAX_HEADER_LEN, Validator, validate_token};
