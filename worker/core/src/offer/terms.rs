//! The terms of an offer, and the window that makes equal requests give equal offers.

use serde::{Deserialize, Serialize};

use super::digest::ExtraDigest;
use super::target::Target;
use crate::types::{Address, Network, RequestId, ResourceId, UnixSeconds, UsdcAmount};

/// The longest step by which expiry is rounded up.
const MAX_WINDOW_SECONDS: u64 = 60;
/// The path at which plans are bought.
const ACCESS_PATH: &str = "/x402/access";

/// Everything that buyer and seller agree on. Never changes once money may have moved.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The purchase.
    pub request_id: RequestId,
    /// Whether the client has named the purchase, when it asked for the price. If not, we made the id.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub chosen: bool,
    /// What is bought.
    pub target: Target,
    /// For a top-up: whether the client has shown a token of the grant.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub by_holder: bool,
    /// The resource that it opens; for a route, its path.
    pub resource: ResourceId,
    /// How long the access lasts from its delivery, or how much longer by a top-up, in seconds; 0 for a call.
    pub lifetime: u64,
    /// The digest of the plan's `extra` and limits; `None` when it has neither. Only the backend gets the `extra` itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<ExtraDigest>,
    /// The price.
    pub amount: UsdcAmount,
    /// The wallet that is paid.
    pub pay_to: Address,
    /// The chain on which the payment is made.
    pub network: Network,
    /// The beginning of the window in which the offer was made.
    pub issued_at: UnixSeconds,
    /// The end of the offer: from this second on it can no longer be paid.
    pub expires_at: UnixSeconds,
}

impl Terms {
    /// The URL that a payment is for, without a query: the x402 door's for a plan, or the route's for a call.
    pub fn url(&self, origin: &str) -> String {
        match (&self.target, self.resource.as_str()) {
            (Target::Plan(_) | Target::TopUp { .. }, _) => format!("{origin}{ACCESS_PATH}"),
            (Target::Route { .. }, path) => format!("{origin}/{}", path.trim_start_matches('/')),
        }
    }

    /// Whether both offers sell the same for the same price. Request id, wallet and times are not compared.
    pub fn sell_the_same(&self, other: &Self) -> bool {
        self.target == other.target
            && self.resource == other.resource
            && self.lifetime == other.lifetime
            && self.extra == other.extra
            && self.amount == other.amount
    }
}

/// When an offer made at `now` was issued and when it expires.
///
/// Both are the same throughout a window, so that the same request gives the same offer; the offer lasts at least `ttl`
/// seconds. Windows are a tenth of the lifetime, at most a minute.
pub fn lifetime(now: UnixSeconds, ttl: u64) -> (UnixSeconds, UnixSeconds) {
    let window = (ttl / 10).clamp(1, MAX_WINDOW_SECONDS);
    let start = UnixSeconds(now.0 - now.0 % window);
    (start, start.plus(window).plus(ttl))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_offer_never_lasts_less_than_its_ttl(now in 0..u64::MAX / 2, ttl in 1u64..86_400) {
            let (issued, expires) = lifetime(UnixSeconds(now), ttl);
            prop_assert!(issued.0 <= now);
            prop_assert!(expires.0 >= now + ttl);
            prop_assert!(expires.0 - now <= ttl + MAX_WINDOW_SECONDS);
        }

        #[test]
        fn offers_of_one_window_are_equal(window in 0..u64::MAX / 120, offset in 0u64..60) {
            let start = window * 60;
            prop_assert_eq!(lifetime(UnixSeconds(start), 900), lifetime(UnixSeconds(start + offset), 900));
        }
    }
}
