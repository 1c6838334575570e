//! The chain's blocks: which transactions a block includes, its base fee, and how a reorganisation replaces the newest
//! blocks.

use alloy_primitives::B256;
use key0_core::chain::base::{Completeness, Receipt};

use super::ModelChain;
use super::ledger::Undo;
use super::pool::Entry;
use super::transaction::{Action, Transaction, WalletTransaction};
use crate::random::Random;

/// The time between blocks.
pub const BLOCK_MILLIS: u64 = 2_000;
/// The gas that a transfer by authorization uses.
const TRANSFER_GAS: u64 = 60_000;
const LEAST_BASE_FEE: u128 = 1_000_000;
const MOST_BASE_FEE: u128 = 50_000_000_000;

/// One block.
#[derive(Debug)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time in seconds.
    pub timestamp: u64,
    /// Its base fee in wei.
    pub base_fee: u128,
    transactions: Vec<Transaction>,
    pub(super) undo: Vec<Undo>,
}

impl Block {
    pub(super) fn genesis(timestamp: u64) -> Self {
        Self {
            number: 1_000,
            hash: B256::repeat_byte(0xb0),
            timestamp,
            base_fee: 5_000_000,
            transactions: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// The transactions that the block includes.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// The hashes of the transactions that the block includes.
    pub fn hashes(&self) -> Vec<B256> {
        self.transactions.iter().map(Transaction::hash).collect()
    }
}

/// How the next block is made: which transactions it leaves out, and whether its base fee multiplies.
#[derive(Clone, Copy, Debug)]
pub struct Mood {
    /// The chance, per thousand, that a block leaves a transaction out.
    pub leaves_out: u64,
    /// Whether the base fee multiplies.
    pub surge: bool,
}

impl ModelChain {
    /// All blocks, oldest first.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// How often the newest blocks were replaced.
    pub fn replacements(&self) -> u64 {
        self.replacements
    }

    /// The highest base fee of the newest blocks and of those that they replaced: a node may still have reported a replaced
    /// block.
    pub fn highest_fee(&self, blocks: u64) -> u128 {
        let from = self.head().number.saturating_sub(blocks);
        let made = self.blocks.iter().rev();
        let made = made.map(|block| (block.number, block.base_fee));
        let made = made.take_while(|(number, _)| *number > from);
        let replaced = self.replaced.iter().copied();
        let replaced = replaced.filter(|(number, _)| *number > from);
        made.chain(replaced).map(|(_, fee)| fee).max().unwrap_or(0)
    }

    /// The newest block.
    pub fn head(&self) -> &Block {
        &self.blocks[self.blocks.len() - 1]
    }

    /// Takes a transaction of the gas wallet.
    pub fn submit(&mut self, transaction: WalletTransaction) -> Entry {
        self.pool.add(transaction, self.ledger.next_nonce())
    }

    /// The gas wallet's pending transaction with this nonce.
    pub fn waits_at(&self, nonce: u64) -> Option<B256> {
        self.pool.wallet(nonce).map(|waiting| waiting.hash)
    }

    /// The gas wallet's next nonce, counting pending transactions.
    pub fn pending_nonce(&self) -> u64 {
        self.pool.pending_nonce(self.ledger.next_nonce())
    }

    /// How many transactions are pending.
    pub fn waiting(&self) -> usize {
        self.pool.foreign_len() + self.pool.wallet_len()
    }

    /// The network forgets a pending transaction of the wallet.
    pub fn drop_one(&mut self, random: &Random) -> Option<B256> {
        self.pool.drop_one(random)
    }

    /// Adds a block.
    pub fn mine(&mut self, timestamp: u64, mood: Mood, random: &Random) {
        let head = self.head();
        let base_fee = if mood.surge {
            head.base_fee
                .saturating_mul(u128::from(random.range(3, 20)))
        } else {
            head.base_fee * u128::from(random.range(900, 1_080)) / 1_000
        };
        self.begin_block(timestamp, base_fee.clamp(LEAST_BASE_FEE, MOST_BASE_FEE));
        let foreign = self.pool.foreign_len();
        for _ in 0..foreign {
            self.include_wallet(mood, 300, random);
            if let Some((hash, action)) = self.pool.take_foreign(random) {
                if random.chance(mood.leaves_out) {
                    self.pool.add_foreign(hash, action);
                } else {
                    self.include(Transaction::Foreign { hash, action });
                }
            }
        }
        while self.include_wallet(mood, 1_000, random) {}
        self.pool.forget_below(self.ledger.next_nonce());
    }

    fn begin_block(&mut self, timestamp: u64, base_fee: u128) {
        let head = self.head();
        let (number, timestamp) = (head.number + 1, timestamp.max(head.timestamp + 1));
        let hash = self.next_hash();
        self.blocks.push(Block {
            number,
            hash,
            timestamp,
            base_fee,
            transactions: Vec::new(),
            undo: Vec::new(),
        });
    }

    /// The receipt that a pending transaction would have if the next block held nothing else. Nodes that report blocks
    /// before they are made show such receipts. `None` if the transaction is not pending or cannot be next.
    pub fn preview(&mut self, hash: B256) -> Option<Receipt> {
        let waiting = self.pool.find(hash, self.ledger.next_nonce())?;
        let (timestamp, base_fee) = (self.head().timestamp + 2, self.head().base_fee);
        let refusals = self.ledger.refusals.borrow().clone();
        self.begin_block(timestamp, base_fee);
        self.include(waiting);
        let receipt = self.ledger.receipt(hash).cloned();
        if let Some(block) = self.blocks.pop() {
            self.ledger.take_back(block.undo);
        }
        self.ledger.refusals.replace(refusals);
        receipt
    }

    /// Includes the wallet's next transaction if its fee is high enough and chance allows it.
    fn include_wallet(&mut self, mood: Mood, chance: u64, random: &Random) -> bool {
        let base_fee = self.head().base_fee;
        let nonce = self.ledger.next_nonce();
        let pays = self
            .pool
            .wallet(nonce)
            .is_some_and(|next| next.max_fee >= base_fee && !self.left_out.contains(&next.input));
        if !pays || !random.chance(chance) || random.chance(mood.leaves_out) {
            return false;
        }
        let Some(transaction) = self.pool.take_wallet(nonce) else {
            return false;
        };
        self.include(Transaction::Wallet(transaction));
        true
    }

    fn include(&mut self, transaction: Transaction) {
        let Block {
            number,
            timestamp,
            hash: block_hash,
            ..
        } = *self.head();
        let hash = transaction.hash();
        let mut undo = Vec::new();
        let ledger = &mut self.ledger;
        let mut logs = Vec::new();
        let success = match &transaction {
            Transaction::Wallet(wallet) => {
                ledger.use_nonce(number, &mut undo);
                let genuine = self.signed.get(&wallet.input);
                let executed = genuine
                    .filter(|_| wallet.gas_limit >= TRANSFER_GAS)
                    .and_then(|signed| {
                        ledger.execute(signed, hash, (number, timestamp), &mut undo)
                    });
                logs.extend(executed.into_iter().flatten());
                !logs.is_empty()
            }
            Transaction::Foreign { action, .. } => match action {
                Action::Execute(all) => {
                    for signed in all {
                        logs.extend(
                            ledger
                                .execute(signed, hash, (number, timestamp), &mut undo)
                                .into_iter()
                                .flatten(),
                        );
                    }
                    !logs.is_empty()
                }
                Action::Cancel(key) => {
                    logs.extend(ledger.cancel(*key, hash, number, &mut undo));
                    !logs.is_empty()
                }
                Action::Move { from, to, units } => {
                    ledger.move_units(*from, *to, *units, &mut undo);
                    true
                }
                Action::Pay(all) => {
                    logs.extend(ledger.pay(all, &mut undo).into_iter().flatten());
                    !logs.is_empty()
                }
                Action::StealNonce => {
                    ledger.use_nonce(number, &mut undo);
                    true
                }
            },
        };
        let receipt = Receipt {
            transaction: hash,
            block: number,
            block_hash,
            success,
            logs,
            completeness: Completeness::Complete,
        };
        ledger.put_receipt(receipt, &mut undo);
        if let Some(block) = self.blocks.last_mut() {
            block.undo.extend(undo);
            block.transactions.push(transaction);
        }
    }

    /// Replaces the newest `depth` blocks. Their transactions become pending again, or are forgotten.
    pub fn reorganise(&mut self, depth: usize, mood: Mood, random: &Random) {
        self.replacements += 1;
        let depth = depth.min(self.blocks.len() - 1);
        let mut times = Vec::new();
        for _ in 0..depth {
            let Some(block) = self.blocks.pop() else {
                break;
            };
            times.push(block.timestamp);
            self.replaced.push((block.number, block.base_fee));
            self.ledger.take_back(block.undo);
            for transaction in block.transactions.into_iter().rev() {
                let forgotten = matches!(transaction, Transaction::Wallet(_)) && random.chance(100);
                if !forgotten {
                    self.pool.restore(transaction);
                }
            }
        }
        for timestamp in times.into_iter().rev() {
            self.mine(timestamp, mood, random);
        }
    }

    /// A node's gas estimate for a transfer.
    pub fn estimate(&self) -> u64 {
        TRANSFER_GAS
    }

    /// The wallet.
    pub fn wallet(&self) -> alloy_primitives::Address {
        self.wallet
    }
}
