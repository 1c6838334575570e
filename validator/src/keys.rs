//! The keys of a configuration: all of one algorithm, which the configuration names and no token can change.

use crate::ValidationError;
#[cfg(feature = "hs256")]
use crate::hmac::HmacKey;
use crate::ring::{Key, Ring};
#[cfg(feature = "rs256")]
use crate::rsa::RsaKey;
#[cfg(feature = "rs256")]
use crate::source::KeySource;
use crate::source::Refreshed;

/// The keys that may have signed a token.
#[derive(Clone)]
pub(crate) enum Keys {
    #[cfg(feature = "hs256")]
    Hs256(Ring<HmacKey>),
    #[cfg(feature = "rs256")]
    Rs256(Ring<RsaKey>),
    #[cfg(feature = "rs256")]
    Source(KeySource),
}

impl Keys {
    /// The payload of a token, once one of the keys is proven to have signed it.
    #[inline]
    pub(crate) fn prove<'t>(&self, token: &'t [u8]) -> Result<&'t [u8], ValidationError> {
        match self {
            #[cfg(feature = "hs256")]
            Self::Hs256(ring) => ring.prove(token),
            #[cfg(feature = "rs256")]
            Self::Rs256(ring) => ring.prove(token),
            #[cfg(feature = "rs256")]
            Self::Source(source) => source.current()?.ring.prove(token),
        }
    }

    /// The payload of a list of revoked grants, once one of the keys is proven to have signed it.
    #[cfg(feature = "revoked")]
    pub(crate) fn prove_list<'t>(&self, list: &'t [u8]) -> Result<&'t [u8], ValidationError> {
        match self {
            #[cfg(feature = "hs256")]
            Self::Hs256(ring) => ring.prove_list(list),
            #[cfg(feature = "rs256")]
            Self::Rs256(ring) => ring.prove_list(list),
            #[cfg(feature = "rs256")]
            Self::Source(source) => source.current()?.ring.prove_list(list),
        }
    }

    /// Changes whenever the keys do. `None` while there are none: then nothing may be remembered, nor found.
    pub(crate) fn generation(&self) -> Option<u64> {
        match self {
            #[cfg(feature = "rs256")]
            Self::Source(source) => source.current().ok().map(|keys| keys.generation),
            #[cfg(feature = "hs256")]
            Self::Hs256(_) => Some(0),
            #[cfg(feature = "rs256")]
            Self::Rs256(_) => Some(0),
        }
    }

    /// Tells the source of the keys, if there is one, that a token came whose key is not there.
    pub(crate) fn refresh(&self) -> Option<Refreshed> {
        match self {
            #[cfg(feature = "rs256")]
            Self::Source(source) => source.refresh(),
            #[cfg(feature = "rs256")]
            Self::Rs256(_) => None,
            #[cfg(feature = "hs256")]
            Self::Hs256(_) => None,
        }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            #[cfg(feature = "hs256")]
            Self::Hs256(_) => HmacKey::ALGORITHM,
            #[cfg(feature = "rs256")]
            Self::Rs256(_) | Self::Source(_) => RsaKey::ALGORITHM,
        }
    }

    /// Key ids, for people who look at a configuration.
    pub(crate) fn ids(&self) -> Vec<String> {
        fn ids<K: Key>(ring: &Ring<K>) -> Vec<String> {
            ring.keys().iter().map(|key| key.kid().to_owned()).collect()
        }
        match self {
            #[cfg(feature = "hs256")]
            Self::Hs256(ring) => ids(ring),
            #[cfg(feature = "rs256")]
            Self::Rs256(ring) => ids(ring),
            #[cfg(feature = "rs256")]
            Self::Source(source) => source.current().map_or(Vec::new(), |keys| ids(&keys.ring)),
        }
    }
}
