//! What the doors ask of a purchase, and what a purchase's record answers.

use core::future::Future;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::reply::{Next, PayReply};
use super::schedule::{Effect, next_effect};
use super::sold::Sold;
use super::state::{Purchase, Stage, State};
use crate::book::TargetKey;
use crate::chain::SignedAuthorization;
use crate::config::Policy;
use crate::offer::Offer;
use crate::settlement::Settlement;
use crate::types::{Address, CallFault, Network, Patience, RequestId, UnixMillis};

/// How often a payment is passed on to the purchase that it counts for.
const MAX_HOPS: usize = 3;

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
    /// A payment is presented that today's offer does not ask for. Its purchase may have begun when the seller had another
    /// price, wallet or catalog; if it has not, it never does.
    Repeat(Box<Repeat>),
}

/// A payment for an offer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pay {
    /// What is paid.
    pub offer: Offer,
    /// What is delivered for it, if the purchase begins now; `None` when that is not known any more, and then it does not begin.
    pub sold: Option<Sold>,
    /// The public URL through which it is bought.
    pub issuer: String,
    /// What the payer signed; fits the challenge.
    pub authorization: SignedAuthorization,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
    /// Whether this request names the purchase. An offer may say so, too: see [`Pay::is_chosen`].
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub chosen: bool,
}

/// Who asks for another purchase's outcome.
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

/// A payment that may have been taken before.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repeat {
    /// The purchase that it was presented for.
    pub request_id: RequestId,
    /// The network that the door sells on.
    pub network: Network,
    /// What the payer signed, for the wallet and over the price of then.
    pub authorization: SignedAuthorization,
    /// What is bought; of any resource, when the client named none.
    pub target: TargetKey,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
}

/// A transaction that is said to have paid an offer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Prove {
    /// What was paid.
    pub offer: Offer,
    /// What is delivered for it, if the purchase begins now; `None` when that is not known any more.
    pub sold: Option<Sold>,
    /// The public URL through which it is bought.
    pub issuer: String,
    /// Who has signed the challenge id; `None` when the seller asks for no signature and there is none.
    pub payer: Option<Address>,
    /// The transaction.
    pub transaction: B256,
}

/// On its way to the purchase: a list needs less code than names would.
type Wire = (Offer, Option<Sold>, String, Option<Address>, B256);

impl From<Wire> for Prove {
    fn from((offer, sold, issuer, payer, transaction): Wire) -> Self {
        Self {
            offer,
            sold,
            issuer,
            payer,
            transaction,
        }
    }
}

impl From<Prove> for Wire {
    fn from(prove: Prove) -> Self {
        (
            prove.offer,
            prove.sold,
            prove.issuer,
            prove.payer,
            prove.transaction,
        )
    }
}

impl Prove {
    /// Whether who asks may learn how this purchase stands. A signature of the payer opens it. Without one it takes the
    /// challenge id and the transaction by which it was paid, and a payment that needed no signature either: what was paid
    /// in another way shows its transaction to everybody.
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

    /// What a purchase without money does with a proof. `None`: it answers as it answers everybody.
    pub(super) fn next(record: &Purchase) -> Option<Next> {
        match &record.state {
            _ if !record.state.is_open() => None,
            // First it lets go of its target, as after any failure.
            _ if record.holds_target => Some(Next::Drive),
            _ => Some(Next::Begin),
        }
    }
}

impl Pay {
    /// Whether the client has named the purchase, when it asked for the price or now. Then it means another one than those that
    /// it has begun before; otherwise it may have lost an answer and be starting over.
    pub const fn is_chosen(&self) -> bool {
        self.chosen || self.offer.terms.chosen
    }

    /// What the payer's book calls what is bought.
    pub fn target(&self) -> TargetKey {
        TargetKey::new(&self.offer.terms.target, &self.offer.terms.resource)
    }
}

impl Ask {
    /// Whether this is the purchase that is asked about, and who asks its payer. A purchase on another network than the one
    /// that is sold on now gives no answer: test money opens nothing in production.
    pub(super) fn fits(&self, record: &Purchase, network: Network) -> bool {
        if record.terms.network != network {
            return false;
        }
        let target = || TargetKey::new(&record.terms.target, &record.terms.resource);
        match self {
            Self::Pay(pay) => record.payer == pay.authorization.payer() && target() == pay.target(),
            Self::Join(join) => record.payer == join.payer && join.target.covers(&target()),
            Self::Prove(prove) => prove.fits(record),
            Self::Repeat(repeat) => {
                let authorization = repeat.authorization.authorization();
                // What the payer has signed for somebody else says nothing here: that somebody may be who asks.
                authorization.from == record.payer
                    && authorization.to == record.terms.pay_to
                    && authorization.value == record.terms.amount.to_u256()
                    && repeat.target.covers(&target())
            }
        }
    }

    /// The network that it is presented for.
    pub(super) fn offered_on(&self) -> Option<Network> {
        match self {
            Self::Pay(pay) => Some(pay.offer.terms.network),
            Self::Prove(prove) => Some(prove.offer.terms.network),
            Self::Repeat(repeat) => Some(repeat.network),
            Self::Join(_) => None,
        }
    }

    /// The authorization that is presented, and the client's own name for it.
    pub(super) fn payment(&self) -> Option<(&SignedAuthorization, Option<B256>)> {
        match self {
            Self::Pay(pay) => Some((&pay.authorization, pay.identifier)),
            Self::Repeat(repeat) => Some((&repeat.authorization, repeat.identifier)),
            Self::Join(_) | Self::Prove(_) => None,
        }
    }

    /// Whether only an authorization that nobody else can have seen opens this purchase. A transfer shows its authorization
    /// and signature to everybody, and a request id that was derived from them is no secret either. So such a purchase is
    /// open, once it is delivered, to those who asked before, and to a fresh signature.
    pub(super) fn needs_fresh_signature(record: &Purchase) -> bool {
        Self::is_delivered(record) && record.terms.request_id.is_derived()
    }

    /// What is said to who shows for another purchase the authorization that this one has attempted, if that may be another than
    /// the payer. Once something is delivered it may be anybody: a transaction that reverts shows its authorization and leaves
    /// no trace, and another payment may have bought what is delivered. Before that a facilitator has seen it, if there is one,
    /// and must not get the grant of a buyer.
    pub(super) fn answer_to_attempted(
        record: &Purchase,
        settlement: &Settlement,
    ) -> Option<PayReply> {
        if Self::is_delivered(record) {
            return Some(PayReply::Taken);
        }
        let is_ours_alone = settlement.only_gas_wallet().is_some();
        (!is_ours_alone).then_some(PayReply::Pending { transaction: None })
    }

    /// Whether there is a grant to be shown.
    const fn is_delivered(record: &Purchase) -> bool {
        matches!(record.state, State::Delivered { .. })
    }

    /// What is said of a purchase whose attempt has failed.
    pub(super) fn failure(record: &Purchase) -> Option<PayReply> {
        match &record.state {
            State::Pending { attempt } => match attempt.stage {
                Stage::Failed {
                    reason,
                    transaction,
                } => Some(PayReply::Refused {
                    reason,
                    transaction,
                    begun: true,
                }),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the record answers at `now`.
    pub(super) fn answer(
        &self,
        record: Option<&Purchase>,
        now: UnixMillis,
        policy: &Policy,
    ) -> Next {
        match record {
            None => self.answer_without_record(now),
            Some(record) => self.answer_from(record, now, policy),
        }
    }

    fn answer_without_record(&self, now: UnixMillis) -> Next {
        let pay = match self {
            Self::Pay(pay) => pay,
            Self::Prove(_) => return Next::Begin,
            Self::Join(_) => return Next::Answer(PayReply::Expired),
            Self::Repeat(_) => return Next::Answer(PayReply::Conflict),
        };
        let now = now.to_seconds();
        if now >= pay.offer.terms.expires_at {
            return Next::Answer(PayReply::Expired);
        }
        match pay.authorization.authorization().check_time(now) {
            Ok(()) => Next::Begin,
            Err(reason) => Next::Answer(PayReply::Refused {
                reason,
                transaction: None,
                begun: false,
            }),
        }
    }

    fn answer_from(&self, record: &Purchase, now: UnixMillis, policy: &Policy) -> Next {
        // The same words whatever does not fit, so that nobody learns whose purchase it is.
        if !self.fits(record, policy.network) {
            return Next::Answer(PayReply::Conflict);
        }
        if let Self::Prove(_) = self
            && let Some(next) = Prove::next(record)
        {
            return next;
        }
        Next::Answer(match &record.state {
            State::Pending { attempt } => match &attempt.stage {
                Stage::Preparing
                | Stage::Reserving
                | Stage::Settling
                | Stage::Asked { .. }
                | Stage::Submitted { .. } => return Next::Drive,
                Stage::Failed {
                    reason,
                    transaction,
                } => {
                    let Some((signed, _)) = self.payment() else {
                        return Next::Answer(PayReply::Refused {
                            reason: *reason,
                            transaction: *transaction,
                            begun: true,
                        });
                    };
                    if signed.authorization() != attempt.authorization.authorization() {
                        PayReply::Spent { reason: *reason }
                    } else if matches!(self, Self::Pay(_))
                        && now.to_seconds() < record.terms.expires_at
                        && attempt
                            .authorization
                            .authorization()
                            .check_time(now.to_seconds())
                            .is_ok()
                    {
                        return Next::Begin;
                    } else {
                        PayReply::Refused {
                            reason: *reason,
                            transaction: *transaction,
                            begun: true,
                        }
                    }
                }
            },
            State::Proving { .. } => return Next::Drive,
            State::Paid {
                payment,
                since,
                failure,
            } => match (failure, next_effect(record, now, policy)) {
                (Some(failure), Effect::WaitUntil(_)) => PayReply::Undelivered {
                    fault: failure.fault,
                    receipt: record.receipt(payment),
                    refund_at: policy.refund_after_millis.map(|age| since.plus(age)),
                },
                _ => return Next::Drive,
            },
            State::Delivered { payment, goods } => PayReply::Granted {
                goods: goods.clone(),
                receipt: record.receipt(payment),
                again: false,
            },
            State::Closed { payment } => PayReply::AccessEnded {
                transaction: payment.transaction,
            },
            State::Expired { .. } => PayReply::Expired,
            State::Cancelled {
                superseded_by: None,
                ..
            } => PayReply::Cancelled,
            State::Cancelled {
                superseded_by: Some(by),
                ..
            } => PayReply::Elsewhere {
                request_id: by.clone(),
                attempted: false,
            },
            State::RefundPending { refund, .. } => PayReply::Refund {
                status: record.state.status(),
                transaction: refund.transaction(),
            },
            State::Refunded { transaction, .. } => PayReply::Refund {
                status: record.state.status(),
                transaction: Some(*transaction),
            },
            State::RefundFailed { .. } | State::RefundBlocked { .. } => PayReply::Refund {
                status: record.state.status(),
                transaction: None,
            },
        })
    }
}

/// The purchases of this deployment, each behind its request id.
pub trait Purchases {
    /// Asks one purchase, and waits this long for its outcome.
    fn ask(
        &self,
        request_id: &RequestId,
        ask: &Ask,
        patience: Patience,
    ) -> impl Future<Output = Result<PayReply, CallFault>>;
}

/// Presents a payment, and follows it to the purchase that it counts for.
pub async fn purchase<P: Purchases>(
    purchases: &P,
    pay: Pay,
    patience: Patience,
) -> Result<PayReply, CallFault> {
    let request_id = pay.offer.terms.request_id.clone();
    let join = Join {
        payer: pay.authorization.payer(),
        target: pay.target(),
        by_attempted: false,
    };
    follow(
        purchases,
        request_id,
        Ask::Pay(Box::new(pay)),
        join,
        patience,
    )
    .await
}

/// Asks what became of a payment that may have been taken under this request id, and follows it like [`purchase`]. It
/// begins nothing: where there is no purchase that fits, the answer is [`PayReply::Conflict`].
pub async fn repeated<P: Purchases>(
    purchases: &P,
    repeat: Repeat,
    patience: Patience,
) -> Result<PayReply, CallFault> {
    let join = Join {
        payer: repeat.authorization.payer(),
        target: repeat.target.clone(),
        by_attempted: false,
    };
    let request_id = repeat.request_id.clone();
    follow(
        purchases,
        request_id,
        Ask::Repeat(Box::new(repeat)),
        join,
        patience,
    )
    .await
}

/// Asks what became of a purchase for a payer that was proven earlier, and follows it like [`purchase`]. It begins nothing.
pub async fn joined<P: Purchases>(
    purchases: &P,
    request_id: &RequestId,
    payer: Address,
    target: TargetKey,
    patience: Patience,
) -> Result<PayReply, CallFault> {
    let join = Join {
        payer,
        target,
        by_attempted: false,
    };
    follow(
        purchases,
        request_id.clone(),
        Ask::Join(join.clone()),
        join,
        patience,
    )
    .await
}

async fn follow<P: Purchases>(
    purchases: &P,
    mut request_id: RequestId,
    mut ask: Ask,
    join: Join,
    patience: Patience,
) -> Result<PayReply, CallFault> {
    for _ in 0..MAX_HOPS {
        match purchases.ask(&request_id, &ask, patience).await? {
            PayReply::Elsewhere {
                request_id: other,
                attempted,
            } => {
                request_id = other;
                ask = Ask::Join(Join {
                    by_attempted: attempted,
                    ..join.clone()
                });
            }
            // A purchase of another target has taken the payment: what the client is told is about the payment.
            PayReply::Conflict if matches!(&ask, Ask::Join(join) if join.by_attempted) => {
                return Ok(PayReply::Taken);
            }
            reply => return Ok(reply),
        }
    }
    Ok(PayReply::Pending { transaction: None })
}

#[cfg(test)]
mod tests;
