//! Who does the arithmetic of RSA. Chosen when a key is built, so that a missing back end is found at start, never when
//! the first token comes. All of them decide alike; a test holds them against each other.

use std::sync::Arc;

use crate::der::Numbers;

/// A key that an RSA library has prepared.
pub(crate) trait Verify: Send + Sync {
    /// Whether this key made `signature` (RSASSA-PKCS1-v1_5 with SHA-256) over `message`.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;

    /// The name of the library that checks.
    fn library(&self) -> &'static str;
}

/// A key, ready for use. `None`: the library finds the numbers wrong, an even modulus for example.
type Prepared = Option<Arc<dyn Verify>>;

/// Prepares a key from modulus and exponent, and from the same numbers as an `RSAPublicKey`. `None`: the library does
/// not run on this processor.
type Library = fn(Numbers<'_>, &[u8]) -> Option<Prepared>;

/// The linked libraries in the order of preference: the one that was chosen by a feature, then the one that needs no C compiler,
/// then the one that runs everywhere.
const LIBRARIES: &[Library] = &[
    #[cfg(feature = "aws-lc-rs")]
    aws_lc::prepare,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    graviola::prepare,
    #[cfg(feature = "ring")]
    ring::prepare,
];

/// The key, in the first library that runs here; `None` if none does.
pub(crate) fn prepare(numbers: Numbers<'_>, pkcs1: &[u8]) -> Option<Prepared> {
    LIBRARIES.iter().find_map(|prepare| prepare(numbers, pkcs1))
}

/// Whether a linked library runs on this processor. Asked before there is a key.
pub(crate) fn runs_here() -> bool {
    let numbers: Numbers<'_> = (&[0xff; 256], &[1, 0, 1]);
    prepare(numbers, &crate::der::write_pkcs1(numbers)).is_some()
}

/// The key, in every library that runs here.
#[cfg(test)]
pub(crate) fn every(numbers: Numbers<'_>, pkcs1: &[u8]) -> Vec<Prepared> {
    LIBRARIES
        .iter()
        .filter_map(|prepare| prepare(numbers, pkcs1))
        .collect()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod graviola {
    use std::sync::Arc;

    use graviola::signing::rsa::VerifyingKey;
    use graviola::util::is_cpu_supported;

    use super::{Numbers, Prepared, Verify};

    impl Verify for VerifyingKey {
        fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
            self.verify_pkcs1_sha256(signature, message).is_ok()
        }

        fn library(&self) -> &'static str {
            "graviola"
        }
    }

    pub(super) fn prepare(_: Numbers<'_>, pkcs1: &[u8]) -> Option<Prepared> {
        // On a processor that graviola does not support, it would panic at the first use.
        is_cpu_supported().then(|| {
            let key = VerifyingKey::from_pkcs1_der(pkcs1).ok()?;
            Some(Arc::new(key) as Arc<dyn Verify>)
        })
    }
}

#[cfg(feature = "ring")]
mod ring {
    use std::sync::Arc;

    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::{Numbers, Prepared, Verify};

    type Key = RsaPublicKeyComponents<Vec<u8>>;

    impl Verify for Key {
        fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
            self.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok()
        }

        fn library(&self) -> &'static str {
            "ring"
        }
    }

    pub(super) fn prepare((modulus, exponent): Numbers<'_>, _: &[u8]) -> Option<Prepared> {
        // ring parses the key's numbers again at each verification, so nothing can fail here.
        Some(Some(Arc::new(Key {
            n: modulus.to_vec(),
            e: exponent.to_vec(),
        })))
    }
}

#[cfg(feature = "aws-lc-rs")]
mod aws_lc {
    use std::sync::Arc;

    use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};

    use super::{Numbers, Prepared, Verify};

    impl Verify for ParsedPublicKey {
        fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
            self.verify_sig(message, signature).is_ok()
        }

        fn library(&self) -> &'static str {
            "aws-lc-rs"
        }
    }

    pub(super) fn prepare(_: Numbers<'_>, pkcs1: &[u8]) -> Option<Prepared> {
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pkcs1).ok();
        Some(key.map(|key| Arc::new(key) as Arc<dyn Verify>))
    }
}
