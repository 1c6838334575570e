//! Access tokens, and the keys that sign them.

mod reader;
mod rsa_key;
mod signer;

pub use reader::{Access, RsaVerifier, TokenReader, Verdict};
pub use rsa_key::{JsonWebKey, RsaPrivateKey, RsaPublicKey};
#[cfg(test)]
pub(crate) use rsa_key::{MAX_BITS, MAX_OLD_KEYS, MIN_BITS};
#[cfg(test)]
pub(crate) use signer::NoRsa;
pub use signer::{RsaSigner, Signature, SigningError, TokenSigner};

/// The platform's RSA.
pub trait Rsa: RsaSigner + RsaVerifier {}

impl<T: RsaSigner + RsaVerifier> Rsa for T {}
