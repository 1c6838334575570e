//! What the buyer receives: the access token and the grant around it.

pub mod backend;
mod grant;
pub mod notice;
pub mod oauth;
pub mod remote;
mod rsa_key;
mod token;

pub use grant::{AccessGrant, resource_endpoint};
pub use rsa_key::{JsonWebKey, RsaPrivateKey, RsaPublicKey};
pub use token::{
    JsonWebKeySet, RsaSigner, Signature, SigningError, TokenInfo, TokenSigner, json_web_key_set,
    token_info,
};

#[cfg(test)]
pub(crate) use token::NoRsa;
