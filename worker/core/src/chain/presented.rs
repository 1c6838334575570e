//! A payment as it was presented: what a key has signed is proven here and now; what a contract wallet may have signed only the
//! chain can tell.
//!
//! The order matters. Everything that can be checked without asking anybody comes first. Then the wallet is asked, with bounded
//! gas, before any object is: so nothing is stored for who has not proven to control the payer. An account with code whose key
//! has signed (EIP-7702) need not be asked here. Its key can replace the code at any time, so it controls the account; whether
//! the token takes the payment, the token says when the transfer is simulated, which it judges by the code alone.

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
    /// The payer's key has signed it.
    Proven(SignedAuthorization),
    /// The payer's contract may have signed it.
    Claimed(Claim),
}

/// What a contract wallet may have signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    authorization: Authorization,
    signature: WalletSignature,
    network: Network,
}

impl Presented {
    /// Checks recipient, value, payer and the form of the signature. Time is checked later, because a payment that was already
    /// made is answered also after its authorization expired.
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

    /// The proof that the payer's wallet has signed, or why there is none. A wallet that does not exist yet is asked as it
    /// would be when one of these factories has created it; no other factory's call is ever made.
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

/// Whether a wallet has code that does not accept what its own key signs: then nothing that the key signs for USDC counts. What is
/// signed to find out is no text and no typed data of anything, so it is good for nothing else.
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
