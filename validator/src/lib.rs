//! Checks the access tokens that a key0 gateway sells.
// The README's examples need these.
#![cfg_attr(
    all(
        feature = "actix-web",
        feature = "axum",
        feature = "hs256",
        feature = "jwks-http",
        feature = "meter",
        feature = "revoked",
        feature = "testing",
        feature = "tower"
    ),
    doc = "",
    doc = include_str!("../README.md")
)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(feature = "_verify")]
mod access;
#[cfg(all(feature = "_verify", feature = "actix-web"))]
mod actix;
#[cfg(feature = "_verify")]
mod admission;
#[cfg(all(feature = "_verify", feature = "http"))]
mod authority;
#[cfg(all(feature = "_verify", feature = "axum"))]
mod axum;
#[cfg(all(feature = "_verify", feature = "tower"))]
mod body;
#[cfg(feature = "_verify")]
mod cache;
#[cfg(all(feature = "_verify", feature = "http"))]
mod carrier;
mod claims;
#[cfg(feature = "_verify")]
mod config;
#[cfg(feature = "_verify")]
mod cursor;
#[cfg(feature = "rs256")]
mod der;
#[cfg(feature = "_verify")]
mod door;
mod error;
#[cfg(feature = "rs256")]
mod fetch;
#[cfg(feature = "_verify")]
mod fields;
#[cfg(feature = "_verify")]
mod gateway;
#[cfg(feature = "_verify")]
mod header;
#[cfg(feature = "hs256")]
mod hmac;
#[cfg(all(feature = "_verify", feature = "http"))]
mod http;
#[cfg(feature = "_verify")]
mod json;
#[cfg(feature = "rs256")]
mod jwks;
#[cfg(feature = "jwks-http")]
mod jwks_http;
#[cfg(feature = "_verify")]
mod keys;
mod limits;
#[cfg(all(feature = "_verify", feature = "meter"))]
mod meter;
#[cfg(feature = "_verify")]
mod passed;
#[cfg(feature = "rs256")]
mod pem;
mod protected;
#[cfg(feature = "_verify")]
mod quick;
#[cfg(feature = "_verify")]
mod refused;
#[cfg(all(feature = "_verify", feature = "revoked"))]
mod revoked;
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
#[cfg(all(feature = "_verify", not(feature = "rs256")))]
#[path = "no_source.rs"]
mod source;
#[cfg(all(feature = "_verify", feature = "testing"))]
pub mod testing;
#[cfg(feature = "_verify")]
mod token;
#[cfg(all(feature = "_verify", feature = "tower"))]
mod tower;
#[cfg(feature = "_verify")]
mod trace;
#[cfg(feature = "_verify")]
mod validator;
#[cfg(feature = "_verify")]
mod words;

#[cfg(feature = "_verify")]
pub use access::AccessToken;
#[cfg(all(feature = "_verify", feature = "actix-web"))]
pub use actix::{Gated, MaybeToken, TokenGate};
#[cfg(feature = "_verify")]
pub use admission::{Admission, Refusal};
#[cfg(all(feature = "_verify", feature = "http"))]
pub use authority::Authority;
#[cfg(all(feature = "_verify", feature = "tower"))]
pub use body::TokenBody;
#[doc(hidden)]
pub use claims::Claims;
#[cfg(feature = "_verify")]
pub use config::{Config, MAX_LEEWAY};
pub use error::{ConfigError, Flaw, ValidationError};
#[cfg(feature = "rs256")]
pub use fetch::{FetchError, FetchKeys, FetchOutcome, Fetched, SourceError};
#[cfg(feature = "hs256")]
#[doc(hidden)]
pub use hmac::key_id;
#[cfg(feature = "rs256")]
pub use jwks::JwksError;
pub use limits::{Limits, Period, Quota, Rate};
#[cfg(all(feature = "_verify", feature = "meter"))]
pub use meter::{CallMeter, MeterLayer, MeterRefusal, Metered, MeteredBody};
pub use protected::ProtectedResource;
#[cfg(feature = "_verify")]
pub use refused::Refused;
#[cfg(all(feature = "_verify", feature = "revoked"))]
pub use revoked::{ListError, Revocations, RevokedList};
#[cfg(feature = "rs256")]
pub use schedule::Refresh;
#[cfg(feature = "_verify")]
pub use service::{ServiceToken, ServiceValidator};
#[cfg(feature = "rs256")]
pub use source::KeySource;
#[cfg(all(feature = "_verify", feature = "tower"))]
pub use tower::{RequireToken, TokenFuture, TokenLayer};
#[cfg(feature = "_verify")]
pub use validator::{Validator, validate_header};
