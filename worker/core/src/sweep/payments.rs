//! What a transaction pays to the seller's wallets, under the keys by which the payers' books know it.

use alloy_primitives::{Address, B256};

use crate::chain::base::{Log, Receipt};
use crate::chain::transfer::booking_key;
use crate::chain::usdc::{AUTHORIZATION_USED_TOPIC, TRANSFER_TOPIC};

/// Each payment's payer, and its key in that payer's book: the nonce of the authorization that it follows, or else its own
/// place.
pub(super) fn payments(
    receipt: &Receipt,
    usdc: Address,
    wallets: &[Address],
) -> Vec<(Address, B256)> {
    let mut found = Vec::new();
    if !receipt.success {
        return found;
    }
    let mut used: Option<B256> = None;
    for (at, log) in receipt.logs.iter().enumerate() {
        if log.address != usdc {
            continue;
        }
        let before = used.take();
        if let [topic, _, nonce] = log.topics.as_slice()
            && *topic == AUTHORIZATION_USED_TOPIC
        {
            used = Some(*nonce);
            continue;
        }
        let Some(from) = payer(log, wallets) else {
            continue;
        };
        let key = match (before, u32::try_from(at)) {
            (Some(nonce), _) => nonce,
            (None, Ok(at)) => booking_key(receipt.transaction, at),
            (None, Err(_)) => continue,
        };
        found.push((from, key));
    }
    found
}

/// Who pays, if this is a transfer to one of the wallets.
fn payer(log: &Log, wallets: &[Address]) -> Option<Address> {
    let [topic, from, to] = log.topics.as_slice() else {
        return None;
    };
    let is_ours = *topic == TRANSFER_TOPIC && wallets.contains(&Address::from_word(*to));
    is_ours.then(|| Address::from_word(*from))
}
