//! The seller's wallets.

use super::vars::{Vars, address};
use crate::types::Address;

const MAX_OLD_WALLETS: usize = 8;

/// The seller's wallets, which receive the money.
#[derive(Debug)]
pub struct SellerWallets {
    /// The wallet that new offers name.
    pub pay_to: Address,
    /// Earlier wallets. Offers that name one of them are still accepted.
    pub old: Vec<Address>,
}

impl SellerWallets {
    /// All wallets that an offer may name; the current one comes first.
    pub fn all(&self) -> impl Iterator<Item = Address> {
        core::iter::once(self.pay_to).chain(self.old.iter().copied())
    }

    /// Whether an offer that names this wallet is still accepted. (Whoever has the token secret can seal offers.)
    pub fn is_paid_at(&self, wallet: Address) -> bool {
        self.all().any(|own| own == wallet)
    }
}

pub(super) fn read(vars: &mut Vars<'_>) -> Option<SellerWallets> {
    let pay_to = vars.required("KEY0_WALLET_ADDRESS", address);
    let old = vars.list("KEY0_WALLET_ADDRESSES_OLD", MAX_OLD_WALLETS, address);
    pay_to.map(|pay_to| SellerWallets { pay_to, old })
}
