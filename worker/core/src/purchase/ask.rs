//! How a purchase answers a client that pays, proves a payment or asks for the outcome; and how the payment of one purchase
//! leads to another, if it counts for that one.

use core::future::Future;

use super::question::{Ask, Join, Pay, Prove};
use super::reply::{Next, PayReply};
use super::schedule::{Effect, next_effect};
use super::state::{Purchase, Stage, State};
use crate::book::TargetKey;
use crate::config::Policy;
use crate::pauses::Patience;
use crate::settlement::Settlement;
use crate::types::{CallFault, RequestId, UnixMillis};

/// How many purchases a question is sent to, one leading to the next.
const MAX_HOPS: usize = 3;

impl Prove {
    /// What a purchase without money does with a proof. `None`: the purchase has money or may get it, and answers from
    /// its state.
    pub(super) fn next(record: &Purchase) -> Option<Next> {
        match &record.state {
            _ if !record.state.is_open() => None,
            // The payer's book must first be told that the purchase is resolved, as after any failure.
            _ if record.holds_target => Some(Next::Drive),
            _ => Some(Next::Begin),
        }
    }
}

impl Ask {
    /// Whether this purchase gives its goods only for an authorization that nobody else can have seen. A transfer shows
    /// its authorization and signature to everybody, and a request id that is derived from them is no secret either. So
    /// such a purchase, once delivered, answers only those who asked before, and a fresh signature. A call that is paid
    /// for first may take minutes after its payment is on chain: a stranger who asked in that time could even make the
    /// call.
    pub(super) fn needs_fresh_signature(record: &Purchase) -> bool {
        let is_delivered = Self::is_delivered(record) || record.awaits_its_call_when_paid();
        is_delivered && record.terms.request_id.is_derived()
    }

    /// The reply to a caller that has shown to another purchase the authorization that this one has attempted, if the
    /// caller may be somebody else than the payer. Once the goods are delivered, the caller may be anyone: a
    /// transaction that reverts publishes its authorization and leaves no trace in the chain's state, and the goods may
    /// have been bought by another payment. Before that, a facilitator, if there is one, has seen the authorization,
    /// and must not get a buyer's grant.
    pub(super) fn answer_to_attempted(
        record: &Purchase,
        settlement: &Settlement,
    ) -> Option<PayReply> {
        let has_ended = record.state.is_resolved() && record.state.payment().is_some();
        if has_ended {
            return Some(PayReply::Taken);
        }
        // The purchase has brought nothing, and may say so to anybody.
        if record.state.is_open() {
            return None;
        }
        let is_ours_alone = settlement.only_gas_wallet().is_some();
        (!is_ours_alone).then_some(PayReply::Pending { transaction: None })
    }

    /// Whether there are goods to be shown.
    const fn is_delivered(record: &Purchase) -> bool {
        matches!(record.state, State::Delivered { .. })
    }

    /// The reply about a purchase whose attempt has failed.
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

    /// What the record says to this question at `now`.
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
            Self::Join(_) => return Next::Answer(PayReply::Unbegun),
        };
        let Some(sale) = &pay.sale else {
            return Next::Answer(PayReply::Conflict);
        };
        let now = now.to_seconds();
        if now >= sale.offer.terms.expires_at {
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
        // A question that does not fit always gets `Conflict`, whatever differs: the reply must not show whose purchase
        // this is.
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
                Stage::Reserving
                | Stage::Uncalled
                | Stage::Calling { .. }
                | Stage::Held
                | Stage::Settling
                | Stage::Asked { .. }
                | Stage::Submitted(_) => {
                    return Next::Drive;
                }
                Stage::Failed {
                    reason,
                    transaction,
                } => {
                    let now = now.to_seconds();
                    let attempted = attempt.broadcast.authorization.authorization();
                    match self {
                        Self::Pay(pay) if pay.authorization.authorization() != attempted => {
                            PayReply::Spent { reason: *reason }
                        }
                        Self::Pay(pay)
                            if record.may_be_called()
                                && pay.sells_the_same(record)
                                && now < record.terms.expires_at
                                && attempted.check_time(now).is_ok() =>
                        {
                            return Next::Begin;
                        }
                        _ => PayReply::Refused {
                            reason: *reason,
                            transaction: *transaction,
                            begun: true,
                        },
                    }
                }
            },
            State::Proving { .. } => return Next::Drive,
            State::Paid {
                payment,
                since,
                failure,
                ..
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
                receipt: Some(record.receipt(payment)),
                again: false,
            },
            State::Closed { payment } if record.is_of_a_call() => PayReply::AnswerGone {
                transaction: payment.transaction,
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
                join: Join {
                    payer: record.payer,
                    target: TargetKey::of(&record.terms),
                    by_attempted: false,
                },
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

/// The purchases of this deployment, which are found by their request ids.
pub trait Purchases {
    /// Asks one purchase, and waits for its outcome as long as `patience` says.
    fn ask(
        &self,
        request_id: &RequestId,
        ask: &Ask,
        patience: Patience,
    ) -> impl Future<Output = Result<PayReply, CallFault>>;
}

/// The final reply to a question, and the purchase that gave it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answered {
    /// The purchase to which the question led.
    pub request_id: RequestId,
    /// The question that the same payer may ask this purchase later.
    pub join: Join,
    /// The reply; `None` when the purchase gave none.
    pub reply: Option<PayReply>,
}

/// Presents a payment, and follows it to the purchase that it counts for. Where no purchase fits and none begins, the answer is
/// [`PayReply::Conflict`].
pub async fn purchase<P: Purchases>(purchases: &P, pay: Pay, patience: Patience) -> Answered {
    let request_id = pay.request_id.clone();
    let join = Join {
        payer: pay.authorization.payer(),
        target: pay.target.clone(),
        by_attempted: false,
    };
    let ask = Ask::Pay(Box::new(pay));
    follow(purchases, request_id, ask, join, patience).await
}

/// Asks a purchase for its outcome, for a payer that was proven earlier, and follows the replies like [`purchase`].
/// Begins nothing.
pub async fn joined<P: Purchases>(
    purchases: &P,
    request_id: RequestId,
    join: Join,
    patience: Patience,
) -> Answered {
    let ask = Ask::Join(join.clone());
    follow(purchases, request_id, ask, join, patience).await
}

async fn follow<P: Purchases>(
    purchases: &P,
    mut request_id: RequestId,
    mut ask: Ask,
    mut join: Join,
    patience: Patience,
) -> Answered {
    for hop in 0..MAX_HOPS {
        let reply = match purchases.ask(&request_id, &ask, patience).await {
            Ok(PayReply::Elsewhere {
                request_id: other,
                join: next,
            }) => {
                request_id = other;
                join = next;
                ask = Ask::Join(join.clone());
                continue;
            }
            // The other purchase has another target. The client is told only that its payment belongs to another
            // purchase.
            Ok(PayReply::Conflict) if join.by_attempted => Some(PayReply::Taken),
            // The purchase to which the payment led has never begun.
            Ok(PayReply::Unbegun) if hop > 0 => Some(PayReply::Expired),
            reply => reply.ok(),
        };
        return Answered {
            request_id,
            join,
            reply,
        };
    }
    Answered {
        request_id,
        join,
        reply: Some(PayReply::Pending { transaction: None }),
    }
}

#[cfg(test)]
mod tests;
