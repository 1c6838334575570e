//! The settlement routes, which are the ways to get buyers' payments included: facilitators in their order, then the
//! gas wallet. (A route of the catalog is another thing.)
//!
//! Trying one settlement route after the other is safe, whatever the earlier ones have done: all of them get the same
//! authorization, and the USDC contract executes it at most once.

use super::facilitator::Facilitator;
use crate::types::Address;
use crate::types::WalletKey;

/// One settlement route: a way to get a payment included.
#[derive(Clone, Debug)]
pub enum Route {
    /// A facilitator broadcasts the payment.
    Facilitator(Facilitator),
    /// Our own wallet broadcasts the payment.
    GasWallet(WalletKey),
}

/// All routes, in the order in which they are tried. There is at least one.
#[derive(Clone, Debug)]
pub struct Settlement {
    first: Route,
    more: Vec<Route>,
}

impl Settlement {
    /// The facilitators, then the gas wallet. `None` when there is neither.
    pub fn new(facilitators: Vec<Facilitator>, gas_wallet: Option<WalletKey>) -> Option<Self> {
        let mut routes = facilitators
            .into_iter()
            .map(Route::Facilitator)
            .chain(gas_wallet.map(Route::GasWallet));
        Some(Self {
            first: routes.next()?,
            more: routes.collect(),
        })
    }

    /// The route with this number. After the last route, the numbers go on with the first one again.
    pub fn route(&self, number: u32) -> &Route {
        let at = usize::try_from(number).unwrap_or_default() % self.len();
        at.checked_sub(1)
            .and_then(|at| self.more.get(at))
            .unwrap_or(&self.first)
    }

    /// Whether the route with this number is the last one, after which all routes are tried again.
    pub fn is_last(&self, number: u32) -> bool {
        let at = usize::try_from(number).unwrap_or_default() % self.len();
        at.saturating_add(1) == self.len()
    }

    /// All routes, in their order.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        core::iter::once(&self.first).chain(&self.more)
    }

    /// The gas wallet, if there is one.
    pub fn gas_wallet(&self) -> Option<&WalletKey> {
        self.routes().find_map(|route| match route {
            Route::GasWallet(key) => Some(key),
            Route::Facilitator(_) => None,
        })
    }

    /// The gas wallet, if it is the only route.
    pub fn only_gas_wallet(&self) -> Option<Address> {
        match &self.first {
            Route::GasWallet(key) => Some(key.address()),
            Route::Facilitator(_) => None,
        }
    }

    fn len(&self) -> usize {
        self.more.len().saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> WalletKey {
        WalletKey::from_hex(&format!("{:064x}", 9)).unwrap()
    }

    fn facilitator(url: &str) -> Facilitator {
        Facilitator::new(url.parse().unwrap(), None)
    }

    #[test]
    fn without_any_route_there_is_no_settlement() {
        assert!(Settlement::new(vec![], None).is_none());
    }

    #[test]
    fn facilitators_come_in_their_order_then_the_gas_wallet_then_all_of_them_again() {
        let both = vec![
            facilitator("https://a.example"),
            facilitator("https://b.example"),
        ];
        let settlement = Settlement::new(both, Some(key())).unwrap();
        let name = |number| match settlement.route(number) {
            Route::Facilitator(facilitator) => facilitator.url().host().to_owned(),
            Route::GasWallet(_) => "gas wallet".to_owned(),
        };
        let names: Vec<_> = (0..4).map(name).collect();
        assert_eq!(names, ["a.example", "b.example", "gas wallet", "a.example"]);
        let last: Vec<_> = (0..6).map(|number| settlement.is_last(number)).collect();
        assert_eq!(last, [false, false, true, false, false, true]);
        assert_eq!(settlement.only_gas_wallet(), None);
        let alone = Settlement::new(vec![], Some(key())).unwrap();
        assert_eq!(alone.only_gas_wallet(), Some(key().address()));
        assert!((0..3).all(|number| alone.is_last(number)));
    }
}
