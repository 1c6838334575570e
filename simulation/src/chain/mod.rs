//! The model chain: USDC with EIP-3009, one gas wallet, a pool of pending transactions, blocks that can be replaced.

mod blocks;
mod ledger;
mod pool;
mod refusal;
mod transaction;
mod transfers;
mod view;

pub use blocks::{BLOCK_MILLIS, Block, Mood};
pub use ledger::{Ledger, Transfer, Use};
pub use pool::{Entry, Refused};
pub use transaction::{Action, Transaction, WalletTransaction};
pub use transfers::PlainTransfer;
pub use view::{Nodes, View};

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use key0_core::chain::SignedAuthorization;
use key0_core::chain::settlement_call::settlement_call;
use key0_core::types::Network;

/// A payer and one of its nonces: what the contract knows an authorization by.
pub type AuthorizationKey = (Address, B256);

/// The chain.
#[derive(Debug)]
pub struct ModelChain {
    network: Network,
    nodes: Nodes,
    wallet: Address,
    ledger: Ledger,
    blocks: Vec<Block>,
    pool: pool::Pool,
    /// Every authorization that was ever signed, by its call: the model's stand-in for signature recovery.
    signed: BTreeMap<Bytes, SignedAuthorization>,
    /// Calls of the gas wallet that no block includes.
    left_out: BTreeSet<Bytes>,
    hashes: u64,
    replacements: u64,
    /// Number and base fee of each block that was replaced.
    replaced: Vec<(u64, u128)>,
}

impl ModelChain {
    /// A chain with one block.
    pub fn new(network: Network, nodes: Nodes, wallet: Address, now_millis: u64) -> Self {
        Self {
            network,
            nodes,
            wallet,
            ledger: Ledger::new(network.usdc()),
            blocks: vec![Block::genesis(now_millis / 1000)],
            pool: pool::Pool::default(),
            signed: BTreeMap::new(),
            left_out: BTreeSet::new(),
            hashes: 0,
            replacements: 0,
            replaced: Vec::new(),
        }
    }

    /// The accounts.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Gives an account USDC.
    pub fn mint(&mut self, account: Address, units: u64) {
        self.ledger.mint(account, units);
    }

    /// Blocks or unblocks an account: while it is blocked, USDC moves no money from or to it.
    pub fn block(&mut self, account: Address, is_blocked: bool) {
        self.ledger.block(account, is_blocked);
    }

    /// Remembers that this signature is genuine.
    pub fn learn(&mut self, signed: &SignedAuthorization) {
        self.signed.insert(self.call_of(signed), signed.clone());
    }

    /// The call that settles a payment.
    pub(crate) fn call_of(&self, signed: &SignedAuthorization) -> Bytes {
        settlement_call(signed, self.network).input
    }

    /// Makes this the address of a contract wallet that does not exist yet.
    pub fn add_wallet(&mut self, wallet: Address) {
        self.ledger.add_wallet(wallet);
    }

    /// From now on no block includes this call of the gas wallet.
    pub fn leave_out(&mut self, call: Bytes) {
        self.left_out.insert(call);
    }

    /// Makes this contract wallet refuse half of the payments that it has accepted in a simulated call.
    pub fn add_burner(&mut self, wallet: Address) {
        self.ledger.add_burner(wallet);
    }

    /// The genuine authorization behind a call.
    pub fn genuine(&self, call: &Bytes) -> Option<&SignedAuthorization> {
        self.signed.get(call)
    }

    /// Takes a third party's transaction. Its nonce does not matter here.
    pub fn submit_foreign(&mut self, action: Action) -> B256 {
        let hash = self.next_hash();
        self.pool.add_foreign(hash, action);
        hash
    }

    fn next_hash(&mut self) -> B256 {
        self.hashes += 1;
        keccak256(self.hashes.to_be_bytes())
    }

    /// The chain's address of USDC.
    pub fn usdc(&self) -> Address {
        self.network.usdc()
    }
}
