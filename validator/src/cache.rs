//! Tokens that were checked before. A hit costs a comparison instead of a signature.
//!
//! Each rule here avoids a mistake that other caches have made. The whole token is compared, not a digest of it. Failures are
//! never kept. A cache belongs to one validator and its keys: when they change, all of it is void. The caller checks the dates
//! and asks the admission hook again at each hit.

use core::fmt;
use core::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, TryLockError};
use std::thread::available_parallelism;

use crate::AccessToken;

/// The most parts. This bounds the memory on a machine of many cores.
const MAX_PARTS: usize = 16;

/// The most tokens in all parts: about a gigabyte.
const MAX_TOKENS: usize = 1 << 20;

/// One part for each core: a thread keeps to its own, so cores do not wait for each other and share no memory.
pub(crate) struct Cache {
    parts: Vec<Vec<Mutex<Option<Entry>>>>,
}

struct Entry {
    token: Box<[u8]>,
    access: AccessToken,
    /// The generation of the keys that proved it.
    generation: u64,
}

impl Cache {
    /// A cache with room for `tokens` tokens altogether, or a few more.
    pub(crate) fn new(tokens: usize) -> Self {
        let cores = available_parallelism().map_or(1, Into::into);
        // A power of two, so that a thread finds its part without a division.
        Self::with_parts(tokens, cores.next_power_of_two().min(MAX_PARTS))
    }

    fn with_parts(tokens: usize, parts: usize) -> Self {
        let each = tokens.clamp(1, MAX_TOKENS).div_ceil(parts);
        let part = || (0..each).map(|_| Mutex::default()).collect();
        Self {
            parts: (0..parts).map(|_| part()).collect(),
        }
    }

    /// The token as it was proven before, by keys of the same generation.
    pub(crate) fn get(&self, token: &[u8], generation: u64) -> Option<AccessToken> {
        // A slot that is locked or poisoned counts as empty.
        let slot = self.slot(token)?.try_lock().ok()?;
        let entry = slot.as_ref()?;
        let hit = entry.generation == generation && equal(&entry.token, token);
        hit.then(|| entry.access.clone())
    }

    /// Stores a token that was proven, in place of what was there. Returns it in a form that is cheap to clone.
    pub(crate) fn put(&self, token: &[u8], access: AccessToken, generation: u64) -> AccessToken {
        let access = access.into_shared();
        let slot = self.slot(token).map(Mutex::try_lock);
        let mut slot = match slot {
            Some(Ok(slot)) => slot,
            Some(Err(TryLockError::Poisoned(slot))) => slot.into_inner(),
            Some(Err(TryLockError::WouldBlock)) | None => return access,
        };
        *slot = Some(Entry {
            token: token.into(),
            access: access.clone(),
            generation,
        });
        access
    }

    /// The slot of a token. It follows from a few symbols of the signature, which are as good as random.
    fn slot(&self, token: &[u8]) -> Option<&Mutex<Option<Entry>>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static PART: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        let (_, end) = token.split_last_chunk::<16>()?;
        let symbols = u64::from_le_bytes(*end.first_chunk()?);
        // Base64 symbols share some bits. Knuth's multiplier spreads the others into the high half.
        let spread = symbols.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let part = PART.with(|part| *part) & self.parts.len().checked_sub(1)?;
        let part = self.parts.get(part)?;
        // `spread` is a fraction of 2^32: scaled to the number of slots.
        let slots = u64::try_from(part.len()).ok()?;
        part.get(usize::try_from(spread.wrapping_mul(slots) >> 32).ok()?)
    }
}

/// Compares in a time that depends only on the lengths.
fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // In pieces, so that the compiler can use vector instructions. The last piece ends at the end of the input, and so overlaps
    // the one before it.
    let mut differs = [0; 64];
    let mut note = |a: &[u8], b: &[u8]| {
        for (differs, (a, b)) in differs.iter_mut().zip(a.iter().zip(b)) {
            *differs |= a ^ b;
        }
    };
    let pieces = a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0);
    pieces.for_each(|(a, b)| note(a, b));
    match (a.last_chunk::<64>(), b.last_chunk::<64>()) {
        (Some(a), Some(b)) => note(a, b),
        _ => note(a, b),
    }
    let (words, _) = differs.as_chunks();
    let all = words
        .iter()
        .fold(0, |all, word| all | u64::from_ne_bytes(*word));
    black_box(all) == 0
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("tokens", &self.parts.iter().map(Vec::len).sum::<usize>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(sub: &str) -> AccessToken {
        let claims = format!(
            r#"{{"sub":"{sub}","jti":"j","resourceId":"r","planId":"p","txHash":"t","iat":1,"exp":2}}"#
        );
        AccessToken::read(&base64_simd::URL_SAFE_NO_PAD.encode_type::<Vec<u8>>(claims)).unwrap()
    }

    #[test]
    fn a_token_is_found_again_by_all_of_its_bytes() {
        let cache = Cache::new(1);
        let token = "header.payload.signature-of-some-length"
            .repeat(3)
            .into_bytes();
        cache.put(&token, access("a"), 7);
        assert_eq!(cache.get(&token, 7), Some(access("a")));
        for at in 0..token.len() {
            let mut other = token.clone();
            other[at] ^= 1;
            assert_eq!(cache.get(&other, 7), None, "{at}");
        }
        assert_eq!(cache.get(&token[1..], 7), None);
        assert_eq!(cache.get(&[b"x", token.as_slice()].concat(), 7), None);
        assert_eq!(cache.get(b"short", 7), None);
    }

    #[test]
    fn other_keys_void_it() {
        let cache = Cache::new(4);
        let token = b"header.payload.signature-of-some-length";
        cache.put(token, access("a"), 7);
        assert_eq!(cache.get(token, 8), None);
        cache.put(token, access("b"), 8);
        assert_eq!(cache.get(token, 8), Some(access("b")));
    }

    #[test]
    fn it_never_holds_more_than_it_was_made_for() {
        let cache = Cache::with_parts(16, 2);
        for i in 0..1000 {
            cache.put(
                format!("header.payload.signature-of-{i:016}").as_bytes(),
                access("a"),
                0,
            );
        }
        let held = cache
            .parts
            .iter()
            .flatten()
            .filter(|slot| slot.lock().unwrap().is_some());
        assert!(held.count() <= 8, "this thread has one part");
    }

    #[test]
    fn the_number_of_tokens_is_the_total_and_has_an_end() {
        let slots = |cache: &Cache| cache.parts.iter().map(Vec::len).sum::<usize>();
        assert_eq!(slots(&Cache::with_parts(10_000, 16)), 10_000);
        assert_eq!(
            slots(&Cache::with_parts(3, 16)),
            16,
            "one for each part at least"
        );
        assert_eq!(slots(&Cache::with_parts(usize::MAX, 16)), MAX_TOKENS);
    }

    #[test]
    fn threads_find_what_they_put() {
        let cache = Cache::new(64);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let cache = &cache;
                scope.spawn(move || {
                    for i in 0..2000 {
                        let token = format!("header.payload.{:016x}-{thread:016}", i % 50);
                        let sub = token.clone();
                        if let Some(hit) = cache.get(token.as_bytes(), 0) {
                            assert_eq!(hit.sub(), sub);
                        } else {
                            cache.put(token.as_bytes(), access(&sub), 0);
                        }
                    }
                });
            }
        });
    }
}
