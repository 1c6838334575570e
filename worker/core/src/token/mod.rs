//! Access tokens, and the keys that sign them.

mod reader;
mod rsa;
mod rsa_key;
mod signer;

pub use reader::{Access, RsaVerifier, TokenReader, Verdict};
#[cfg(test)]
pub(crate) use rsa::NoRsa;
pub use rsa::Rsa;
pub use rsa_key::{JsonWebKey, RsaPrivateKey, RsaPublicKey};
#[cfg(test)]
pub(crate) use rsa_key::{MAX_BITS, MAX_OLD_KEYS, MIN_BITS};
pub use signer::{RsaSigner, Signature, SigningError, TokenSigner};
