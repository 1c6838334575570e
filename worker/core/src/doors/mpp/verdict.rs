//! What an outcome means in this protocol.
//!
//! Its clients sign a new payment for every 402 that carries a challenge, up to three times for one call. So there is a
//! challenge only where certainly nothing was begun for this payment. Where the purchase was booked and then failed, it has
//! taken the payment's place: 403. Where the outcome is open, it is neither.

use http::StatusCode;

use crate::checkout::{Outcome, Stop, Unpaid};
use crate::error::{Code, Error};
use crate::mpp::Problem;
use crate::x402::Refusal;

/// How a client of the Machine Payments Protocol is told of an outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::doors) struct Verdict {
    pub(in crate::doors) status: StatusCode,
    pub(in crate::doors) problem: Problem,
    /// A sentence in the words of this protocol, where those of the outcome speak of x402.
    pub(in crate::doors) message: Option<&'static str>,
}

const INVALID: &str = "The credential is not for a challenge to this request: details.mismatch names what differs. Pay the challenge \
     that comes with this answer; nothing was charged for this request.";
const NONCE: &str = "The authorization's nonce does not follow from the id and the realm of the challenge. Pay the challenge that \
     comes with this answer; nothing was charged for this request.";
const SOURCE: &str = "The credential's source is not the wallet that pays. Pay the challenge that comes with this answer; nothing was \
     charged for this request.";

impl Verdict {
    /// How the client is told of this outcome. `error` is the outcome's error.
    pub(in crate::doors) fn of(outcome: &Outcome<'_>, error: &Error) -> Self {
        let status = error.code.status();
        match outcome {
            Outcome::PayAgain {
                why,
                mismatches,
                booked,
                quote,
                ..
            } => match again(*why, mismatches) {
                Some((problem, message)) if !booked && quote.is_some() => Self {
                    status: StatusCode::PAYMENT_REQUIRED,
                    problem,
                    message,
                },
                _ => Self::forbidden(),
            },
            Outcome::Stopped {
                why: Stop::ForeignOffer,
            } => Self {
                status: StatusCode::PAYMENT_REQUIRED,
                problem: Problem::InvalidChallenge,
                message: None,
            },
            Outcome::Stopped {
                why: Stop::Spent(_),
            } => Self::forbidden(),
            Outcome::Stopped { .. } if error.code == Code::TxAlreadyRedeemed => Self::forbidden(),
            _ => Self {
                status,
                problem: match status {
                    StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR => {
                        Problem::InternalPaymentError
                    }
                    _ => Problem::Other,
                },
                message: None,
            },
        }
    }

    /// Paying again would not help.
    const fn forbidden() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            problem: Problem::VerificationFailed,
            message: None,
        }
    }
}

/// The problem of a payment that did not count. `None` where another payment may still move money, or would not help.
fn again(why: Unpaid, mismatches: &[&str]) -> Option<(Problem, Option<&'static str>)> {
    let refusal = match why {
        Unpaid::Expired => return Some((Problem::PaymentExpired, None)),
        Unpaid::Withdrawn => return Some((Problem::InvalidChallenge, None)),
        Unpaid::Cancelled => return None,
        Unpaid::Refused(refusal) => refusal,
    };
    Some(match refusal {
        Refusal::InvalidPaymentRequirements if mismatches.contains(&"nonce") => {
            (Problem::VerificationFailed, Some(NONCE))
        }
        Refusal::InvalidPaymentRequirements if mismatches.contains(&"source") => {
            (Problem::VerificationFailed, Some(SOURCE))
        }
        Refusal::InvalidPaymentRequirements => (Problem::InvalidChallenge, Some(INVALID)),
        Refusal::InvalidPayload => (Problem::InvalidPayload, None),
        Refusal::InsufficientFunds => (Problem::PaymentInsufficient, None),
        Refusal::InvalidExactEvmPayloadAuthorizationValidBefore | Refusal::CallOfferTooShort => {
            (Problem::PaymentExpired, None)
        }
        // The chain has executed the authorization, so the payer may have paid.
        Refusal::InvalidExactEvmNonceAlreadyUsed => return None,
        _ => (Problem::VerificationFailed, None),
    })
}
