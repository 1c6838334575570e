//! The questions that the doors ask a purchase, and whether a question may be answered by a given purchase.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::sold::Sold;
use super::state::Purchase;
use crate::book::TargetKey;
use crate::chain::SignedAuthorization;
use crate::offer::Offer;
use crate::types::{Address, Network, RequestId};

/// A question to a purchase. Each shows that the caller controls the payer's wallet. (The exception is [`Prove`], where
/// the seller asks for no signature.)
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// The client presents a payment.
    Pay(Box<Pay>),
    /// The payer has presented to another purchase a payment that counts for this one.
    Join(Join),
    /// The client presents a transfer that was made already.
    Prove(Box<Prove>),
}

/// A payment that is presented. Its purchase may have begun before, perhaps when the seller had another price, wallet
/// or catalog.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pay {
    /// The purchase for which the payment is presented.
    pub request_id: RequestId,
    /// The authorization that the payer signed.
    pub authorization: SignedAuthorization,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
    /// What the client says that it buys. If it names no plan or no resource, the key matches every one.
    pub target: TargetKey,
    /// The network on which the door sells.
    pub network: Network,
    /// The offer with which the purchase begins if it has not begun before. `None` if the payment fits no current
    /// offer: then nothing begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<Sale>,
}

/// An offer that is paid, and what its purchase needs to begin.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sale {
    /// The offer that is paid; the authorization fits it.
    pub offer: Offer,
    /// What is delivered for the offer. `None` when that is no longer known; then the purchase does not begin.
    pub sold: Option<Sold>,
    /// The public URL through which it is bought.
    pub issuer: String,
    /// Whether this request gives a request id of the client's choice. The offer may say so, too: see
    /// [`Sale::is_chosen`].
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub chosen: bool,
}

/// A question for the outcome of a purchase, asked by a payer whose payment counts for it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    /// The payer, proven by a signature.
    pub payer: Address,
    /// What is bought.
    pub target: TargetKey,
    /// Whether the signature that proves the payer is that of the very authorization that this purchase has attempted.
    /// Anybody may have seen that authorization since, even if the chain does not show it as used.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub by_attempted: bool,
}

/// A transaction with which the client says it has paid an offer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prove {
    /// The offer that was paid.
    pub offer: Offer,
    /// What is delivered for the offer, if the purchase begins now; `None` when the catalog does not have it.
    pub sold: Option<Sold>,
    /// The public URL through which it is bought.
    pub issuer: String,
    /// The wallet that has signed the challenge id; `None` when the seller asks for no signature and there is none.
    pub payer: Option<Address>,
    /// The transaction.
    pub transaction: B256,
}

impl Sale {
    /// Whether the client chose the request id itself, when it asked for the price or now. Then it means a new
    /// purchase, not one that it has begun before; without a chosen id it may have lost an answer and be starting over.
    /// An id that is derived from a payment is ours, not the client's choice: a client that sends it has read it in an
    /// answer.
    pub fn is_chosen(&self) -> bool {
        let terms = &self.offer.terms;
        (self.chosen || terms.chosen) && !terms.request_id.is_derived()
    }
}

impl Pay {
    /// Whether the payment may be that of the purchase `record`: it fits what is offered now, or what this purchase
    /// asked for when it began.
    fn fits(&self, record: &Purchase) -> bool {
        let authorization = self.authorization.authorization();
        let is_as_begun = || {
            // An authorization that pays somebody else than this seller proves nothing here: its recipient has it and
            // may be the caller.
            authorization.to == record.terms.pay_to
                && authorization.value == record.terms.amount.to_u256()
                && self.target.covers(&TargetKey::of(&record.terms))
        };
        authorization.from == record.payer && (self.sells_the_same(record) || is_as_begun())
    }

    /// Whether the payment's offer sells the same as the purchase `record`.
    pub(super) fn sells_the_same(&self, record: &Purchase) -> bool {
        let sale = self.sale.as_ref();
        sale.is_some_and(|sale| TargetKey::of(&sale.offer.terms) == TargetKey::of(&record.terms))
    }
}

impl Prove {
    /// Whether the caller may learn the state of the purchase `record`. A signature of the payer is enough. Without a
    /// signature, the caller needs the challenge id and the transaction that paid, and the purchase must have been paid
    /// without a signature, too: the transaction of any other payment is visible to everybody.
    pub(super) fn fits(&self, record: &Purchase) -> bool {
        let terms = &self.offer.terms;
        terms.target == record.terms.target
            && terms.resource == record.terms.resource
            && match (self.payer, record.state.payment()) {
                (Some(payer), _) => payer == record.payer,
                (None, None) => true,
                (None, Some(payment)) => {
                    self.offer.id == record.challenge_id
                        && self.transaction == payment.transaction
                        && payment.unsigned
                }
            }
    }
}

impl Ask {
    /// Whether the question is about the purchase `record` and comes from its payer. A purchase on another network than
    /// the current one gives no answer: test money opens nothing in production.
    pub(super) fn fits(&self, record: &Purchase, network: Network) -> bool {
        record.terms.network == network
            && match self {
                Self::Pay(pay) => pay.fits(record),
                Self::Join(join) => {
                    join.payer == record.payer && join.target.covers(&TargetKey::of(&record.terms))
                }
                Self::Prove(prove) => prove.fits(record),
            }
    }

    /// The network of the presented offer.
    pub(super) fn offered_on(&self) -> Option<Network> {
        let network_of = |offer: &Offer| offer.terms.network;
        match self {
            Self::Pay(pay) => {
                let offered = pay.sale.as_ref().map(|sale| network_of(&sale.offer));
                Some(offered.unwrap_or(pay.network))
            }
            Self::Prove(prove) => Some(network_of(&prove.offer)),
            Self::Join(_) => None,
        }
    }
}
