//! What a wallet has bought, for whoever has signed as that wallet: its grants with limits, and the token of each.

use core::future::Future;

use super::desk::{Checkout, Deployment};
use super::order::Claim;
use super::outcome::Outcome;
use super::stop::Stop;
use crate::book::{FindGrants, PayerCommand, PayerReply, TargetKey};
use crate::chain::Chain;
use crate::chain::signature::MAX_SIGNATURE_BYTES;
use crate::chain::transfer::{signer, text_digest};
use crate::chain::wallet_call::WalletAnswer;
use crate::goods::Goods;
use crate::pauses::Patience;
use crate::types::{Address, B256, CallFault, Network, PlanId, RequestId, UnixSeconds};

/// The payers' books.
pub trait Books {
    /// Sends a command to the book of one payer.
    fn ask_book(
        &self,
        network: Network,
        payer: Address,
        command: &PayerCommand,
    ) -> impl Future<Output = Result<PayerReply, CallFault>>;
}

/// A nonce that a wallet has signed. It is used once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedNonce {
    /// The nonce.
    pub nonce: String,
    /// Until when it is good.
    pub until: UnixSeconds,
}

/// A grant that a wallet has bought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnGrant {
    /// Its id: the purchase that founded it.
    pub id: RequestId,
    /// The plan that was bought.
    pub plan: PlanId,
    /// When it ends, as far as the payer's book knows.
    pub ends_at: UnixSeconds,
}

/// The grants that were found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnGrants {
    /// Those that end last.
    pub grants: Vec<OwnGrant>,
    /// How many there are besides.
    pub more: usize,
}

impl<D: Deployment> Checkout<'_, D> {
    /// Whether a wallet has signed a text (EIP-191). A key's account follows from the signature; a contract wallet is asked
    /// (EIP-1271).
    pub async fn has_signed(
        &self,
        wallet: Address,
        text: &str,
        signature: &[u8],
    ) -> Result<bool, Stop> {
        let digest = text_digest(text);
        match signer(&digest, signature) == Some(wallet) {
            true => Ok(true),
            false => self.wallet_has_signed(wallet, digest, signature).await,
        }
    }

    /// Whether a contract wallet accepts a signature as its own.
    pub(super) async fn wallet_has_signed(
        &self,
        wallet: Address,
        digest: B256,
        signature: &[u8],
    ) -> Result<bool, Stop> {
        // An EIP-1271 wallet may accept an empty signature for a pre-approved digest, which proves nothing about the
        // caller.
        if !(1..=MAX_SIGNATURE_BYTES).contains(&signature.len()) {
            return Ok(false);
        }
        let signature = signature.to_vec().into();
        let chain = self.deployment.chain();
        let answer = chain.wallet_accepts(wallet, digest, &signature, None).await;
        let answer = answer.map_err(|_| Stop::ProofUnchecked)?;
        Ok(answer == WalletAnswer::Accepts)
    }

    /// The grants of a wallet that has signed this nonce; `id`: only that one. `None` if the nonce was used before.
    pub async fn grants_of<B: Books>(
        &self,
        books: &B,
        wallet: Address,
        signed: &SignedNonce,
        id: Option<&RequestId>,
    ) -> Result<Option<OwnGrants>, CallFault> {
        let find = PayerCommand::FindGrants(FindGrants {
            id: id.cloned(),
            nonce: signed.nonce.clone(),
            until: signed.until,
        });
        let network = self.config.network;
        match books.ask_book(network, wallet, &find).await? {
            PayerReply::NonceUsed => Ok(None),
            PayerReply::Grants { grants, more } => {
                let grants = grants.into_iter().map(|grant| OwnGrant {
                    id: grant.id,
                    plan: grant.plan,
                    ends_at: grant.ends_at,
                });
                let grants = grants.collect();
                Ok(Some(OwnGrants { grants, more }))
            }
            _ => Err(CallFault("the payer's book gave a wrong answer".to_owned())),
        }
    }

    /// The goods that a purchase has delivered to a wallet that has signed. `None` if it has none for that wallet.
    pub async fn goods_of(&self, wallet: Address, purchase: &RequestId) -> Option<Goods> {
        let claim = Claim {
            request_id: purchase.clone(),
            payer: wallet,
            target: TargetKey::of_any_plan(None),
            by_attempted: false,
        };
        match self.status(&claim, Patience::NONE).await {
            Outcome::Granted { goods, .. } => Some(goods),
            _ => None,
        }
    }
}
