//! What a buyer presents.

use key0_core::book::TargetKey;
use key0_core::chain::SignedAuthorization;
use key0_core::offer::Offer;
use key0_core::purchase::{Pay, Sale, Sold};
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
    /// Whether the client has named the purchase.
    pub chosen: bool,
}

impl Payment {
    /// As the door hands it over: for what the client names, and with what is sold, if the offer stands.
    pub(super) fn hand_over(&self, target: TargetKey, sold: Option<Sold>) -> Pay {
        Pay {
            request_id: self.offer.terms.request_id.clone(),
            authorization: self.authorization.clone(),
            identifier: self.identifier,
            target,
            sale: sold.map(|sold| Sale {
                offer: self.offer.clone(),
                sold,
                issuer: "https://shop.example".to_owned(),
                chosen: self.chosen,
            }),
        }
    }
}
