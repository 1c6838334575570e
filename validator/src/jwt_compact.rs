//! Our keys as algorithms of the crate `jwt-compact`, for programs that have built on it.
//!
//! What `jwt-compact` does not check (types, `crit`, duplicate names, issuer …) stays unchecked in this way.
//!
#![cfg_attr(feature = "hs256", doc = "```")]
#![cfg_attr(not(feature = "hs256"), doc = "```ignore")]
//! use jwt_compact::{AlgorithmExt, Claims, Header, UntrustedToken};
//! use key0_validator::jwt_compact::{Hs256, SecretKey};
//!
//! let key = SecretKey::new("the current secret, 32 bytes or more")?;
//! let claims = Claims::new(serde_json::json!({"sub": "somebody"}));
//! let token = Hs256.token(&Header::empty(), &claims, &key).map_err(|e| e.to_string())?;
//!
//! let token = UntrustedToken::new(&token).map_err(|e| e.to_string())?;
//! let checked = Hs256.validator::<serde_json::Value>(&key).validate(&token);
//! assert_eq!(checked.map_err(|e| e.to_string())?.claims().custom["sub"], "somebody");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;

use jwt_compact::{Algorithm, AlgorithmSignature};

#[cfg(feature = "rs256")]
pub use self::rsa::{PublicKey, Rs256};
#[cfg(feature = "hs256")]
pub use self::shared::{Hs256, SecretKey};

/// A signature's bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature(Vec<u8>);

impl AlgorithmSignature for Signature {
    fn try_from_slice(slice: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(slice.to_vec()))
    }

    fn as_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.0)
    }
}

#[cfg(feature = "hs256")]
mod shared {
    use super::{Algorithm, Cow, Signature};
    use crate::ConfigError;
    use crate::hmac::HmacKey;
    use crate::ring::Key;

    /// HMAC-SHA-256.
    #[derive(Clone, Copy, Debug)]
    pub struct Hs256;

    /// A shared secret, ready for use.
    #[derive(Clone)]
    pub struct SecretKey(HmacKey);

    impl SecretKey {
        /// Takes a secret of at least 32 bytes.
        ///
        /// # Errors
        ///
        /// As [`Config::hs256`](crate::Config::hs256).
        pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
            HmacKey::new(secret.as_ref()).map(Self)
        }
    }

    impl core::fmt::Debug for SecretKey {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "SecretKey({})", self.0.kid())
        }
    }

    impl Algorithm for Hs256 {
        type SigningKey = SecretKey;
        type VerifyingKey = SecretKey;
        type Signature = Signature;

        fn name(&self) -> Cow<'static, str> {
            Cow::Borrowed(HmacKey::ALGORITHM)
        }

        fn sign(&self, key: &SecretKey, message: &[u8]) -> Signature {
            Signature(key.0.mac(message).to_vec())
        }

        fn verify_signature(&self, signature: &Signature, key: &SecretKey, message: &[u8]) -> bool {
            key.0.made(&signature.0, message)
        }
    }
}

#[cfg(feature = "rs256")]
mod rsa {
    use core::convert::Infallible;

    use super::{Algorithm, Cow, Signature};
    use crate::ConfigError;
    use crate::ring::Key;
    use crate::rsa::RsaKey;

    /// RSASSA-PKCS1-v1_5 with SHA-256, to check only.
    #[derive(Clone, Copy, Debug)]
    pub struct Rs256;

    /// A public RSA key, ready for use.
    #[derive(Clone, Debug)]
    pub struct PublicKey(RsaKey);

    impl PublicKey {
        /// The first key of a PEM text.
        ///
        /// # Errors
        ///
        /// As [`Config::rs256`](crate::Config::rs256).
        pub fn from_pem(pem: impl AsRef<str>) -> Result<Self, ConfigError> {
            let key = RsaKey::from_pem(pem.as_ref())?.into_iter().next();
            key.map(Self).ok_or(ConfigError::NotPem)
        }
    }

    impl Algorithm for Rs256 {
        /// Nobody signs here.
        type SigningKey = Infallible;
        type VerifyingKey = PublicKey;
        type Signature = Signature;

        fn name(&self) -> Cow<'static, str> {
            Cow::Borrowed(RsaKey::ALGORITHM)
        }

        fn sign(&self, key: &Infallible, _: &[u8]) -> Signature {
            match *key {}
        }

        fn verify_signature(&self, signature: &Signature, key: &PublicKey, message: &[u8]) -> bool {
            key.0.made(&signature.0, message)
        }
    }
}
