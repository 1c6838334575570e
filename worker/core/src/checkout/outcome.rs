//! The four ways in which a call to checkout ends.

use crate::json;
use crate::json::Put as _;
use alloy_primitives::B256;
use serde_json::Value;

use super::order::Claim;
use super::quote::Quote;
use super::stop::{Stop, returned};
use crate::error::{Code, Error};
use crate::goods::{DeliveryFault, Goods, Receipt};
use crate::pauses::COME_BACK_SECONDS;
use crate::types::{HttpUrl, Network, RequestId, Status, UnixMillis, UnixSeconds};
use crate::x402::Refusal;

/// A limit for the time to wait, because an authorization may be good for years.
const MAX_RETRY_AFTER_SECONDS: u64 = 86_400;

/// How a call ends: with goods, unfinished, with another offer, or with a reason why there is neither.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// The purchase is delivered; or, for a call, the seller's API has answered in a way that the buyer is not charged
    /// for.
    Granted {
        /// What is delivered. [`Checkout::grant`](super::Checkout::grant) makes the grant from it, unless it is a
        /// call's answer.
        goods: Goods,
        /// The payment; `None` when nothing was charged, or when the money goes back (the goods say so).
        receipt: Option<Receipt>,
        /// Whether the proof of a transfer was shown again after the delivery.
        again: bool,
    },
    /// The purchase is not over. A door never adds an offer, which would invite a second payment.
    Pending {
        /// What the purchase waits for.
        phase: Phase,
        /// The purchase. The client must not learn it if the claim [is by what was attempted](Claim::is_by_attempted).
        request_id: RequestId,
        /// The right to ask with [`Checkout::status`](super::Checkout::status), if the payer was proven.
        claim: Option<Claim>,
        /// The payment, once the money has arrived.
        receipt: Option<Receipt>,
        /// The transaction, once there is one.
        transaction: Option<B256>,
    },
    /// Nothing was charged: wherever money could have moved, the chain was asked. Paying anew is safe.
    PayAgain {
        /// Why this payment did not count.
        why: Unpaid,
        /// The members of the request that contradict the offer.
        mismatches: Vec<&'static str>,
        /// The transaction that failed, if one was included.
        transaction: Option<B256>,
        /// Whether the purchase had begun. If so, it takes no other payment, and the quote has a new request id.
        booked: bool,
        /// What to pay instead; `None` when the target is no longer sold.
        quote: Option<Quote<'a>>,
    },
    /// Neither goods nor another offer.
    Stopped {
        /// Why, and what the client may do about it ([`Stop::retry`]).
        why: Stop,
    },
}

/// What an unfinished purchase waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// The call to the seller's API is being made, or waits for a request that brings the call along.
    Calling,
    /// The payment is being settled.
    Settling,
    /// The purchase gave no answer.
    Unheard,
    /// No purchase has begun under this id so far. The payment may be on its way there, or count for another purchase.
    Unbegun,
    /// The purchase is paid; its delivery failed and is tried again.
    Delivering {
        /// How the last try failed.
        fault: DeliveryFault,
        /// When the money goes back; `None` when refunds are off.
        refund_at: Option<UnixMillis>,
    },
    /// The money is on its way back.
    Refunding {
        /// The transaction that returns it, once there is one.
        transaction: Option<B256>,
    },
    /// The transfer that was shown is not on chain yet, or has too few confirmations. Nothing is stored about the
    /// transfer.
    Unconfirmed,
    /// The transfer pays the offer, but an authorization that was presented earlier may still pay it, too.
    AuthorizationOpen {
        /// When that authorization ends.
        until: UnixSeconds,
    },
}

/// Why a payment did not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unpaid {
    /// The payment was refused, or it failed.
    Refused(Refusal),
    /// The offer has expired.
    Expired,
    /// The seller has withdrawn the offer: it names a wallet that is no longer used, or a plan that has changed.
    Withdrawn,
    /// The purchase was called off.
    Cancelled,
}

impl Outcome<'_> {
    /// What happened, as a code, a sentence and details that fit every door: whether money moved, and what to do next. `None`
    /// for goods.
    pub fn error(&self, origin: &HttpUrl, network: Network) -> Option<Error> {
        let mut error = self.told(origin, network)?;
        if let Self::Pending {
            claim: Some(claim), ..
        } = self
            && claim.is_by_attempted()
            && let Some(details) = error.details.as_mut().and_then(Value::as_object_mut)
        {
            // The caller may be anybody who has seen the payment. With the purchase's request id, that payment would
            // open the purchase.
            details.remove("requestId");
        }
        Some(error)
    }

    fn told(&self, origin: &HttpUrl, network: Network) -> Option<Error> {
        Some(match self {
            Self::Granted { .. } => return None,
            Self::Pending {
                phase,
                request_id,
                receipt,
                transaction,
                ..
            } => match phase {
                Phase::Calling => {
                    let mut details = json!({"requestId": request_id});
                    note_transaction(&mut details, *transaction);
                    Error::new(
                        Code::CallInProgress,
                        "The call for this payment is being made. Send the same request with the same payment again to get its \
                         answer; it is not charged twice.",
                    )
                    .with_details(details)
                }
                Phase::Settling => settling(
                    "The payment is being settled. The same payment may be sent again at any time; it is not charged twice.",
                    request_id,
                    *transaction,
                ),
                Phase::Unheard | Phase::Unbegun => settling(
                    "No answer has come for the payment so far. Send the same payment again to learn what became of it; it is \
                     not charged twice.",
                    request_id,
                    *transaction,
                ),
                Phase::Delivering { fault, refund_at } => {
                    undelivered(*fault, receipt.as_ref(), *refund_at)
                }
                Phase::Refunding { transaction } => {
                    returned(Status::RefundPending, *transaction, network)
                }
                Phase::Unconfirmed => Error::new(
                    Code::TxUnconfirmed,
                    "The transaction is not on chain yet, or not deep enough. Send the same proof again; a transfer that was \
                     included in time stays good.",
                ),
                Phase::AuthorizationOpen { until } => Error::new(
                    Code::TxUnconfirmed,
                    format!(
                        "The transfer pays, but so may the authorization that was presented for this requestId before, until {}. \
                         Send the same proof again after that; or cancel that authorization on chain (cancelAuthorization of the \
                         USDC contract) and send it at once. If it is executed first, it is the payment.",
                        until.to_iso()
                    ),
                )
                .with_details(json!({"reason": "authorization_open", "until": until.to_iso()})),
            },
            Self::PayAgain {
                why,
                mismatches,
                transaction,
                ..
            } => unpaid(*why, mismatches, *transaction),
            Self::Stopped { why } => why.error(origin, network),
        })
    }

    /// The reason in the form that x402 defines.
    /// <https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md>
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Granted { .. } => "",
            Self::Pending { phase, .. } => match phase {
                Phase::Calling => "call_in_progress",
                Phase::Refunding { .. } => "refunded",
                _ => "settlement_pending",
            },
            Self::PayAgain { why, .. } => match why {
                Unpaid::Refused(refusal) => refusal.code(),
                Unpaid::Expired => "challenge_expired",
                Unpaid::Withdrawn => "challenge_withdrawn",
                Unpaid::Cancelled => "challenge_cancelled",
            },
            Self::Stopped { why } => why.reason(),
        }
    }

    /// Whether a contract wallet was asked about a signature and gave no answer. Nothing was paid, and the question has cost the
    /// seller's quota: such a request counts against its caller (see [`crate::limit`]).
    pub const fn is_unchecked(&self) -> bool {
        matches!(
            self,
            Self::Stopped {
                why: Stop::PaymentUnchecked | Stop::ProofUnchecked
            }
        )
    }

    /// After how many seconds the same request may have another outcome.
    pub fn retry_after(&self, now: UnixSeconds) -> Option<u64> {
        match self {
            Self::Granted { .. } | Self::PayAgain { .. } => None,
            Self::Pending { phase, .. } => match phase {
                Phase::Calling
                | Phase::Settling
                | Phase::Unheard
                | Phase::Unbegun
                | Phase::Delivering { .. }
                | Phase::Unconfirmed => Some(COME_BACK_SECONDS),
                Phase::Refunding { .. } => None,
                Phase::AuthorizationOpen { until } => {
                    let left = until.0.saturating_sub(now.0);
                    Some(left.clamp(1, MAX_RETRY_AFTER_SECONDS))
                }
            },
            Self::Stopped { why } => why.retry_after(),
        }
    }
}

fn settling(message: &'static str, request_id: &RequestId, transaction: Option<B256>) -> Error {
    let mut details = json!({"requestId": request_id});
    note_transaction(&mut details, transaction);
    Error::new(Code::SettlementPending, message).with_details(details)
}

fn undelivered(
    fault: DeliveryFault,
    receipt: Option<&Receipt>,
    refund_at: Option<UnixMillis>,
) -> Error {
    if fault.is_of_a_call() {
        return call_not_delivered(fault, receipt, refund_at);
    }
    let (code, happened) = match fault {
        DeliveryFault::Failed => (Code::TokenIssueFailed, "could not issue the access token"),
        DeliveryFault::Timeout => (Code::TokenIssueTimeout, "gave no answer in time"),
        DeliveryFault::Unauthenticated => (Code::InternalError, "could not be asked"),
        _ => (Code::TokenIssueFailed, "no longer has what was bought"),
    };
    let promise = match (fault, refund_at) {
        (DeliveryFault::PlanGone | DeliveryFault::GrantClosed, Some(_)) => {
            "The money is sent back by itself."
        }
        (DeliveryFault::PlanGone | DeliveryFault::GrantClosed, None) => {
            "Ask the seller to send the money back."
        }
        (_, Some(_)) => {
            "It is tried again; if that does not help, the money is sent back by itself."
        }
        (_, None) => "It is tried again.",
    };
    Error::new(
        code,
        format!(
            "The payment arrived, but the seller's backend {happened}. {promise} What was sent may be sent again at any time, to \
             learn how far it is; it is not charged twice."
        ),
    )
    .with_details(json!({
        "state": Status::Paid,
        "transaction": receipt.map(|receipt| receipt.transaction),
        "refundAfter": refund_at.map(|at| at.to_seconds().to_iso()),
    }))
}

/// The error for a call that is paid for and will not be delivered. Where refunds are on, the money goes back at once.
fn call_not_delivered(
    fault: DeliveryFault,
    receipt: Option<&Receipt>,
    refund_at: Option<UnixMillis>,
) -> Error {
    let happened = match fault {
        DeliveryFault::Answered(status) => {
            format!("the seller's API answered with {status}, which is not charged for")
        }
        DeliveryFault::Late => "nothing is delivered for it any more".to_owned(),
        _ => "the call brought no answer".to_owned(),
    };
    let promise = match refund_at {
        Some(_) => "The money is sent back by itself.",
        None => "Ask the seller to send the money back.",
    };
    Error::new(
        Code::TokenIssueFailed,
        format!(
            "The payment arrived, but {happened}. {promise} To call again, sign a new payment."
        ),
    )
    .with_details(json!({
        "state": Status::Paid,
        "transaction": receipt.map(|receipt| receipt.transaction),
    }))
}

fn unpaid(why: Unpaid, mismatches: &[&'static str], transaction: Option<B256>) -> Error {
    let refusal = match why {
        Unpaid::Refused(refusal) => refusal,
        Unpaid::Expired => {
            return Error::new(
                Code::ChallengeExpired,
                "The offer has expired and nothing was charged. Pay a new one instead, which has a new requestId.",
            );
        }
        Unpaid::Withdrawn => {
            return Error::new(
                Code::ChallengeExpired,
                "The seller has withdrawn this offer, for another wallet or a change of what it sells, and nothing was charged. Pay a \
                 new one instead, which has a new requestId.",
            );
        }
        Unpaid::Cancelled => {
            return Error::new(
                Code::ChallengeExpired,
                "The purchase was cancelled and nothing was charged. Pay a new offer instead, which has a new requestId.",
            );
        }
    };
    let mut details = json!({"reason": refusal.code()});
    if let (false, Some(members)) = (mismatches.is_empty(), details.as_object_mut()) {
        members.put("mismatch", json!(mismatches));
    }
    note_transaction(&mut details, transaction);
    let message = match mismatches.contains(&"challengeId") {
        true => {
            "This payment was made for another offer and was not taken: `accepted.extra.challengeId` is not that of the offer shown \
             here."
        }
        false => refusal.message(),
    };
    Error::new(Code::PaymentFailed, message).with_details(details)
}

fn note_transaction(details: &mut Value, transaction: Option<B256>) {
    if let (Some(hash), Some(members)) = (transaction, details.as_object_mut()) {
        members.put("transaction", json!(hash));
    }
}
