//! A payment as it was presented. A key's signature is proven at once; whether a contract wallet accepts its signature
//! only the chain can tell.
//!
//! The order matters. Everything that can be checked without asking anybody comes first. Then the wallet is asked, with
//! bounded gas, before any object is: so nothing is stored for a client that has not proven to control the payer. An
//! account with code whose key has signed (EIP-7702) need not be asked here, because its key controls the account: it
//! can replace the code at any time. Whether the token takes the payment shows when the transfer is simulated; the
//! token then judges by the code alone.

use alloy_primitives::{Address, Bytes, keccak256};

use super::authorization::SignedAuthorization;
use super::base::{Chain, ChainError};
use super::signature::{PayerSignature, WalletSignature};
use super::usdc;
use super::wallet_call::WalletAnswer;
use crate::types::WalletKey;
use crate::types::{Network, UsdcAmount};
use crate::x402::{Authorization, Refusal};

/// A payment that may be good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Presented {
    /// The payer's key has signed the payment.
    Proven(SignedAuthorization),
    /// The payer's contract may have signed the payment.
    Claimed(Claim),
}

/// A payment that a contract wallet may have signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    authorization: Authorization,
    signature: WalletSignature,
    network: Network,
}

impl Presented {
    /// Checks recipient, value, payer and the form of the signature. The time is checked later, because a payment that
    /// was already made gets its answer even after its authorization has expired.
    pub fn new(
        authorization: Authorization,
        signature: &[u8],
        network: Network,
        pay_to: Address,
        amount: UsdcAmount,
    ) -> Result<Self, Refusal> {
        authorization.check_terms(pay_to, amount)?;
        if let Some(key) = usdc::signature(signature) {
            let digest = usdc::authorization_digest(&authorization, network);
            let signer = key.recover_address_from_prehash(&digest);
            if signer.is_ok_and(|signer| signer == authorization.from) {
                return Ok(Self::Proven(SignedAuthorization {
                    authorization,
                    signature: PayerSignature::Key(key),
                }));
            }
        }
        let signature =
            WalletSignature::read(signature).ok_or(Refusal::InvalidExactEvmPayloadSignature)?;
        Ok(Self::Claimed(Claim {
            authorization,
            signature,
            network,
        }))
    }

    /// The proof that the payer's wallet has signed, or why there is none. A wallet that does not exist yet is asked as
    /// if one of these factories had created it; calls to any other factory are never made.
    pub async fn prove<C: Chain>(
        self,
        chain: &C,
        factories: &[Address],
    ) -> Result<Result<SignedAuthorization, Refusal>, ChainError> {
        let claim = match self {
            Self::Proven(signed) => return Ok(Ok(signed)),
            Self::Claimed(claim) => claim,
        };
        let Claim {
            authorization,
            mut signature,
            network,
        } = claim;
        let digest = usdc::authorization_digest(&authorization, network);
        let wallet = authorization.from;
        let deployment = signature.deployment.take();
        let ask = async |deployment| {
            chain
                .wallet_accepts(wallet, digest, &signature.bytes, deployment)
                .await
        };
        let refusal = match (ask(None).await?, deployment) {
            (WalletAnswer::Accepts, _) => None,
            (WalletAnswer::NoCode, Some(deployment)) => {
                if !factories.contains(&deployment.factory) {
                    Some(Refusal::Eip6492FactoryNotAllowed)
                } else {
                    match ask(Some(&deployment)).await? {
                        WalletAnswer::Accepts => {
                            signature.deployment = Some(deployment);
                            None
                        }
                        WalletAnswer::Refuses => Some(Refusal::InvalidExactEvmPayloadSignature),
                        WalletAnswer::NoCode => Some(Refusal::SmartWalletDeploymentFailed),
                    }
                }
            }
            (WalletAnswer::NoCode | WalletAnswer::Refuses, _) => {
                Some(Refusal::InvalidExactEvmPayloadSignature)
            }
        };
        Ok(match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(SignedAuthorization {
                authorization,
                signature: PayerSignature::Wallet(signature),
            }),
        })
    }
}

/// Whether a wallet has code that does not accept the signature of the wallet's own key: then no signature of that key
/// counts for USDC. The digest that is signed for this question belongs to no text and no typed data, so the signature
/// is good for nothing else.
pub async fn key_is_refused<C: Chain>(chain: &C, key: &WalletKey) -> Result<bool, ChainError> {
    let digest = keccak256(b"key0: does this wallet accept its key's signature?");
    let Ok(signature) = key.sign(&digest) else {
        return Ok(false);
    };
    let signature = Bytes::from(signature.as_bytes().to_vec());
    let answer = chain.wallet_accepts(key.address(), digest, &signature, None);
    Ok(answer.await? == WalletAnswer::Refuses)
}

#[cfg(test)]
mod tests;
