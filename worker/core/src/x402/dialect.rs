//! The versions of x402 in which a client can pay.

use super::header::{PAYMENT_RESPONSE, PAYMENT_SIGNATURE, X_PAYMENT, X_PAYMENT_RESPONSE};
use crate::types::Network;

/// A version of x402. A client gets its answer in the version that it uses. A 402 makes its offers in all versions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// x402, version 1.
    X402V1,
    /// x402, version 2.
    X402V2,
}

impl Dialect {
    /// All versions. If a request has payments in several versions, the first of these counts.
    pub const ALL: [Self; 2] = [Self::X402V2, Self::X402V1];

    /// The header that carries a payment.
    pub const fn payment_header(self) -> &'static str {
        match self {
            Self::X402V1 => X_PAYMENT,
            Self::X402V2 => PAYMENT_SIGNATURE,
        }
    }

    /// The header that tells the outcome of a payment.
    pub const fn response_header(self) -> &'static str {
        match self {
            Self::X402V1 => X_PAYMENT_RESPONSE,
            Self::X402V2 => PAYMENT_RESPONSE,
        }
    }

    /// The value of `x402Version` in the objects of this version.
    pub(super) const fn x402_version(self) -> u32 {
        match self {
            Self::X402V1 => 1,
            Self::X402V2 => 2,
        }
    }

    /// The name of a chain in this version.
    pub(super) const fn name_of(self, network: Network) -> &'static str {
        match self {
            Self::X402V1 => network.v1_name(),
            Self::X402V2 => network.caip2(),
        }
    }
}
