//! The ways in which a payment is spoken of.

use super::header::{PAYMENT_RESPONSE, PAYMENT_SIGNATURE, X_PAYMENT, X_PAYMENT_RESPONSE};
use crate::types::Network;

/// What a client speaks, and is answered in. One 402 makes its offers in all of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// x402, version 1.
    X402V1,
    /// x402, version 2.
    X402V2,
}

impl Dialect {
    /// All of them. A request with payments in several is read in the first.
    pub const ALL: [Self; 2] = [Self::X402V2, Self::X402V1];

    /// The header that carries a payment.
    pub const fn payment_header(self) -> &'static str {
        match self {
            Self::X402V1 => X_PAYMENT,
            Self::X402V2 => PAYMENT_SIGNATURE,
        }
    }

    /// The header that says what became of it.
    pub const fn response_header(self) -> &'static str {
        match self {
            Self::X402V1 => X_PAYMENT_RESPONSE,
            Self::X402V2 => PAYMENT_RESPONSE,
        }
    }

    /// The `x402Version` of its objects.
    pub(super) const fn x402_version(self) -> u32 {
        match self {
            Self::X402V1 => 1,
            Self::X402V2 => 2,
        }
    }

    /// The name of a chain.
    pub(super) const fn name_of(self, network: Network) -> &'static str {
        match self {
            Self::X402V1 => network.v1_name(),
            Self::X402V2 => network.caip2(),
        }
    }
}
