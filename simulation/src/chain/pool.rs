//! Transactions that wait for a block.

use std::collections::BTreeMap;

use alloy_primitives::B256;

use super::transaction::{Action, Transaction, WalletTransaction};
use crate::random::Random;

/// Why a node does not take a transaction.
pub type Refused = &'static str;

/// What became of a transaction that was handed over.
pub type Entry = Result<(), Refused>;

#[derive(Debug, Default)]
pub(super) struct Pool {
    /// The gas wallet's pending transactions, by nonce.
    wallet: BTreeMap<u64, WalletTransaction>,
    foreign: Vec<(B256, Action)>,
}

impl Pool {
    pub(super) fn add_foreign(&mut self, hash: B256, action: Action) {
        self.foreign.push((hash, action));
    }

    /// Takes a transaction of the gas wallet, or replaces the one with its nonce if the fees rise by a tenth.
    pub(super) fn add(&mut self, transaction: WalletTransaction, next_nonce: u64) -> Entry {
        if transaction.nonce < next_nonce {
            return Err("nonce too low");
        }
        if let Some(known) = self.wallet.get(&transaction.nonce) {
            if known.hash == transaction.hash {
                return Err("already known");
            }
            let enough = |old: u128, new: u128| new >= old + old / 10;
            if !enough(known.max_fee, transaction.max_fee)
                || !enough(known.priority_fee, transaction.priority_fee)
            {
                return Err("replacement transaction underpriced");
            }
        }
        self.wallet.insert(transaction.nonce, transaction);
        Ok(())
    }

    /// Makes a transaction pending again after its block was replaced.
    pub(super) fn restore(&mut self, transaction: Transaction) {
        match transaction {
            Transaction::Wallet(transaction) => {
                self.wallet.entry(transaction.nonce).or_insert(transaction);
            }
            Transaction::Foreign { hash, action } => self.foreign.push((hash, action)),
        }
    }

    /// The wallet's next nonce, counting pending transactions without a gap.
    pub(super) fn pending_nonce(&self, mut next_nonce: u64) -> u64 {
        while self.wallet.contains_key(&next_nonce) {
            next_nonce += 1;
        }
        next_nonce
    }

    /// A pending transaction that can be included next.
    pub(super) fn find(&self, hash: B256, next_nonce: u64) -> Option<Transaction> {
        let next = self.wallet(next_nonce).filter(|next| next.hash == hash);
        let next = next.cloned().map(Transaction::Wallet);
        next.or_else(|| {
            let (hash, action) = self.foreign.iter().find(|(other, _)| *other == hash)?;
            let (hash, action) = (*hash, action.clone());
            Some(Transaction::Foreign { hash, action })
        })
    }

    pub(super) fn wallet(&self, nonce: u64) -> Option<&WalletTransaction> {
        self.wallet.get(&nonce)
    }

    pub(super) fn take_wallet(&mut self, nonce: u64) -> Option<WalletTransaction> {
        self.wallet.remove(&nonce)
    }

    pub(super) fn forget_below(&mut self, next_nonce: u64) {
        self.wallet = self.wallet.split_off(&next_nonce);
    }

    /// Forgets one of the wallet's transactions.
    pub(super) fn drop_one(&mut self, random: &Random) -> Option<B256> {
        let nonces: Vec<u64> = self.wallet.keys().copied().collect();
        if nonces.is_empty() {
            return None;
        }
        self.wallet
            .remove(&random.pick(&nonces))
            .map(|dropped| dropped.hash)
    }

    pub(super) fn take_foreign(&mut self, random: &Random) -> Option<(B256, Action)> {
        if self.foreign.is_empty() {
            return None;
        }
        let at = random.range(0, self.foreign.len() as u64 - 1) as usize;
        Some(self.foreign.swap_remove(at))
    }

    pub(super) fn foreign_len(&self) -> usize {
        self.foreign.len()
    }

    pub(super) fn wallet_len(&self) -> usize {
        self.wallet.len()
    }
}
