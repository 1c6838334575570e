//! The payer's signature of an authorization: by a key, or by a contract wallet (EIP-1271, ERC-6492).

use alloy_primitives::{Address, Bytes, Signature};
use serde::{Deserialize, Serialize};

use super::abi::Reader;

/// The longest signature that is looked at. A passkey's, with its wallet's deployment, has about 1,500 bytes; who pays the gas
/// pays for each.
pub const MAX_SIGNATURE_BYTES: usize = 4096;

/// What a signature for a wallet that does not exist yet ends with (ERC-6492).
const COUNTERFACTUAL_SUFFIX: [u8; 32] =
    alloy_primitives::hex!("6492649264926492649264926492649264926492649264926492649264926492");

/// A payer's signature. Its JSON is stored: a key's is an object of r, s and v, as it was in the first version.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PayerSignature {
    /// Of the key that the account's address follows from.
    Key(Signature),
    /// Of a contract wallet.
    Wallet(WalletSignature),
}

/// What a contract wallet accepts as its signature (EIP-1271).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WalletSignature {
    /// What the wallet is shown.
    pub(crate) bytes: Bytes,
    /// What creates the wallet, when it does not exist yet. Only ever from a factory that the seller has listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deployment: Option<Deployment>,
}

/// The call that creates a wallet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deployment {
    /// Who creates it.
    pub(crate) factory: Address,
    /// With what words.
    pub(crate) call: Bytes,
}

impl Deployment {
    /// The factory, and the call that it is sent.
    pub const fn parts(&self) -> (Address, &Bytes) {
        (self.factory, &self.call)
    }
}

impl WalletSignature {
    /// Reads a signature that is not a key's. `None` for what cannot be one: empty (a wallet may say yes to that for messages
    /// that its owner has approved on chain; it would prove nothing of who asks), too long, or badly wrapped.
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
