//! What a backend expects of a token, fixed and checked once, when it starts.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::admission::AdmitIf;
use crate::cache::Cache;
#[cfg(feature = "hs256")]
use crate::hmac::HmacKey;
use crate::keys::Keys;
use crate::ring::Ring;
use crate::{AccessToken, Admission, ConfigError, Refusal};
#[cfg(feature = "rs256")]
use crate::{JwksError, KeySource, jwks, rsa::RsaKey};

/// Most keys that one configuration takes: the current one and older ones.
pub(crate) const MAX_KEYS: usize = 16;

/// Longest leeway that a configuration takes.
pub const MAX_LEEWAY: Duration = Duration::from_secs(120);

/// Base, where USDC is money.
const BASE: u64 = 8453;

/// Base Sepolia, where it is not.
pub(crate) const BASE_SEPOLIA: u64 = 84532;

/// What a backend expects of every token: the algorithm, its keys, the chain that was paid on, and who issued it. A
/// resource or plans that one part of the backend requires are set in the [`Validator`](crate::Validator).
///
/// A mistake is refused here, so that what exists can be used. The secrets themselves are not kept and `Debug` shows
/// key ids only.
///
#[cfg_attr(feature = "hs256", doc = "```")]
#[cfg_attr(not(feature = "hs256"), doc = "```ignore")]
/// use key0_validator::{Config, ConfigError};
///
/// let config = Config::hs256("the current secret, 32 bytes or more")?
///     .fallback_secret("the secret before it, still accepted")?
///     .issuer("https://seller.example");
///
/// assert_eq!(Config::hs256("hunter2").unwrap_err(), ConfigError::ShortSecret { len: 7 });
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) keys: Keys,
    pub(crate) chain_id: u64,
    pub(crate) testnet: bool,
    pub(crate) issuer: Option<String>,
    pub(crate) leeway: u64,
    pub(crate) admission: Option<Arc<dyn Admission>>,
    #[cfg(feature = "revoked")]
    pub(crate) revocations: Option<crate::Revocations>,
    /// How many tokens are remembered, if any.
    pub(crate) cache: Option<(usize, MakeCache)>,
}

/// Makes the cache. Only a configuration with a cache refers to this function, so that a program without a cache links
/// none of its code.
pub(crate) type MakeCache = fn(usize) -> Cache;

impl Config {
    /// Accepts tokens signed with HS256 under this secret, the gateway's `KEY0_ACCESS_TOKEN_SECRET`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ShortSecret`] under 32 bytes, [`ConfigError::PemAsSecret`] for the text of a key file.
    #[cfg(feature = "hs256")]
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let key = HmacKey::new(secret.as_ref())?;
        Ok(Self::new(Keys::Hs256(Ring::new(key))))
    }

    /// Accepts tokens under this older secret too, while the last of them run out.
    ///
    /// # Errors
    ///
    /// As [`hs256`](Self::hs256), for a secret given twice or more than 16 of them, and for a configuration of RS256.
    #[cfg(feature = "hs256")]
    pub fn fallback_secret(mut self, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let key = HmacKey::new(secret.as_ref())?;
        match &mut self.keys {
            Keys::Hs256(ring) => ring.add(key)?,
            #[cfg(feature = "rs256")]
            Keys::Rs256(_) | Keys::Source(_) => return Err(ConfigError::OtherAlgorithm),
        }
        Ok(self)
    }

    /// Accepts tokens signed with RS256 under the public key in this PEM text, or under any of those in it
    /// (`PUBLIC KEY` or `RSA PUBLIC KEY`, 2048 to 8192 bits).
    ///
    /// # Errors
    ///
    /// For anything but public RSA keys, private keys above all, and for a key that is weak or given twice.
    #[cfg(feature = "rs256")]
    pub fn rs256(public_key_pem: impl AsRef<str>) -> Result<Self, ConfigError> {
        let mut keys = RsaKey::from_pem(public_key_pem.as_ref())?.into_iter();
        let first = keys.next().ok_or(ConfigError::NotPem)?;
        let mut ring = Ring::new(first);
        keys.try_for_each(|key| ring.add(key))?;
        Ok(Self::new(Keys::Rs256(ring)))
    }

    /// Accepts tokens under this older public key too, while the last of them run out.
    ///
    /// # Errors
    ///
    /// As [`rs256`](Self::rs256), for more than 16 keys, and for a configuration of HS256 or with
    /// a [`KeySource`].
    #[cfg(feature = "rs256")]
    pub fn fallback_key(mut self, public_key_pem: impl AsRef<str>) -> Result<Self, ConfigError> {
        let keys = RsaKey::from_pem(public_key_pem.as_ref())?;
        match &mut self.keys {
            Keys::Rs256(ring) => keys.into_iter().try_for_each(|key| ring.add(key))?,
            Keys::Source(_) => return Err(ConfigError::OtherAlgorithm),
            #[cfg(feature = "hs256")]
            Keys::Hs256(_) => return Err(ConfigError::OtherAlgorithm),
        }
        Ok(self)
    }

    /// Accepts tokens signed with RS256 under a key of this JWKS document, as the gateway publishes it at
    /// `/.well-known/jwks.json`. Keys for other purposes are passed over, and so are keys that cannot be used, as long as there is
    /// one that can.
    ///
    /// # Errors
    ///
    /// For a document that cannot be read, holds a secret or private key, or has no key for RS256.
    #[cfg(feature = "rs256")]
    pub fn jwks(document: impl AsRef<str>) -> Result<Self, JwksError> {
        let (ring, _) = jwks::read(document.as_ref())?;
        Ok(Self::new(Keys::Rs256(ring)))
    }

    /// Accepts tokens signed with RS256 under the keys that this source has at the time.
    #[cfg(feature = "rs256")]
    #[must_use]
    pub fn key_source(source: KeySource) -> Self {
        Self::new(Keys::Source(source))
    }

    fn new(keys: Keys) -> Self {
        Self {
            keys,
            chain_id: BASE,
            testnet: false,
            issuer: None,
            leeway: 0,
            admission: None,
            #[cfg(feature = "revoked")]
            revocations: None,
            cache: None,
        }
    }

    /// Accepts tokens that were bought with test money, on Base Sepolia (84532), in addition to those bought with
    /// money.
    ///
    /// For a backend that is tried out. Without this only tokens paid on Base (8453) are good, so that whoever has a test
    /// gateway's token cannot open what others pay for, even where both gateways sign with the same key.
    #[must_use]
    pub fn accept_testnet(self) -> Self {
        Self {
            testnet: true,
            ..self
        }
    }

    /// Accepts tokens that were paid on this chain instead of Base: their `chainId` must be this EIP-155 id.
    #[must_use]
    pub fn chain(self, chain_id: u64) -> Self {
        Self { chain_id, ..self }
    }

    /// Accepts only tokens of this gateway: their `iss` must be its public URL. A slash at the end makes no difference.
    #[must_use]
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self {
            issuer: Some(issuer.into()),
            ..self
        }
    }

    /// Allows for clocks that differ by up to `leeway`, in whole seconds. By default, no difference is allowed.
    ///
    /// # Errors
    ///
    /// [`ConfigError::LongLeeway`] over [`MAX_LEEWAY`].
    pub fn leeway(self, leeway: Duration) -> Result<Self, ConfigError> {
        if leeway > MAX_LEEWAY {
            return Err(ConfigError::LongLeeway);
        }
        Ok(Self {
            leeway: leeway.as_secs(),
            ..self
        })
    }
}

impl Config {
    /// Asks `admission` about every token that passed all other checks.
    #[must_use]
    pub fn admission(self, admission: impl Admission + 'static) -> Self {
        Self {
            admission: Some(Arc::new(admission)),
            ..self
        }
    }

    /// Asks the function `admit` about every token that passed all other checks: [`admission`](Self::admission) without
    /// a type.
    #[must_use]
    pub fn admit_if<F>(self, admit: F) -> Self
    where
        F: Fn(&AccessToken) -> Result<(), Refusal> + Send + Sync + 'static,
    {
        self.admission(AdmitIf(admit))
    }

    /// Refuses tokens whose grant the gateway has taken back, as far as these know it.
    #[cfg(feature = "revoked")]
    #[must_use]
    pub fn revocations(self, revocations: crate::Revocations) -> Self {
        Self {
            revocations: Some(revocations),
            ..self
        }
    }

    /// Remembers up to about `tokens` good tokens, so that a token seen again costs a comparison instead of a
    /// signature. Worth it for RS256 alone, and only for a backend that answers thousands of requests a second.
    ///
    /// Each core has its own part of the cache, so a token may be remembered as often as there are cores. Each
    /// validator that is made from this configuration has a cache of its own, which its clones share. Dates, keys and
    /// the [admission hook](Self::admission) count at each use. A token takes about a kilobyte; at most a million are
    /// kept.
    #[must_use]
    pub fn verified_cache(self, tokens: usize) -> Self {
        Self {
            cache: (tokens > 0).then_some((tokens, Cache::new)),
            ..self
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("algorithm", &self.keys.algorithm())
            .field("key_ids", &self.keys.ids())
            .field("chain_id", &self.chain_id)
            .field("testnet", &self.testnet)
            .field("issuer", &self.issuer)
            .field("leeway", &self.leeway)
            .field("admission", &self.admission.is_some())
            .field("cached_tokens", &self.cache.map(|(tokens, _)| tokens))
            .finish()
    }
}

#[cfg(all(test, feature = "hs256"))]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of at least 32 bytes, for tests";

    fn refusal(secret: impl AsRef<[u8]>) -> Option<ConfigError> {
        Config::hs256(secret).err()
    }

    #[test]
    fn weak_and_mistaken_secrets_are_refused() {
        assert_eq!(refusal(""), Some(ConfigError::ShortSecret { len: 0 }));
        assert_eq!(
            refusal("31 bytes are one byte too few.."),
            Some(ConfigError::ShortSecret { len: 31 })
        );
        assert_eq!(refusal("32 bytes are what HS256 asks for"), None);
        let pem = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIB";
        assert_eq!(refusal(pem), Some(ConfigError::PemAsSecret));
        assert_eq!(refusal(format!("\n {pem}")), Some(ConfigError::PemAsSecret));
    }

    #[test]
    fn fallback_secrets_are_held_to_the_same_rules() {
        let config = Config::hs256(SECRET).unwrap();
        let refusal = |secret: &str| config.clone().fallback_secret(secret).err();
        assert_eq!(refusal("short"), Some(ConfigError::ShortSecret { len: 5 }));
        assert_eq!(refusal(SECRET), Some(ConfigError::DuplicateKey));
        let full = (1..MAX_KEYS).try_fold(config.clone(), |config, i| {
            config.fallback_secret(format!("{SECRET}{i}"))
        });
        let full = full.unwrap();
        assert_eq!(
            full.fallback_secret(format!("{SECRET}x")).err(),
            Some(ConfigError::TooManyKeys)
        );
    }

    #[test]
    fn leeway_is_bounded() {
        let config = Config::hs256(SECRET).unwrap();
        assert!(config.clone().leeway(MAX_LEEWAY).is_ok());
        let refused = config.leeway(MAX_LEEWAY + Duration::from_nanos(1)).err();
        assert_eq!(refused, Some(ConfigError::LongLeeway));
    }

    #[test]
    fn debug_shows_key_ids_and_no_secret() {
        let shown = format!(
            "{:?}",
            Config::hs256(SECRET)
                .unwrap()
                .issuer("https://seller.example")
        );
        assert!(shown.contains(&crate::key_id(SECRET)), "{shown}");
        assert!(shown.contains("https://seller.example"));
        assert!(!shown.contains("for tests"));
    }
}
