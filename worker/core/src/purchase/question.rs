//! What the doors ask of a purchase, and which purchase a question is about.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::sold::Sold;
use super::state::Purchase;
use crate::book::TargetKey;
use crate::chain::SignedAuthorization;
use crate::offer::Offer;
use crate::types::{Address, Network, RequestId};

/// A question to a purchase. Each proves that the asker controls the payer's wallet. (But for [`Prove`], where the seller
/// wants no signature.)
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// A payment is presented.
    Pay(Box<Pay>),
    /// The payer presented a payment elsewhere that counts for this purchase.
    Join(Join),
    /// A transfer is presented that was made already.
    Prove(Box<Prove>),
}

/// A payment. Its purchase may have begun before, also when the seller had another price, wallet or catalog.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pay {
    /// The purchase that it is presented for.
    pub request_id: RequestId,
    /// What the payer signed.
    pub authorization: SignedAuthorization,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
    /// What the client says that it buys: of any plan or resource, if it names none.
    pub target: TargetKey,
    /// The network that the door sells on.
    pub network: Network,
    /// What begins if no purchase has begun. Without it nothing does: the payment fits no offer that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<Sale>,
}

/// An offer that is paid, and what its purchase needs to begin.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sale {
    /// What is paid; the authorization fits it.
    pub offer: Offer,
    /// What is delivered for it; `None` when that is no longer known, and then it does not begin.
    pub sold: Option<Sold>,
    /// The public URL through which it is bought.
    pub issuer: String,
    /// Whether this request names the purchase. The offer may say so, too: see [`Sale::is_chosen`].
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub chosen: bool,
}

/// A request for the outcome of another purchase, and the payer who makes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    /// The payer, proven by a signature.
    pub payer: Address,
    /// What is bought.
    pub target: TargetKey,
    /// Whether what proves the payer is the very authorization that this purchase has attempted. Everybody may have seen that
    /// since, also where the chain does not show it as used.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub by_attempted: bool,
}

/// A transaction that is said to have paid an offer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prove {
    /// What was paid.
    pub offer: Offer,
    /// What is delivered for it, if the purchase begins now; `None` when the catalog does not have it.
    pub sold: Option<Sold>,
    /// The public URL through which it is bought.
    pub issuer: String,
    /// Who has signed the challenge id; `None` when the seller asks for no signature and there is none.
    pub payer: Option<Address>,
    /// The transaction.
    pub transaction: B256,
}

impl Sale {
    /// Whether the client has named the purchase, when it asked for the price or now. Then it means another one than those that
    /// it has begun before; otherwise it may have lost an answer and be starting over. An id that follows from a payment is ours,
    /// and who sends it back has read it in an answer.
    pub fn is_chosen(&self) -> bool {
        let terms = &self.offer.terms;
        (self.chosen || terms.chosen) && !terms.request_id.is_derived()
    }
}

impl Pay {
    /// Whether it may be this purchase's payment: by what is offered now, or by what this purchase asked for when it began.
    fn fits(&self, record: &Purchase) -> bool {
        let authorization = self.authorization.authorization();
        let is_as_begun = || {
            // An authorization that pays someone else proves nothing here: that recipient may be the caller.
            authorization.to == record.terms.pay_to
                && authorization.value == record.terms.amount.to_u256()
                && self.target.covers(&TargetKey::of(&record.terms))
        };
        authorization.from == record.payer && (self.sells_the_same(record) || is_as_begun())
    }

    /// Whether what is offered now is what this purchase sells.
    pub(super) fn sells_the_same(&self, record: &Purchase) -> bool {
        let sale = self.sale.as_ref();
        sale.is_some_and(|sale| TargetKey::of(&sale.offer.terms) == TargetKey::of(&record.terms))
    }
}

impl Prove {
    /// Whether the caller may learn how this purchase stands. A signature of the payer opens it. Without a signature, the
    /// caller needs the challenge id and the transaction that paid, and the payment must have needed no signature either: any
    /// other payment shows its transaction to everyone.
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
    /// Whether this is the purchase that is asked about, and who asks its payer. A purchase on another network than the one
    /// that is sold on now gives no answer: test money opens nothing in production.
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

    /// The network of the offer that is presented.
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
