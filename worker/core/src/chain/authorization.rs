//! An EIP-3009 authorization together with the signature of its payer.
//! <https://github.com/x402-foundation/x402/blob/main/specs/schemes/exact/scheme_exact_evm.md>

use alloy_primitives::{Address, hex};
use serde::{Deserialize, Serialize};

use super::signature::{Deployment, PayerSignature};
use super::usdc;
use crate::types::{Network, SigningFailed, WalletKey};
use crate::x402::Authorization;

/// An authorization whose signature was found to be the payer's: made with the payer's key, or accepted by the payer's
/// contract wallet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SignedAuthorization {
    /// The authorization that was signed.
    pub(crate) authorization: Authorization,
    /// The payer's signature.
    pub(crate) signature: PayerSignature,
}

impl SignedAuthorization {
    /// Signs an authorization with one of our wallets, which must be its `from`.
    pub fn sign(
        key: &WalletKey,
        authorization: Authorization,
        network: Network,
    ) -> Result<Self, SigningFailed> {
        let digest = usdc::authorization_digest(&authorization, network);
        let signature = key.sign(&digest).map_err(|_| SigningFailed)?;
        Ok(Self {
            authorization,
            signature: PayerSignature::Key(signature),
        })
    }

    /// The authorization that was signed.
    pub fn authorization(&self) -> &Authorization {
        &self.authorization
    }

    /// The signature in the form of x402. (For a wallet that does not exist yet, the signature that it will accept.)
    pub fn signature_hex(&self) -> String {
        match &self.signature {
            PayerSignature::Key(signature) => hex::encode_prefixed(signature.as_bytes()),
            PayerSignature::Wallet(signature) => hex::encode_prefixed(&signature.bytes),
        }
    }

    /// The call that creates the payer's wallet before the transfer, if the wallet does not exist yet.
    pub fn deployment(&self) -> Option<&Deployment> {
        match &self.signature {
            PayerSignature::Key(_) => None,
            PayerSignature::Wallet(signature) => signature.deployment.as_ref(),
        }
    }

    /// The payer.
    pub fn payer(&self) -> Address {
        self.authorization.from
    }
}
