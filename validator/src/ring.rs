//! The keys that may have signed a token, and which of them are tried.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64_simd::{AsOut, URL_SAFE_NO_PAD};

use crate::config::MAX_KEYS;
use crate::token::Token;
use crate::{ConfigError, ValidationError, header};

/// The interface that both algorithms implement.
pub(crate) trait Key {
    /// The algorithm's name in a token's header.
    const ALGORITHM: &str;
    /// The headers without a key id that libraries write, in base64url.
    const PLAIN_HEADERS: [&[u8]; 3];
    /// Room for a signature.
    type Signature: AsMut<[u8]>;
    /// Room that holds no signature yet.
    const NO_SIGNATURE: Self::Signature;

    /// The key's name in token headers.
    fn kid(&self) -> &str;
    /// Whether the issuer is known to use that name, and no other.
    fn is_named(&self) -> bool;
    /// The headers that name this key in the spellings of gateway, `jwt-compact` and most libraries, in base64url.
    fn headers(&self) -> &[Vec<u8>];
    /// The length of this key's signatures in base64url.
    fn signature_len(&self) -> usize;
    /// Whether this key made `signature` over `signed`.
    fn made(&self, signature: &[u8], signed: &[u8]) -> bool;
}

/// Keys of one algorithm: first the current one, then others. Never empty.
#[derive(Debug)]
pub(crate) struct Ring<K> {
    keys: Vec<K>,
    /// Where the search begins when a token names no key: at the one that signed last.
    latest: AtomicUsize,
}

impl<K: Clone> Clone for Ring<K> {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            latest: AtomicUsize::new(0),
        }
    }
}

impl<K: Key> Ring<K> {
    pub(crate) fn new(first: K) -> Self {
        Self {
            keys: vec![first],
            latest: AtomicUsize::new(0),
        }
    }

    pub(crate) fn add(&mut self, key: K) -> Result<(), ConfigError> {
        if self.keys.iter().any(|other| other.kid() == key.kid()) {
            return Err(ConfigError::DuplicateKey);
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(ConfigError::TooManyKeys);
        }
        self.keys.push(key);
        Ok(())
    }

    pub(crate) fn keys(&self) -> &[K] {
        &self.keys
    }

    /// The payload of a token, once one of the keys is proven to have signed it.
    pub(crate) fn prove<'t>(&self, token: &'t [u8]) -> Result<&'t [u8], ValidationError> {
        let token = self.split(token)?;
        self.verify(&token)?;
        Ok(token.payload)
    }

    /// Splits a token: the length of a signature says where its last dot is.
    fn split<'t>(&self, token: &'t [u8]) -> Result<Token<'t>, ValidationError> {
        self.keys
            .iter()
            .find_map(|key| Token::split(token, key.signature_len()))
            .ok_or_else(|| self.misfit(token))
    }

    /// Why a token cannot be split. A signature of another length may be that of a new key of another length, which is not here
    /// yet: the token's header tells, if the issuer names its keys.
    #[cold]
    fn misfit(&self, token: &[u8]) -> ValidationError {
        let error = Token::misfit(token);
        if error != ValidationError::WrongSignatureLength || !self.keys.iter().all(Key::is_named) {
            return error;
        }
        match header::read(Token::header(token), K::ALGORITHM, &mut { header::ROOM }) {
            Ok(Some(kid)) if self.keys.iter().all(|key| key.kid() != kid) => {
                ValidationError::UnknownKey
            }
            _ => error,
        }
    }

    /// Proves that one of the keys signed the token.
    fn verify(&self, token: &Token<'_>) -> Result<(), ValidationError> {
        if K::PLAIN_HEADERS.contains(&token.header) {
            return self.try_all(token, |_| true);
        }
        let usual = |key: &&K| key.headers().iter().any(|h| h == token.header);
        if let Some(key) = self.keys.iter().find(usual) {
            return self.try_one(key, token);
        }
        if header::UNSIGNED.contains(&token.header) {
            return Err(ValidationError::WrongAlgorithm);
        }
        if token.header.len() <= header::SHORT {
            self.verify_unusual(token, &mut { header::SHORT_ROOM })
        } else {
            self.verify_unusual(token, &mut { header::ROOM })
        }
    }

    /// [`verify`](Self::verify) for a token whose header must be parsed. `room` takes the decoded bytes.
    fn verify_unusual(&self, token: &Token<'_>, room: &mut [u8]) -> Result<(), ValidationError> {
        let kid = header::read(token.header, K::ALGORITHM, room)?;
        self.verify_named(token, kid.as_deref())
    }

    /// The payload of a list of revoked grants, once one of the keys is proven to have signed it.
    #[cfg(feature = "revoked")]
    pub(crate) fn prove_list<'t>(&self, list: &'t [u8]) -> Result<&'t [u8], ValidationError> {
        let list = self.split(list)?;
        let room = &mut { header::ROOM };
        let kid = header::read_as(list.header, K::ALGORITHM, room, header::is_list)?;
        self.verify_named(&list, kid.as_deref())?;
        Ok(list.payload)
    }

    /// Proves that the key of this name signed the token, or one of the keys if it names none.
    fn verify_named(&self, token: &Token<'_>, kid: Option<&str>) -> Result<(), ValidationError> {
        let Some(kid) = kid else {
            return self.try_all(token, |_| true);
        };
        if let Some(key) = self.keys.iter().find(|key| key.kid() == kid) {
            return self.try_one(key, token);
        }
        // No key has this name. A key without a name may still be meant, because the issuer may name it.
        if self.keys.iter().all(Key::is_named) {
            return Err(ValidationError::UnknownKey);
        }
        self.try_all(token, |key| !key.is_named())
    }

    fn try_one(&self, key: &K, token: &Token<'_>) -> Result<(), ValidationError> {
        let mut room = K::NO_SIGNATURE;
        let signature = decode(token.signature, room.as_mut())?;
        if signature_fits(key, token) && key.made(signature, token.signed) {
            Ok(())
        } else {
            Err(ValidationError::WrongSignature)
        }
    }

    fn try_all(
        &self,
        token: &Token<'_>,
        candidate: impl Fn(&K) -> bool,
    ) -> Result<(), ValidationError> {
        let mut room = K::NO_SIGNATURE;
        let signature = decode(token.signature, room.as_mut())?;
        let latest = self.latest.load(Ordering::Relaxed);
        let order = self.keys.iter().enumerate().skip(latest);
        let order = order.chain(self.keys.iter().enumerate().take(latest));
        for (at, key) in order {
            if candidate(key) && signature_fits(key, token) && key.made(signature, token.signed) {
                if at != latest {
                    self.latest.store(at, Ordering::Relaxed);
                }
                return Ok(());
            }
        }
        Err(ValidationError::WrongSignature)
    }
}

fn signature_fits(key: &impl Key, token: &Token<'_>) -> bool {
    key.signature_len() == token.signature.len()
}

fn decode<'b>(signature: &[u8], room: &'b mut [u8]) -> Result<&'b [u8], ValidationError> {
    // The decoder panics when its output does not fit. It fits: the length is that of one of the keys.
    match URL_SAFE_NO_PAD.decoded_length(signature) {
        Ok(len) if len > room.len() => return Err(ValidationError::WrongSignatureLength),
        _ => {}
    }
    URL_SAFE_NO_PAD
        .decode(signature, room.as_out())
        .map(|decoded| &*decoded)
        .map_err(|_| ValidationError::MalformedSignature)
}
