//! How paid purchases that cannot be delivered are refunded.

use super::vars::{Vars, private_key};
use crate::types::{Address, WalletKey};

/// How paid purchases that cannot be delivered are refunded.
#[derive(Debug)]
pub struct RefundSettings {
    /// The seller's own wallet, if its key is set: it sends back the money that it received.
    pub wallet: Option<WalletKey>,
    /// The age at which such a purchase is refunded, in milliseconds.
    pub min_age_millis: u64,
    /// The pause after a refund's first failure, in milliseconds.
    pub interval_millis: u64,
}

pub(super) fn read(vars: &mut Vars<'_>, pay_to: Option<Address>) -> Option<RefundSettings> {
    let wallet = vars.optional("KEY0_WALLET_PRIVATE_KEY", private_key);
    let wallet = wallet.into_option();
    let min_age_millis = vars.number("REFUND_MIN_AGE_MS", 30_000, 0, 30 * 86_400_000);
    let interval_millis = vars.number("REFUND_INTERVAL_MS", 15_000, 100, 86_400_000);
    if let (Some(wallet), Some(pay_to)) = (&wallet, pay_to)
        && wallet.address() != pay_to
    {
        vars.problem(
            "KEY0_WALLET_PRIVATE_KEY",
            "must be the key of KEY0_WALLET_ADDRESS",
        );
    }
    Some(RefundSettings {
        wallet,
        min_age_millis: min_age_millis?,
        interval_millis: interval_millis?,
    })
}
