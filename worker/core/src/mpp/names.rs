//! The names that the protocol gives to headers, methods and media types.

/// The header in which a client says what it can pay with.
pub const ACCEPT_PAYMENT: &str = "accept-payment";
/// The header with the credential, where `Authorization` has another use.
pub const PAYMENT_AUTHORIZATION: &str = "payment-authorization";
/// The header with the receipt.
pub const PAYMENT_RECEIPT: &str = "payment-receipt";
/// The payment method: an EVM chain.
pub const METHOD: &str = "evm";
/// The intent: one payment.
pub const INTENT: &str = "charge";
/// The media type of a problem's description (RFC 9457).
pub const MEDIA_TYPE: &str = "application/problem+json";
/// The form of payment that is taken: an authorization that the seller broadcasts.
pub(super) const CREDENTIAL_TYPE: &str = "authorization";

/// The header that a credential comes in. The challenge says which one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// `Authorization`, which is meant where the challenge names no header.
    Authorization,
    /// `Payment-Authorization`, so that `Authorization` stays free for another scheme.
    PaymentAuthorization,
}

impl Field {
    /// The challenge's parameter `header`, if it has one.
    pub const fn parameter(self) -> Option<&'static str> {
        match self {
            Self::Authorization => None,
            Self::PaymentAuthorization => Some("Payment-Authorization"),
        }
    }
}
