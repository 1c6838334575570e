//! The platform's RSA, for signing and for checking.

use super::reader::RsaVerifier;
use super::signer::RsaSigner;
#[cfg(test)]
use super::{RsaPrivateKey, RsaPublicKey, Signature, SigningError, Verdict};

/// The platform's RSA.
pub trait Rsa: RsaSigner + RsaVerifier {}

impl<T: RsaSigner + RsaVerifier> Rsa for T {}

/// An implementation for tests in which no RSA is needed.
#[cfg(test)]
pub(crate) struct NoRsa;

#[cfg(test)]
impl RsaSigner for NoRsa {
    fn rs256<'a>(&'a self, _: &'a RsaPrivateKey, _: &'a [u8]) -> Signature<'a> {
        Box::pin(async { Err(SigningError) })
    }
}

#[cfg(test)]
impl RsaVerifier for NoRsa {
    fn is_signed<'a>(&'a self, _: &'a RsaPublicKey, _: &'a [u8], _: &'a [u8]) -> Verdict<'a> {
        Box::pin(async { false })
    }
}
