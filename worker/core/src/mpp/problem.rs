//! The problem types of the protocol (RFC 9457).

use http::StatusCode;

/// The type of a problem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Problem {
    /// A payment is needed.
    PaymentRequired,
    /// The payer has not enough money.
    PaymentInsufficient,
    /// The challenge, or what was signed for it, has expired.
    PaymentExpired,
    /// The payment was refused.
    VerificationFailed,
    /// The credential cannot be read.
    MalformedCredential,
    /// The challenge is not ours, was altered, or is for another request.
    InvalidChallenge,
    /// The credential's payload cannot be read, or has a form that is not taken.
    InvalidPayload,
    /// The method or the intent is not offered.
    MethodUnsupported,
    /// The request contradicts itself.
    BadRequest,
    /// The outcome is not known, or the fault is on this side.
    InternalPaymentError,
    /// A fault that the protocol has no type for; the body has its code.
    Other,
}

impl Problem {
    /// The URI that names the type.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::PaymentRequired => "https://paymentauth.org/problems/payment-required",
            Self::PaymentInsufficient => "https://paymentauth.org/problems/payment-insufficient",
            Self::PaymentExpired => "https://paymentauth.org/problems/payment-expired",
            Self::VerificationFailed => "https://paymentauth.org/problems/verification-failed",
            Self::MalformedCredential => "https://paymentauth.org/problems/malformed-credential",
            Self::InvalidChallenge => "https://paymentauth.org/problems/invalid-challenge",
            Self::InvalidPayload => "https://paymentauth.org/problems/invalid-payload",
            Self::MethodUnsupported => "https://paymentauth.org/problems/method-unsupported",
            Self::BadRequest => "https://paymentauth.org/problems/bad-request",
            Self::InternalPaymentError => "https://paymentauth.org/problems/internal-payment-error",
            Self::Other => "about:blank",
        }
    }

    /// A short text that is the same for all problems of this type.
    pub fn title(self, status: StatusCode) -> &'static str {
        match self {
            Self::PaymentRequired => "Payment Required",
            Self::PaymentInsufficient => "Payment Insufficient",
            Self::PaymentExpired => "Payment Expired",
            Self::VerificationFailed => "Verification Failed",
            Self::MalformedCredential => "Malformed Credential",
            Self::InvalidChallenge => "Invalid Challenge",
            Self::InvalidPayload => "Invalid Payload",
            Self::MethodUnsupported => "Method Unsupported",
            Self::BadRequest => "Bad Request",
            Self::InternalPaymentError => "Internal Payment Error",
            Self::Other => status.canonical_reason().unwrap_or("Error"),
        }
    }
}
