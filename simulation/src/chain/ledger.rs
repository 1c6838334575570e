//! Accounts and authorizations, with an undo line for every change, so that blocks can be taken back.

use core::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256};
use key0_core::chain::SignedAuthorization;
use key0_core::chain::base::{Log, Receipt};
use key0_core::chain::usdc::{
    AUTHORIZATION_CANCELED_TOPIC, AUTHORIZATION_USED_TOPIC, TRANSFER_TOPIC,
};

use super::AuthorizationKey;

/// How an authorization was used up.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: B256,
    /// Whether it was cancelled instead of executed.
    pub cancelled: bool,
    /// The recipient.
    pub to: Address,
    /// How much.
    pub units: u64,
}

/// Money that moved by an authorization.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: B256,
}

/// A change to take back.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    /// An account's USDC before.
    Balance(Address, u64),
    /// An authorization that was unused before.
    Use(AuthorizationKey),
    /// A receipt that did not exist before.
    Receipt(B256),
    /// The gas wallet's nonce was one less before.
    Nonce,
    /// A contract wallet that did not exist before.
    Deployment(Address),
}

/// The accounts.
#[derive(Debug)]
pub struct Ledger {
    usdc: Address,
    balances: BTreeMap<Address, u64>,
    uses: BTreeMap<AuthorizationKey, Use>,
    receipts: BTreeMap<B256, Receipt>,
    /// The block of each of the gas wallet's included nonces.
    nonces: Vec<u64>,
    /// Contract wallets, whether they exist already or not.
    wallets: BTreeSet<Address>,
    /// The contract wallets that exist.
    deployed: BTreeSet<Address>,
    /// The contract wallets that refuse, when a payment is executed, some of what they accepted in
    /// a simulated call.
    burners: BTreeSet<Address>,
    /// Accounts that USDC has blocked: it moves no money from or to them.
    blocked: BTreeSet<Address>,
    /// How often an authorization was refused for lack of money or for a blocked account.
    pub(super) refusals: RefCell<BTreeMap<AuthorizationKey, u32>>,
}

impl Ledger {
    pub(super) fn new(usdc: Address) -> Self {
        Self {
            usdc,
            balances: BTreeMap::new(),
            uses: BTreeMap::new(),
            receipts: BTreeMap::new(),
            nonces: Vec::new(),
            wallets: BTreeSet::new(),
            deployed: BTreeSet::new(),
            burners: BTreeSet::new(),
            blocked: BTreeSet::new(),
            refusals: RefCell::default(),
        }
    }

    /// All receipts.
    pub(super) fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.receipts.values()
    }

    pub(super) fn mint(&mut self, account: Address, units: u64) {
        *self.balances.entry(account).or_default() += units;
    }

    /// Blocks or unblocks an account: while it is blocked, USDC moves no money from or to it.
    pub(super) fn block(&mut self, account: Address, is_blocked: bool) {
        if is_blocked {
            self.blocked.insert(account);
        } else {
            self.blocked.remove(&account);
        }
    }

    /// Whether USDC moves no money from or to this account.
    pub fn is_blocked(&self, account: Address) -> bool {
        self.blocked.contains(&account)
    }

    /// Makes this the address of a contract wallet that does not exist yet.
    pub(super) fn add_wallet(&mut self, wallet: Address) {
        self.wallets.insert(wallet);
    }

    /// Makes this contract wallet refuse half of the payments that it has accepted in a simulated
    /// call.
    pub(super) fn add_burner(&mut self, wallet: Address) {
        self.burners.insert(wallet);
    }

    /// Whether there is code at the address.
    pub fn is_deployed(&self, account: Address) -> bool {
        self.deployed.contains(&account)
    }

    /// Creates a contract wallet, if this is one that does not exist yet.
    pub(super) fn deploy(&mut self, account: Address, undo: &mut Vec<Undo>) {
        if !self.can_answer(account) {
            self.deployed.insert(account);
            undo.push(Undo::Deployment(account));
        }
    }

    /// Whether the token could check a signature of this account: a contract wallet must exist for
    /// that.
    pub(super) fn can_answer(&self, account: Address) -> bool {
        !self.wallets.contains(&account) || self.is_deployed(account)
    }

    /// How often an authorization was refused for lack of money or for a blocked account.
    pub fn refusals(&self, key: &AuthorizationKey) -> u32 {
        self.refusals.borrow().get(key).copied().unwrap_or_default()
    }

    /// An account's USDC now.
    pub fn balance(&self, account: Address) -> u64 {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// How an authorization was used up, if it was.
    pub fn used(&self, key: &AuthorizationKey) -> Option<Use> {
        self.uses.get(key).copied()
    }

    /// The money that an authorization moved.
    pub fn transfer(&self, key: &AuthorizationKey) -> Option<Transfer> {
        let used = self.used(key).filter(|used| !used.cancelled)?;
        Some(Transfer {
            block: used.block,
            transaction: used.transaction,
        })
    }

    /// All authorizations that moved money.
    pub fn executed(&self) -> impl Iterator<Item = (&AuthorizationKey, &Use)> {
        self.uses.iter().filter(|(_, used)| !used.cancelled)
    }

    /// An included transaction's receipt.
    pub fn receipt(&self, hash: B256) -> Option<&Receipt> {
        self.receipts.get(&hash)
    }

    /// How many of the gas wallet's transactions are included up to a block.
    pub fn count(&self, block: u64) -> u64 {
        self.nonces.partition_point(|included| *included <= block) as u64
    }

    /// The gas wallet's next nonce.
    pub fn next_nonce(&self) -> u64 {
        self.nonces.len() as u64
    }

    pub(super) fn use_nonce(&mut self, block: u64, undo: &mut Vec<Undo>) {
        self.nonces.push(block);
        undo.push(Undo::Nonce);
    }

    pub(super) fn put_receipt(&mut self, receipt: Receipt, undo: &mut Vec<Undo>) {
        undo.push(Undo::Receipt(receipt.transaction));
        self.receipts.insert(receipt.transaction, receipt);
    }

    fn set_balance(&mut self, account: Address, units: u64, undo: &mut Vec<Undo>) {
        undo.push(Undo::Balance(account, self.balance(account)));
        self.balances.insert(account, units);
    }

    /// Moves money as far as there is enough.
    pub(super) fn move_units(
        &mut self,
        from: Address,
        to: Address,
        units: u64,
        undo: &mut Vec<Undo>,
    ) {
        let units = units.min(self.balance(from));
        self.set_balance(from, self.balance(from) - units, undo);
        self.set_balance(to, self.balance(to) + units, undo);
    }

    /// Executes an authorization. `None`: the contract refuses.
    pub(super) fn execute(
        &mut self,
        signed: &SignedAuthorization,
        transaction: B256,
        (block, timestamp): (u64, u64),
        undo: &mut Vec<Undo>,
    ) -> Option<[Log; 2]> {
        let authorization = signed.authorization();
        let (from, to) = (authorization.from, authorization.to);
        let key = (from, authorization.nonce);
        if self.burners.contains(&from) && authorization.nonce[0].is_multiple_of(2) {
            return None;
        }
        let used = self.uses.contains_key(&key);
        if self
            .refusal(signed, timestamp, self.balance(from), used)
            .is_some()
        {
            return None;
        }
        if !self.can_answer(from) {
            // The wallet is created and pays in one transaction, or neither happens.
            signed.deployment()?;
            self.deploy(from, undo);
        }
        self.move_units(from, to, authorization.value.saturating_to(), undo);
        self.mark(
            key,
            Use {
                block,
                transaction,
                cancelled: false,
                to,
                units: authorization.value.saturating_to(),
            },
            undo,
        );
        Some([
            self.log(
                vec![
                    AUTHORIZATION_USED_TOPIC,
                    from.into_word(),
                    authorization.nonce,
                ],
                Vec::new(),
            ),
            self.log(
                vec![TRANSFER_TOPIC, from.into_word(), to.into_word()],
                authorization.value.to_be_bytes_vec(),
            ),
        ])
    }

    /// Cancels an authorization. `None`: it is used up.
    pub(super) fn cancel(
        &mut self,
        key: AuthorizationKey,
        transaction: B256,
        block: u64,
        undo: &mut Vec<Undo>,
    ) -> Option<Log> {
        if self.uses.contains_key(&key) {
            return None;
        }
        self.mark(
            key,
            Use {
                block,
                transaction,
                cancelled: true,
                to: Address::ZERO,
                units: 0,
            },
            undo,
        );
        Some(self.log(
            vec![AUTHORIZATION_CANCELED_TOPIC, key.0.into_word(), key.1],
            Vec::new(),
        ))
    }

    fn mark(&mut self, key: AuthorizationKey, used: Use, undo: &mut Vec<Undo>) {
        undo.push(Undo::Use(key));
        self.uses.insert(key, used);
    }

    pub(super) fn log(&self, topics: Vec<B256>, data: Vec<u8>) -> Log {
        Log {
            address: self.usdc,
            topics,
            data: data.into(),
        }
    }

    pub(super) fn take_back(&mut self, undo: Vec<Undo>) {
        for change in undo.into_iter().rev() {
            match change {
                Undo::Balance(account, units) => {
                    self.balances.insert(account, units);
                }
                Undo::Use(key) => {
                    self.uses.remove(&key);
                }
                Undo::Receipt(hash) => {
                    self.receipts.remove(&hash);
                }
                Undo::Nonce => {
                    self.nonces.pop();
                }
                Undo::Deployment(wallet) => {
                    self.deployed.remove(&wallet);
                }
            }
        }
    }
}
