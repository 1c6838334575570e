//! How much the gas of a payment may cost, compared with the price that is paid.

use crate::types::{U256, UsdcAmount};

const WEI_PER_ETHER: u128 = 1_000_000_000_000_000_000;
const UNITS_PER_DOLLAR: u64 = 1_000_000;

/// How much the gas of a payment may cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GasLimit {
    /// The most that the gas may cost, in percent of the price.
    pub max_share_percent: u64,
    /// The assumed price of an ether, in whole dollars.
    pub dollars_per_ether: u64,
}

impl GasLimit {
    /// Whether gas that costs `wei` is too expensive for something of this price.
    pub(crate) fn is_exceeded(self, wei: U256, price: UsdcAmount) -> bool {
        let units_per_ether =
            U256::from(self.dollars_per_ether).saturating_mul(U256::from(UNITS_PER_DOLLAR));
        let cost = wei.saturating_mul(units_per_ether) / U256::from(WEI_PER_ETHER);
        let most = price
            .to_u256()
            .saturating_mul(U256::from(self.max_share_percent));
        cost.saturating_mul(U256::from(100_u64)) > most
    }
}
