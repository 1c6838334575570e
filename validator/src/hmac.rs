//! HMAC-SHA-256 over precomputed key states.
//!
//! HMAC hashes two blocks that depend on the key alone. They are hashed once, here; checking a token then costs its
//! own blocks and one more. The block function is RustCrypto's.

use core::hint::black_box;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::ConfigError;
use crate::ring::Key;

const BLOCK: usize = 64;

/// The key id that a gateway puts into the `kid` of tokens signed with `secret`: 16 hexadecimal digits.
///
/// The id is the start of SHA-256 over `key0 kid v1`, a zero byte and the secret, so that both sides know the id
/// without having agreed on it, and so that it tells nothing about a secret of full strength.
///
/// ```
/// # use key0_validator::key_id;
/// assert_eq!(key_id(b"0123456789abcdef0123456789abcdef"), "bc355fd23c82497f");
/// ```
#[must_use]
pub fn key_id(secret: impl AsRef<[u8]>) -> String {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(b"key0 kid v1\0")
        .chain_update(secret)
        .finalize()
        .into();
    let (id, _) = digest.split_at(8);
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A secret, as the two hash states that are computed from it.
#[derive(Clone)]
pub(crate) struct HmacKey {
    inner: [u32; 8],
    outer: [u32; 8],
    kid: String,
    /// The headers that name this key in the spellings of gateway, `jwt-compact` and most libraries.
    headers: Vec<Vec<u8>>,
}

impl HmacKey {
    pub(crate) fn new(secret: &[u8]) -> Result<Self, ConfigError> {
        if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err(ConfigError::PemAsSecret);
        }
        // RFC 7518 §3.2: no shorter than the hash.
        if secret.len() < 32 {
            return Err(ConfigError::ShortSecret { len: secret.len() });
        }
        let mut block = [0; BLOCK];
        if secret.len() > BLOCK {
            let mut digest: [u8; 32] = Sha256::digest(secret).into();
            fill(&mut block, &digest);
            digest.zeroize();
        } else {
            fill(&mut block, secret);
        }
        let kid = key_id(secret);
        let key = Self {
            inner: state(&block, 0x36),
            outer: state(&block, 0x5c),
            headers: crate::header::usual(Self::ALGORITHM, &kid),
            kid,
        };
        block.zeroize();
        Ok(key)
    }

    pub(crate) fn mac(&self, message: &[u8]) -> [u8; 32] {
        finish(self.outer, &finish(self.inner, message))
    }
}

impl Key for HmacKey {
    const ALGORITHM: &str = "HS256";
    /// `{"alg":"HS256"}`, and with `"typ":"JWT"` after and before it.
    const PLAIN_HEADERS: [&[u8]; 3] = [
        b"eyJhbGciOiJIUzI1NiJ9",
        b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        b"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9",
    ];
    type Signature = [u8; 32];
    const NO_SIGNATURE: Self::Signature = [0; 32];

    fn kid(&self) -> &str {
        &self.kid
    }

    /// Always `false`: we derive the key's name from the secret, and another issuer with this secret may use another
    /// name.
    fn is_named(&self) -> bool {
        false
    }

    fn headers(&self) -> &[Vec<u8>] {
        &self.headers
    }

    fn signature_len(&self) -> usize {
        43
    }

    fn made(&self, signature: &[u8], signed: &[u8]) -> bool {
        <&[u8; 32]>::try_from(signature).is_ok_and(|bytes| equal(&self.mac(signed), bytes))
    }
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The SHA-256 state after one block: the padded key with `pad` XORed into each byte (RFC 2104).
fn state(key: &[u8; BLOCK], pad: u8) -> [u32; 8] {
    // FIPS 180-4 §5.3.3.
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let mut block = key.map(|byte| byte ^ pad);
    compress256(&mut state, core::slice::from_ref(&block));
    block.zeroize();
    state
}

/// Finishes a SHA-256 hash whose first block led to `state`: hashes `message` and the padding (FIPS 180-4 §5.1.1).
fn finish(mut state: [u32; 8], message: &[u8]) -> [u8; 32] {
    let (blocks, tail) = message.as_chunks();
    compress256(&mut state, blocks);

    let bits = (BLOCK as u64 + message.len() as u64) * 8;
    let mut last = [0; BLOCK];
    fill(&mut last, tail);
    if let Some(end) = last.get_mut(tail.len()) {
        *end = 0x80;
    }
    if tail.len() >= BLOCK - 8 {
        compress256(&mut state, core::slice::from_ref(&last));
        last = [0; BLOCK];
    }
    if let Some(length) = last.last_chunk_mut() {
        *length = bits.to_be_bytes();
    }
    compress256(&mut state, core::slice::from_ref(&last));

    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// Copies `bytes` to the start of `block`; bytes beyond its end are left out.
fn fill(block: &mut [u8; BLOCK], bytes: &[u8]) {
    if let Some(start) = block.get_mut(..bytes.len()) {
        start.copy_from_slice(bytes);
    }
}

/// Compares in a time that does not depend on the position of a difference.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let (a, _) = a.as_chunks();
    let (b, _) = b.as_chunks();
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| {
        all | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b))
    });
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231, the cases whose keys are long enough for HS256.
    #[test]
    fn the_mac_is_hmac_sha_256() {
        let key = HmacKey::new(&[0xaa; 131]).unwrap();
        assert_eq!(
            hex(&key.mac(b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        let long =
            b"This is a test using a larger than block-size key and a larger than block-size \
                     data. The key needs to be hashed before being used by the HMAC algorithm.";
        assert_eq!(
            hex(&key.mac(long)),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        );
    }

    #[test]
    fn the_mac_agrees_with_jwt_compact_at_every_length() {
        use jwt_compact::Algorithm;
        use jwt_compact::alg::{Hs256, Hs256Key};
        for secret_len in [32, 33, 63, 64, 65, 200] {
            let secret: Vec<u8> = (0..secret_len).map(|i| i as u8 ^ 0x5a).collect();
            let (ours, theirs) = (HmacKey::new(&secret).unwrap(), Hs256Key::new(&secret));
            for len in 0..=200 {
                let message: Vec<u8> = (0..len).collect();
                let expected =
                    jwt_compact::AlgorithmSignature::as_bytes(&Hs256.sign(&theirs, &message))
                        .into_owned();
                assert_eq!(
                    ours.mac(&message).as_slice(),
                    expected,
                    "{secret_len} {len}"
                );
            }
        }
    }

    #[test]
    fn the_comparison_sees_every_bit() {
        let a = [0x5a; 32];
        assert!(equal(&a, &a.clone()));
        for bit in 0..256 {
            let mut b = a;
            b[bit / 8] ^= 1 << (bit % 8);
            assert!(!equal(&a, &b));
        }
    }
}
