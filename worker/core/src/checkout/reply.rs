//! Turns each answer of a purchase into one of the four outcomes.

use alloy_primitives::B256;

use super::order::Claim;
use super::outcome::{Outcome, Phase, Unpaid};
use super::quote::Quote;
use super::stop::Stop;
use crate::chain::transfer::ProofFault;
use crate::goods::Receipt;
use crate::offer::Terms;
use crate::purchase::{Join, PayReply};
use crate::types::{RequestId, Status};

/// The question that the purchase answers.
pub(super) struct Asked<'s> {
    pub(super) request_id: RequestId,
    /// The right to ask again, if the payer was proven.
    pub(super) claim: Option<Claim>,
    /// The terms that a transfer must have paid; `None` when no transfer was shown.
    pub(super) shown_for: Option<&'s Terms>,
}

/// The right to ask this purchase again. `None` where the purchase's id follows from a payment that everybody may have
/// seen: what such a purchase delivered is opened by a payment only.
pub(super) fn claim(request_id: &RequestId, join: Join) -> Option<Claim> {
    (!request_id.is_derived()).then(|| Claim {
        request_id: request_id.clone(),
        payer: join.payer,
        target: join.target,
        by_attempted: join.by_attempted,
    })
}

impl Asked<'_> {
    /// The outcome of this answer. `quote` makes the offer to pay instead; its argument says whether it needs a new request id,
    /// because the purchase has begun and takes no other payment. Without a reply nothing is known.
    pub(super) fn outcome<'a>(
        self,
        reply: Option<PayReply>,
        quote: impl FnOnce(bool) -> Option<Quote<'a>>,
    ) -> Outcome<'a> {
        let pay_again = |why, transaction, booked, quote| Outcome::PayAgain {
            why,
            mismatches: Vec::new(),
            transaction,
            booked,
            quote,
        };
        let Some(reply) = reply else {
            return self.pending(Phase::Unheard, None, None);
        };
        let request_id = || self.request_id.clone();
        let is_proof = self.shown_for.is_some();
        let why = match reply {
            PayReply::Granted {
                goods,
                receipt,
                again,
            } => {
                return Outcome::Granted {
                    goods,
                    receipt,
                    again,
                };
            }
            PayReply::Streaming { goods, receipt } => {
                return Outcome::Granted {
                    goods,
                    receipt: Some(receipt),
                    again: false,
                };
            }
            PayReply::Undelivered {
                fault,
                receipt,
                refund_at,
            } => {
                let phase = Phase::Delivering { fault, refund_at };
                return self.pending(phase, Some(receipt), None);
            }
            PayReply::Refund {
                status,
                transaction,
            } => match status {
                Status::Refunded => Stop::Refunded { transaction },
                Status::RefundFailed => Stop::RefundFailed {
                    request_id: request_id(),
                    claim: self.claim,
                },
                _ => return self.pending(Phase::Refunding { transaction }, None, None),
            },
            PayReply::Pending { transaction } => {
                return self.pending(Phase::Settling, None, transaction);
            }
            PayReply::Calling { transaction } => {
                return self.pending(Phase::Calling, None, transaction);
            }
            PayReply::Refused {
                reason,
                transaction,
                begun,
            } => {
                return pay_again(Unpaid::Refused(reason), transaction, begun, quote(begun));
            }
            PayReply::Expired => return pay_again(Unpaid::Expired, None, false, quote(true)),
            PayReply::Withdrawn => return pay_again(Unpaid::Withdrawn, None, false, quote(true)),
            PayReply::Cancelled => return pay_again(Unpaid::Cancelled, None, false, quote(true)),
            PayReply::Unproven(ProofFault::TxUnconfirmed) => {
                return self.unproven(Phase::Unconfirmed);
            }
            PayReply::Unproven(ProofFault::AuthorizationOpen(until)) => {
                return self.unproven(Phase::AuthorizationOpen { until });
            }
            PayReply::Unproven(fault) => match self.shown_for {
                Some(terms) => Stop::NotPaid {
                    fault,
                    terms: Box::new(terms.clone()),
                },
                // A purchase gives this reply to proofs of transfers only.
                None => return self.pending(Phase::Settling, None, None),
            },
            // Payments are followed from one purchase to the next in the module `purchase`, which has given up here.
            PayReply::Elsewhere { .. } => return self.pending(Phase::Unheard, None, None),
            PayReply::Unbegun => return self.pending(Phase::Unbegun, None, None),
            PayReply::AccessEnded { transaction } => Stop::AccessEnded {
                request_id: request_id(),
                transaction,
            },
            PayReply::AnswerGone { transaction } => Stop::AnswerGone {
                request_id: request_id(),
                transaction,
            },
            PayReply::Origin { fault, refund } => Stop::Origin { fault, refund },
            PayReply::TooManyCalls { seconds } => Stop::TooManyCalls { seconds },
            PayReply::NeedsFreshSignature => Stop::SignAgain {
                request_id: request_id(),
            },
            PayReply::NamedOtherwise => Stop::NamedOtherwise,
            PayReply::Taken if is_proof => Stop::TransferTaken,
            PayReply::Taken => Stop::Taken,
            PayReply::Conflict if is_proof => Stop::ProofConflict,
            PayReply::Conflict => Stop::Conflict,
            PayReply::Spent { reason } => Stop::Spent(reason),
            PayReply::Paused { seconds } => Stop::Paused { seconds },
            PayReply::Unavailable => Stop::Unavailable,
            PayReply::NotNow(why) => Stop::NotNow(why),
            PayReply::Barred(why) => Stop::Barred(why),
        };
        Outcome::Stopped { why }
    }

    /// The outcome while the purchase does not know of the transfer: only the proof, shown again, leads to it.
    fn unproven<'a>(self, phase: Phase) -> Outcome<'a> {
        let asked = Self {
            claim: None,
            ..self
        };
        asked.pending(phase, None, None)
    }

    fn pending<'a>(
        self,
        phase: Phase,
        receipt: Option<Receipt>,
        transaction: Option<B256>,
    ) -> Outcome<'a> {
        let paid = receipt.as_ref().map(|receipt| receipt.transaction);
        Outcome::Pending {
            phase,
            request_id: self.request_id,
            claim: self.claim,
            receipt,
            transaction: paid.or(transaction),
        }
    }
}
