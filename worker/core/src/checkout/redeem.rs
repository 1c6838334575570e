//! Payment by an ordinary transfer, which the buyer has made and now shows.

use super::desk::{Checkout, Deployment};
use super::order::Order;
use super::outcome::Outcome;
use super::payment::TransferProof;
use super::quote::Quote;
use super::reply::{Asked, claim};
use super::stop::Stop;
use crate::book::TargetKey;
use crate::chain::transfer::{signer, text_digest};
use crate::config::ProofBinding;
use crate::offer::{Offer, Terms};
use crate::purchase::{Ask, Join, Prove, Purchases, Sold};
use crate::types::{Address, CallFault};

impl<'a, D: Deployment> Checkout<'a, D> {
    /// Presents the proof of a transfer. Begins its purchase, or tells what became of it if it has begun. Until the
    /// signature is checked, no object is asked, and the chain is asked only whether a contract wallet accepts its
    /// signature. Whether the transfer exists and pays the offer is checked by the purchase.
    pub async fn redeem(&self, order: &Order, proof: &TransferProof) -> Outcome<'a> {
        self.redeem_noting(order, proof, async || Ok(())).await
    }

    /// Like [`Checkout::redeem`], for a door whose client asks again without its proof. `note` is called after the
    /// offer is known to be ours and the signature to be the payer's, and before the purchase is asked. When `note`
    /// fails, nothing begins.
    pub async fn redeem_noting(
        &self,
        order: &Order,
        proof: &TransferProof,
        note: impl AsyncFnOnce() -> Result<(), CallFault>,
    ) -> Outcome<'a> {
        let offer = match self.shown_for(order, proof) {
            Ok(offer) => offer,
            Err(why) => return Outcome::Stopped { why },
        };
        let payer = match self.prover(proof).await {
            Ok(payer) => payer,
            Err(why) => return Outcome::Stopped { why },
        };
        if note().await.is_err() {
            let why = Stop::Unavailable;
            return Outcome::Stopped { why };
        }
        let terms = &offer.terms;
        let ask = Ask::Prove(Box::new(Prove {
            sold: Sold::of(terms, self.config).map(|sold| sold.shown_by(order.by_holder)),
            offer: offer.clone(),
            issuer: self.origin.as_str().to_owned(),
            payer,
            transaction: proof.transaction,
        }));
        let reply = self
            .deployment
            .purchases()
            .ask(&terms.request_id, &ask, order.patience);
        let reply = reply.await;
        let asked = Asked {
            request_id: terms.request_id.clone(),
            claim: payer.and_then(|payer| {
                let join = Join {
                    payer,
                    target: TargetKey::of(terms),
                    by_attempted: false,
                };
                claim(&terms.request_id, join)
            }),
            shown_for: Some(terms),
        };
        asked.outcome(reply.ok(), |_| self.instead_of(terms))
    }

    /// The offer that was paid, if this deployment made it, for this chain, and if the order does not contradict it.
    fn shown_for(&self, order: &Order, proof: &TransferProof) -> Result<Offer, Stop> {
        let offer = self.config.offers.keys.open(&proof.challenge_id);
        let offer = offer.ok_or(Stop::ForeignProof)?;
        let sold_on = self.config.network.chain_id();
        let offered = offer.terms.network.chain_id();
        let presented = proof.chain_id;
        if offered != sold_on || presented.is_some_and(|id| id != sold_on) {
            return Err(Stop::OtherChain { offered, presented });
        }
        if offer.terms.target.plan().is_none() {
            return Err(Stop::NotByTransfer);
        }
        match order.contradictions(&offer.terms) {
            members if members.is_empty() => Ok(offer),
            members => Err(Stop::Contradicts(members)),
        }
    }

    /// The wallet that has signed the challenge id; `None` where the seller requires no signature and there is none. A
    /// key's account follows from its signature; a contract wallet must be named by the buyer, and is asked.
    async fn prover(&self, proof: &TransferProof) -> Result<Option<Address>, Stop> {
        let Some(signature) = &proof.signature else {
            return match self.config.offers.proof_binding {
                ProofBinding::TxHash => Ok(None),
                ProofBinding::Signature => Err(Stop::Unsigned),
            };
        };
        let digest = text_digest(&proof.challenge_id);
        let key = signer(&digest, signature);
        let payer = proof.payer.or(key);
        let is_proven = match payer {
            None => false,
            payer if payer == key => true,
            Some(wallet) => self.wallet_has_signed(wallet, digest, signature).await?,
        };
        is_proven.then_some(payer).ok_or(Stop::NotThePayers)
    }

    /// The current offer for the same target and resource, under a new request id, if they are still sold.
    fn instead_of(&self, terms: &Terms) -> Option<Quote<'a>> {
        let order = Order {
            target: Some(terms.target.clone()),
            resource: Some(terms.resource.clone()),
            ..Order::default()
        };
        self.quote(&order).ok()
    }
}
