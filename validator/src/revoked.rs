//! The list of the grants that a gateway has taken back, and what it means for their tokens.

use core::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64_simd::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::gateway::{Clock, is_same_url};
use crate::json::{Seconds, Value, read_object};
use crate::{AccessToken, Config, ValidationError};

/// Longest list that is read, in bytes: a gateway's has 10,000 grants at most.
const MAX_LEN: usize = 512 * 1024;
/// For how many seconds a list is good.
const GOOD_SECONDS: u64 = 300;
/// What comes before the grants in the claims, as the gateway writes it.
const GRANTS: &str = "\"revoked\":[";

/// The grants that a gateway has taken back and that have not ended, as it signed them at one time: the text of its
/// `/.well-known/revoked`.
#[derive(Clone, Debug)]
pub struct RevokedList {
    issued_at: u64,
    is_whole: bool,
    /// The first 8 bytes of the SHA-256 of each grant's id, in order.
    grants: Vec<u64>,
}

impl RevokedList {
    /// Reads a list that one of the configuration's keys has signed. `now` is a second of Unix time.
    ///
    /// # Errors
    ///
    /// What is wrong with it, its age included. An access token is no list, as a list is no access token.
    pub fn read(text: &str, config: &Config, now: u64) -> Result<Self, ListError> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(ListError::NotAList);
        }
        let payload = config.keys.prove_list(text.as_bytes());
        let payload = payload.map_err(ListError::NotSigned)?;
        let claims = URL_SAFE_NO_PAD.decode_to_vec(payload);
        let claims = claims.map_err(|_| ListError::NotAList)?;
        let claims = core::str::from_utf8(&claims).map_err(|_| ListError::NotAList)?;
        // The grants are too many for the reader of claims.
        let (before, rest) = claims.split_once(GRANTS).ok_or(ListError::NotAList)?;
        let (grants, after) = rest.split_once(']').ok_or(ListError::NotAList)?;
        let mut grants: Vec<u64> = match grants {
            "" => Vec::new(),
            grants => {
                let grants = grants.split(',').map(grant);
                grants.collect::<Option<_>>().ok_or(ListError::NotAList)?
            }
        };
        grants.sort_unstable();
        let said = Said::read(&format!("{before}{GRANTS}]{after}")).ok_or(ListError::NotAList)?;
        if let Some(expected) = &config.issuer
            && !is_same_url(&said.issuer, expected)
        {
            return Err(ListError::OtherIssuer);
        }
        // A list from the future would keep out those that follow.
        if said.issued_at.abs_diff(now) > GOOD_SECONDS {
            return Err(ListError::TooOld);
        }
        Ok(Self {
            issued_at: said.issued_at,
            is_whole: said.is_whole,
            grants,
        })
    }

    /// Whether this grant, by its id, was taken back.
    #[must_use]
    pub fn has(&self, grant: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(grant).into();
        let name = digest.first_chunk().copied().map(u64::from_be_bytes);
        name.is_some_and(|name| self.grants.binary_search(&name).is_ok())
    }

    /// Whether all revoked grants are on the list. One that had no place can be asked for at the gateway.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// When it was signed, in seconds of Unix time.
    #[must_use]
    pub const fn issued_at(&self) -> u64 {
        self.issued_at
    }
}

/// A grant on the list: 16 hex digits in quotes.
fn grant(quoted: &str) -> Option<u64> {
    let digits = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let is_hex = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// The claims of a list beside its grants.
struct Said {
    issuer: String,
    issued_at: u64,
    is_whole: bool,
}

impl Said {
    fn read(claims: &str) -> Option<Self> {
        let [mut iss, mut iat, mut truncated] = [None; 3];
        read_object(claims, |name, value| match &*name.read(claims) {
            "iss" => iss = Some(value),
            "iat" => iat = Some(value),
            "truncated" => truncated = Some(value),
            _ => (),
        })
        .ok()?;
        let (Some(Value::Text(iss)), Some(Value::Number(iat))) = (iss, iat) else {
            return None;
        };
        Some(Self {
            issuer: iss.read(claims).into_owned(),
            issued_at: Seconds::read(iat.of(claims)).floor,
            is_whole: match truncated?.written(claims) {
                "false" => true,
                "true" => false,
                _ => return None,
            },
        })
    }
}

/// Why a list is not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ListError {
    /// The text is no list.
    NotAList,
    /// None of the keys has signed it.
    NotSigned(ValidationError),
    /// Another gateway has signed it.
    OtherIssuer,
    /// It was signed more than five minutes ago, or is that far in the future.
    TooOld,
    /// It was signed before the one that is there.
    Earlier,
    /// The system clock cannot be read.
    NoClock,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAList => "this is not a list of revoked grants",
            Self::NotSigned(why) => return write!(f, "the list of revoked grants: {why}"),
            Self::OtherIssuer => "the list of revoked grants is another gateway's",
            Self::TooOld => "the list of revoked grants was not signed in the last five minutes",
            Self::Earlier => "the list of revoked grants is older than the one that is there",
            Self::NoClock => "the system clock cannot be read",
        })
    }
}

impl core::error::Error for ListError {}

/// What a backend knows of the grants that its gateway has taken back. A clone is the same knowledge: one is given to the
/// [`Config`], and another to whatever asks the gateway.
///
/// Only tokens of plans with limits have a grant; all others are good until they expire, and nothing is looked up for them.
/// Ask for `/.well-known/revoked` every 45 seconds. The gateway's copies are at most 10 seconds old, so a token is refused
/// within a minute of its grant's revocation.
///
#[cfg_attr(all(feature = "hs256", feature = "testing"), doc = "```")]
#[cfg_attr(not(all(feature = "hs256", feature = "testing")), doc = "```ignore")]
/// use key0_validator::testing::{TestIssuer, TestToken};
/// use key0_validator::{Revocations, Validator};
///
/// let issuer = TestIssuer::hs256("a secret of 32 bytes or more, for tests")?;
/// let config = issuer.config();
/// let revocations = Revocations::open();
/// let validator = Validator::new(config.clone().revocations(revocations.clone()));
///
/// // Every 45 seconds, with your HTTP client: the text of https://seller.example/.well-known/revoked.
/// let text = issuer.revoked(&["2f1d0a52"]);
/// revocations.load(&text, &config)?;
///
/// let token = issuer.bearer(&TestToken::new().grant("2f1d0a52"));
/// let refused = validator.validate(token.as_str()).unwrap_err();
/// assert_eq!((refused.status(), refused.code()), (401, "GRANT_REVOKED"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Revocations {
    list: Arc<RwLock<Option<Arc<RevokedList>>>>,
    /// Whether tokens are refused that cannot be looked up.
    is_closed: bool,
}

impl Revocations {
    /// While there is no list of the last five minutes, tokens with a grant are good.
    #[must_use]
    pub fn open() -> Self {
        Self::new(false)
    }

    /// While there is no list of the last five minutes, tokens with a grant get a 500
    /// ([`ValidationError::NotChecked`]).
    #[must_use]
    pub fn closed() -> Self {
        Self::new(true)
    }

    fn new(is_closed: bool) -> Self {
        Self {
            list: Arc::default(),
            is_closed,
        }
    }

    /// Reads a list by the system clock, and takes it in place of the one that is there.
    ///
    /// # Errors
    ///
    /// Why it is not taken. The list that is there stays.
    pub fn load(&self, text: &str, config: &Config) -> Result<(), ListError> {
        let now = Clock::System.now().map_err(|_| ListError::NoClock)?;
        let read = RevokedList::read(text, config, now);
        if let Err(ListError::NotSigned(ValidationError::UnknownKey | ValidationError::NoKeys)) =
            read
        {
            // The next list may find the key.
            _ = config.keys.refresh();
        }
        self.replace(read?)
    }

    /// Takes a list in place of the one that is there.
    ///
    /// # Errors
    ///
    /// [`ListError::Earlier`].
    pub fn replace(&self, list: RevokedList) -> Result<(), ListError> {
        let mut present = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let is_earlier = |present: &Arc<RevokedList>| list.issued_at < present.issued_at;
        if present.as_ref().is_some_and(is_earlier) {
            return Err(ListError::Earlier);
        }
        *present = Some(Arc::new(list));
        Ok(())
    }

    /// The list that was taken last.
    #[must_use]
    pub fn list(&self) -> Option<Arc<RevokedList>> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.clone()
    }

    /// Refuses a token whose grant was taken back.
    pub(crate) fn judge(&self, access: &AccessToken, clock: Clock) -> Result<(), ValidationError> {
        let Some(grant) = access.grant() else {
            return Ok(());
        };
        let list = self.list();
        // What was once taken back never comes back.
        if list.as_ref().is_some_and(|list| list.has(&grant)) {
            return Err(ValidationError::GrantRevoked);
        }
        if !self.is_closed {
            return Ok(());
        }
        let now = clock.now()?;
        let is_good = |list: Arc<RevokedList>| now.saturating_sub(list.issued_at) <= GOOD_SECONDS;
        match list.is_some_and(is_good) {
            true => Ok(()),
            false => Err(ValidationError::NotChecked),
        }
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list();
        f.debug_struct("Revocations")
            .field("closed", &self.is_closed)
            .field("grants", &list.map(|list| list.grants.len()))
            .finish()
    }
}
