//! The private key of one of our wallets. It signs, and is never printed.

use core::fmt;

use alloy_primitives::{Address, B256, Signature};
use k256::ecdsa::SigningKey;

/// A wallet's private key.
#[derive(Clone)]
pub struct WalletKey {
    key: SigningKey,
    address: Address,
}

/// The key refused to sign; with a valid key this does not happen.
#[derive(Debug)]
pub struct SigningFailed;

impl WalletKey {
    /// Reads 64 hex digits, with or without `0x`. `None` for anything that is not a valid private key.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes: B256 = text.parse().ok()?;
        let key = SigningKey::from_slice(bytes.as_slice()).ok()?;
        let address = Address::from_public_key(key.verifying_key());
        Some(Self { key, address })
    }

    /// The wallet's address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Signs a 32-byte digest (deterministic, RFC 6979; low `s`).
    pub fn sign(&self, digest: &B256) -> Result<Signature, k256::ecdsa::Error> {
        let (signature, recovery) = self.key.sign_prehash_recoverable(digest.as_slice())?;
        Ok(Signature::from((signature, recovery)))
    }
}

impl fmt::Debug for WalletKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalletKey({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_follows_from_the_key() {
        let key = WalletKey::from_hex(&format!("0x{:064x}", 1)).unwrap();
        assert_eq!(
            key.address().to_string(),
            "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
        );
        assert_eq!(
            format!("{key:?}"),
            "WalletKey(0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf)"
        );
    }

    #[test]
    fn a_signature_recovers_to_the_address() {
        let key = WalletKey::from_hex(&format!("{:064x}", 7)).unwrap();
        let digest = B256::repeat_byte(0x42);
        let signature = key.sign(&digest).unwrap();
        assert_eq!(
            signature.recover_address_from_prehash(&digest).unwrap(),
            key.address()
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "0x", "zz", &format!("0x{:064x}", 0), &"f".repeat(64)] {
            assert!(WalletKey::from_hex(text).is_none(), "{text}");
        }
    }
}
