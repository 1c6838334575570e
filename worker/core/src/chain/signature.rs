//! The payer's signature of an authorization: by a key, or by a contract wallet (EIP-1271, ERC-6492).

use alloy_primitives::{Address, Bytes, Signature};
use serde::{Deserialize, Serialize};

use super::abi::Reader;

/// The longest signature that is checked. A passkey's signature, with the creation of its wallet, has about 1,500
/// bytes. Each byte costs the wallet that pays the gas.
pub const MAX_SIGNATURE_BYTES: usize = 4096;

/// The last bytes of a signature for a wallet that does not exist yet (ERC-6492).
const COUNTERFACTUAL_SUFFIX: [u8; 32] =
    alloy_primitives::hex!("6492649264926492649264926492649264926492649264926492649264926492");

/// A payer's signature. Its JSON is stored: for a key's signature, an object of r, s and v, as in the first version.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PayerSignature {
    /// The signature of the key whose account is the payer.
    Key(Signature),
    /// The signature of a contract wallet.
    Wallet(WalletSignature),
}

/// What a contract wallet accepts as its signature (EIP-1271).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WalletSignature {
    /// The signature that the wallet checks.
    pub(crate) bytes: Bytes,
    /// The call that creates the wallet, when it does not exist yet. The factory is always one that the seller has
    /// listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deployment: Option<Deployment>,
}

/// The call that creates a wallet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deployment {
    /// The factory that creates the wallet.
    pub(crate) factory: Address,
    /// The call data for the factory.
    pub(crate) call: Bytes,
}

impl Deployment {
    /// The factory, and the call data for it.
    pub const fn parts(&self) -> (Address, &Bytes) {
        (self.factory, &self.call)
    }
}

impl WalletSignature {
    /// Reads a signature that is not a key's. `None` for what cannot be one: too long, badly wrapped, or empty. (A
    /// wallet may accept an empty signature for messages that its owner has approved on chain, which proves nothing
    /// about the caller.)
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_SIGNATURE_BYTES {
            return None;
        }
        let signature = match bytes.strip_suffix(&COUNTERFACTUAL_SUFFIX) {
            Some(wrapped) => {
                let wrapped = Reader(wrapped);
                Self {
                    bytes: Bytes::copy_from_slice(wrapped.behind(2)?.blob()?),
                    deployment: Some(Deployment {
                        factory: wrapped.address(0)?,
                        call: Bytes::copy_from_slice(wrapped.behind(1)?.blob()?),
                    }),
                }
            }
            None => Self {
                bytes: Bytes::copy_from_slice(bytes),
                deployment: None,
            },
        };
        (!signature.bytes.is_empty()).then_some(signature)
    }
}
