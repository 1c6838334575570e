//! What a backend expects of a token, fixed and checked once, when it starts.

use core::fmt;
use core::time::Duration;

use crate::ConfigError;
use crate::hs256::KeyRing;

/// Most secrets that one configuration takes: the current one and seven older ones.
pub const MAX_SECRETS: usize = 8;

/// Longest leeway that a configuration takes.
pub const MAX_LEEWAY: Duration = Duration::from_secs(120);

/// What a backend expects of a token: the algorithm, its keys, and optionally who issued it and what for.
///
/// A mistake is refused here, so that what exists can be used. The secrets themselves are not kept and `Debug` shows
/// key ids only.
///
/// ```
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
    pub(crate) keys: KeyRing,
    pub(crate) issuer: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) plan: Option<String>,
    pub(crate) leeway: u64,
}

impl Config {
    /// Accepts tokens signed with HS256 under this secret, the gateway's `ACCESS_TOKEN_SECRET`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ShortSecret`] under 32 bytes, [`ConfigError::PemAsSecret`] for the text of a key file.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: KeyRing::new(secret.as_ref())?,
            issuer: None,
            resource: None,
            plan: None,
            leeway: 0,
        })
    }

    /// Accepts tokens under this older secret too, while the last of them run out.
    ///
    /// # Errors
    ///
    /// As [`hs256`](Self::hs256), and for a secret given twice or more than [`MAX_SECRETS`].
    pub fn fallback_secret(mut self, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        self.keys.add(secret.as_ref())?;
        Ok(self)
    }

    /// Accepts only tokens of this gateway: their `iss` must be exactly this.
    #[must_use]
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self {
            issuer: Some(issuer.into()),
            ..self
        }
    }

    /// Accepts only tokens for this resource: their `resourceId` must be exactly this.
    #[must_use]
    pub fn resource(self, resource_id: impl Into<String>) -> Self {
        Self {
            resource: Some(resource_id.into()),
            ..self
        }
    }

    /// Accepts only tokens of this plan: their `planId` must be exactly this.
    #[must_use]
    pub fn plan(self, plan_id: impl Into<String>) -> Self {
        Self {
            plan: Some(plan_id.into()),
            ..self
        }
    }

    /// Forgives clocks that differ by this much, in whole seconds. Without it nothing is forgiven.
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

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("algorithm", &"HS256")
            .field("key_ids", &self.keys.ids().collect::<Vec<_>>())
            .field("issuer", &self.issuer)
            .field("resource", &self.resource)
            .field("plan", &self.plan)
            .field("leeway", &self.leeway)
            .finish()
    }
}

#[cfg(test)]
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
        assert_eq!(refusal(SECRET), Some(ConfigError::DuplicateSecret));
        let full = (1..MAX_SECRETS).try_fold(config.clone(), |config, i| {
            config.fallback_secret(format!("{SECRET}{i}"))
        });
        let full = full.unwrap();
        assert_eq!(
            full.fallback_secret(format!("{SECRET}x")).err(),
            Some(ConfigError::TooManySecrets)
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
