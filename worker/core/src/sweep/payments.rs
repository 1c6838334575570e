//! Reads the payments of a transaction to the seller's wallets, with their keys in the payers' books.

use alloy_primitives::{Address, B256};

use crate::chain::base::{Log, Receipt};
use crate::chain::transfer::booking_key;
use crate::chain::usdc::{AUTHORIZATION_USED_TOPIC, TRANSFER_TOPIC};

/// Each payment's payer, and its key in that payer's book: the nonce of the authorization whose event stands before the
/// transfer, or else the key made of the transfer's log index.
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

/// The payer, if this is a transfer to one of the wallets.
fn payer(log: &Log, wallets: &[Address]) -> Option<Address> {
    let [topic, from, to] = log.topics.as_slice() else {
        return None;
    };
    let is_ours = *topic == TRANSFER_TOPIC && wallets.contains(&Address::from_word(*to));
    is_ours.then(|| Address::from_word(*from))
}
