//! Ordinary transfers: money that its owner sends without anybody's signature but that of the transaction.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use key0_core::chain::base::Log;
use key0_core::chain::usdc::{AUTHORIZATION_USED_TOPIC, TRANSFER_TOPIC};

use super::ledger::{Ledger, Undo};

/// One transfer of a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlainTransfer {
    /// From whom.
    pub from: Address,
    /// To whom.
    pub to: Address,
    /// How much.
    pub units: u64,
}

impl Ledger {
    /// Makes all of these transfers, or none. `None`: the transaction reverts.
    pub(super) fn pay(&mut self, all: &[PlainTransfer], undo: &mut Vec<Undo>) -> Option<Vec<Log>> {
        let mut wanted: BTreeMap<Address, u64> = BTreeMap::new();
        for transfer in all {
            *wanted.entry(transfer.from).or_default() += transfer.units;
        }
        let can_pay = wanted
            .iter()
            .all(|(from, units)| self.balance(*from) >= *units);
        let is_blocked = |transfer: &PlainTransfer| {
            self.is_blocked(transfer.from) || self.is_blocked(transfer.to)
        };
        if !can_pay || all.iter().any(is_blocked) {
            return None;
        }
        let logs = all.iter().map(|transfer| {
            // An account that sends a transaction exists.
            self.deploy(transfer.from, undo);
            self.move_units(transfer.from, transfer.to, transfer.units, undo);
            let (from, to) = (transfer.from.into_word(), transfer.to.into_word());
            let units = U256::from(transfer.units).to_be_bytes_vec();
            self.log(vec![TRANSFER_TOPIC, from, to], units)
        });
        Some(logs.collect())
    }

    /// The ordinary transfer at this place of a transaction, read without the product's help.
    pub fn plain(&self, transaction: B256, place: usize) -> Option<PlainTransfer> {
        let receipt = self
            .receipt(transaction)
            .filter(|receipt| receipt.success)?;
        let is_authorized = place
            .checked_sub(1)
            .and_then(|before| receipt.logs.get(before))
            .is_some_and(|log| log.topics[0] == AUTHORIZATION_USED_TOPIC);
        let log = receipt.logs.get(place).filter(|_| !is_authorized)?;
        (log.topics[0] == TRANSFER_TOPIC).then(|| PlainTransfer {
            from: Address::from_word(log.topics[1]),
            to: Address::from_word(log.topics[2]),
            units: U256::from_be_slice(&log.data).saturating_to(),
        })
    }

    /// All ordinary transfers of a transaction with their places.
    pub fn all_plain(&self, transaction: B256) -> Vec<(usize, PlainTransfer)> {
        let count = self
            .receipt(transaction)
            .map_or(0, |receipt| receipt.logs.len());
        (0..count)
            .filter_map(|place| Some((place, self.plain(transaction, place)?)))
            .collect()
    }
}
