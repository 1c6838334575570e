//! The error catalogue: every refusal that a caller can see, with its stable code and HTTP status.
//!
//! The message is for outside and says what to do next. Inside detail belongs into the log, never in here.

use std::borrow::Cow;

use crate::json;
use crate::json::Put as _;
use http::StatusCode;
use serde_json::Value;

/// A stable error code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// The plan is not in the catalog.
    TierNotFound,
    /// The challenge id was not issued here, or was altered.
    ChallengeNotFound,
    /// The offer is too old to be paid.
    ChallengeExpired,
    /// The purchase was delivered, and the access that it gave has ended.
    AccessEnded,
    /// The payment was already used for another purchase.
    TxAlreadyRedeemed,
    /// The proof was redeemed before, for this purchase: here is its grant.
    ProofAlreadyRedeemed,
    /// The transaction does not prove the payment.
    InvalidProof,
    /// The transfer or the offer belongs to another chain.
    ChainMismatch,
    /// The transfer is below the price.
    AmountMismatch,
    /// The transaction is not on chain, or not deep enough.
    TxUnconfirmed,
    /// The request cannot be understood.
    InvalidRequest,
    /// The request names a route and does not say which call of it is meant.
    MissingResourceField,
    /// The payment was refused or failed; nothing was charged for this request.
    PaymentFailed,
    /// The payment is on its way; the outcome is not known yet.
    SettlementPending,
    /// Paid, but the backend could not issue the credential; or the money is going back.
    TokenIssueFailed,
    /// Paid, but the backend gave no answer in time.
    TokenIssueTimeout,
    /// Something that we depend on cannot be reached; nothing was begun.
    AdapterError,
    /// A purchase could not be finished at the moment, so none was begun.
    TemporarilyUnavailable,
    /// The call that is paid for is being made.
    CallInProgress,
    /// The answer to a call is larger than what can be kept.
    AnswerTooLarge,
    /// The call was paid for and delivered, and its answer is no longer kept.
    AnswerGone,
    /// The request id belongs to another purchase.
    RequestConflict,
    /// The payer must wait before it tries again.
    RateLimited,
    /// What a grant was good for is used up.
    QuotaUsedUp,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// What is asked for is for the wallet that has paid.
    SignInRequired,
    /// The access of this token was taken back.
    GrantRevoked,
    /// The secret of the operator, or of a backend, is missing or wrong.
    Unauthorized,
    /// Nothing is served at this path.
    NotFound,
    /// The path is served, but not with this method.
    MethodNotAllowed,
    /// The request wants a protocol that is not spoken here.
    NotImplemented,
    /// The deployment is not configured correctly.
    ConfigInvalid,
    /// A fault of the worker.
    InternalError,
}

impl Code {
    /// Every code, for tests and documentation.
    pub const ALL: [Self; 33] = [
        Self::TierNotFound,
        Self::ChallengeNotFound,
        Self::ChallengeExpired,
        Self::AccessEnded,
        Self::TxAlreadyRedeemed,
        Self::ProofAlreadyRedeemed,
        Self::InvalidProof,
        Self::ChainMismatch,
        Self::AmountMismatch,
        Self::TxUnconfirmed,
        Self::InvalidRequest,
        Self::MissingResourceField,
        Self::PaymentFailed,
        Self::SettlementPending,
        Self::TokenIssueFailed,
        Self::TokenIssueTimeout,
        Self::AdapterError,
        Self::TemporarilyUnavailable,
        Self::CallInProgress,
        Self::AnswerTooLarge,
        Self::AnswerGone,
        Self::RequestConflict,
        Self::RateLimited,
        Self::QuotaUsedUp,
        Self::PayloadTooLarge,
        Self::SignInRequired,
        Self::GrantRevoked,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotImplemented,
        Self::ConfigInvalid,
        Self::InternalError,
    ];

    /// The code as callers see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TierNotFound => "TIER_NOT_FOUND",
            Self::ChallengeNotFound => "CHALLENGE_NOT_FOUND",
            Self::ChallengeExpired => "CHALLENGE_EXPIRED",
            Self::AccessEnded => "ACCESS_ENDED",
            Self::TxAlreadyRedeemed => "TX_ALREADY_REDEEMED",
            Self::ProofAlreadyRedeemed => "PROOF_ALREADY_REDEEMED",
            Self::InvalidProof => "INVALID_PROOF",
            Self::ChainMismatch => "CHAIN_MISMATCH",
            Self::AmountMismatch => "AMOUNT_MISMATCH",
            Self::TxUnconfirmed => "TX_UNCONFIRMED",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::MissingResourceField => "MISSING_RESOURCE_FIELD",
            Self::PaymentFailed => "PAYMENT_FAILED",
            Self::SettlementPending => "SETTLEMENT_PENDING",
            Self::TokenIssueFailed => "TOKEN_ISSUE_FAILED",
            Self::TokenIssueTimeout => "TOKEN_ISSUE_TIMEOUT",
            Self::AdapterError => "ADAPTER_ERROR",
            Self::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            Self::CallInProgress => "CALL_IN_PROGRESS",
            Self::AnswerTooLarge => "ANSWER_TOO_LARGE",
            Self::AnswerGone => "ANSWER_GONE",
            Self::RequestConflict => "REQUEST_CONFLICT",
            Self::RateLimited => "RATE_LIMITED",
            Self::QuotaUsedUp => "QUOTA_USED_UP",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::SignInRequired => "SIGN_IN_REQUIRED",
            Self::GrantRevoked => "GRANT_REVOKED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::ConfigInvalid => "CONFIG_INVALID",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ProofAlreadyRedeemed => StatusCode::OK,
            Self::TxUnconfirmed => StatusCode::ACCEPTED,
            Self::TierNotFound
            | Self::InvalidRequest
            | Self::MissingResourceField
            | Self::InvalidProof
            | Self::ChainMismatch
            | Self::AmountMismatch => StatusCode::BAD_REQUEST,
            Self::ChallengeNotFound | Self::NotFound => StatusCode::NOT_FOUND,
            Self::ChallengeExpired | Self::AccessEnded | Self::AnswerGone => StatusCode::GONE,
            Self::TxAlreadyRedeemed | Self::RequestConflict | Self::CallInProgress => {
                StatusCode::CONFLICT
            }
            Self::PaymentFailed | Self::SignInRequired | Self::QuotaUsedUp => {
                StatusCode::PAYMENT_REQUIRED
            }
            Self::SettlementPending | Self::TemporarilyUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::TokenIssueFailed | Self::AdapterError | Self::AnswerTooLarge => {
                StatusCode::BAD_GATEWAY
            }
            Self::TokenIssueTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::GrantRevoked | Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::ConfigInvalid | Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A refusal: a code, a sentence for the caller, and facts that a program can use.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// The entry in the catalogue of errors.
    pub code: Code,
    /// What is wrong and what to do next, safe to show to anyone.
    pub message: Cow<'static, str>,
    /// Facts for programs.
    pub details: Option<Value>,
}

impl Error {
    /// A refusal with a code and a sentence.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
        }
    }

    /// `INVALID_REQUEST` with this sentence.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// The answer when the worker is at fault. The cause goes to the log.
    pub fn internal() -> Self {
        Self::new(
            Code::InternalError,
            "Something went wrong on our side. Repeating the same request is safe.",
        )
    }

    /// Adds facts for programs.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The JSON body: `{"type":"Error","code","message","details"?}`.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "type": "Error",
            "code": self.code.as_str(),
            "message": self.message,
        });
        if let (Some(details), Some(members)) = (&self.details, body.as_object_mut()) {
            members.put("details", details.clone());
        }
        body
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_documented_shape() {
        let error =
            Error::new(Code::TierNotFound, "No such plan.").with_details(json!({"planId": "x"}));
        assert_eq!(
            error.body(),
            json!({"type": "Error", "code": "TIER_NOT_FOUND", "message": "No such plan.", "details": {"planId": "x"}})
        );
    }
}
