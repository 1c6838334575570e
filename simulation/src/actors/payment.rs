//! The payment that a buyer presents.

use key0_core::chain::SignedAuthorization;
use key0_core::offer::Offer;
use key0_core::types::B256;

/// A payment, and the offer that it was signed for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Payment {
    /// The offer.
    pub offer: Offer,
    /// What the payer signed.
    pub authorization: SignedAuthorization,
    /// The digest of the client's own name for the payment.
    pub identifier: Option<B256>,
    /// Whether the request that pays names the purchase. Its offer may say so, too.
    pub chosen: bool,
    /// Which of the two nonces of the offer's challenge was signed, by a client of the Machine Payments Protocol. `None`
    /// for a client of x402, which chooses its nonces.
    pub form: Option<usize>,
}

impl Payment {
    /// Whether the client has named the purchase, when it asked for the price or now.
    pub const fn is_chosen(&self) -> bool {
        self.chosen || self.offer.terms.chosen
    }
}
