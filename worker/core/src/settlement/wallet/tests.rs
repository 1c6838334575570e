//! Tests of the pipeline, with a small wallet store and a node whose answers a test chooses.

mod care;
mod cost;
mod given_up;
mod nonces;
mod operator;
mod submit;

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use futures_util::FutureExt as _;

use super::care::FINAL_MILLIS;
use super::*;
use crate::chain::ChainError;
use crate::chain::base::{Head, Receipt, SendOutcome};
use crate::pauses::{NOT_INCLUDED, STUCK};
use crate::purchase::test_support::{NOW, signed};
use crate::testing::{ScriptedChain, receipt};
use crate::types::{Network, UnixMillis, UnixSeconds, WalletKey};

/// Everything outside the wallet, in one place. No call to it ever waits.
struct Bench {
    key: WalletKey,
    now: Cell<UnixMillis>,
    jobs: RefCell<BTreeMap<JobKey, Sent>>,
    /// Jobs that are done, each with its hashes and the time when it was closed.
    done: RefCell<BTreeMap<JobKey, (Vec<B256>, UnixMillis)>>,
    floor: Cell<Option<u64>>,
    alarm: Cell<Option<UnixMillis>>,
    node: RefCell<Node>,
}

struct Node {
    included: u64,
    pending: u64,
    base_fee: u128,
    balance: U256,
    /// All included transactions, each with its block.
    receipts: BTreeMap<B256, u64>,
    head: u64,
    /// The hash of the newest block. Every receipt names a block whose hash is zero.
    head_hash: B256,
    sent: Vec<Bytes>,
    reachable: bool,
    /// Whether included transactions revert.
    reverts: bool,
    /// How long the node takes to answer with the newest block.
    slowness: u64,
    data_fee: Result<U256, ChainError>,
    /// Whether the node answers questions for receipts. `receipts_asked` counts these questions.
    has_receipts: bool,
    receipts_asked: usize,
    /// The node's refusal of every transaction, if it takes none.
    refusal: Option<&'static str>,
}

impl Bench {
    fn new() -> Self {
        Self {
            key: WalletKey::from_hex(&format!("{:064x}", 0x9a5)).unwrap(),
            now: Cell::new(NOW),
            jobs: RefCell::default(),
            done: RefCell::default(),
            floor: Cell::default(),
            alarm: Cell::default(),
            node: RefCell::new(Node {
                included: 5,
                pending: 5,
                base_fee: 1_000_000_000,
                balance: U256::from(10u64.pow(18)),
                receipts: BTreeMap::new(),
                head: 100,
                head_hash: B256::ZERO,
                sent: Vec::new(),
                reachable: true,
                reverts: false,
                slowness: 0,
                data_fee: Ok(U256::ZERO),
                has_receipts: true,
                receipts_asked: 0,
                refusal: None,
            }),
        }
    }

    fn submit(&self, wallet: &GasWallet, key: &str) -> Result<WalletReply, WalletFault> {
        let command = WalletCommand::Submit {
            key: JobKey(key.to_owned()),
            job: Box::new(Job {
                authorization: signed(1),
                gas_limit: 100_000,
                not_after: UnixSeconds(1_800_000_290),
                sender: None,
            }),
        };
        wallet.execute(self, command).now_or_never().unwrap()
    }

    fn hashes(&self, wallet: &GasWallet, key: &str) -> Vec<B256> {
        match self.submit(wallet, key) {
            Ok(WalletReply::Sent { hashes }) => hashes,
            other => panic!("{other:?}"),
        }
    }

    fn wake(&self, wallet: &GasWallet) {
        wallet.wake(self).now_or_never().unwrap().unwrap();
    }

    fn pass(&self, millis: u64) {
        self.now.set(self.now.get().plus(millis));
    }

    fn job(&self, key: &str) -> Sent {
        self.jobs.borrow()[&JobKey(key.to_owned())].clone()
    }

    fn nonces(&self) -> Vec<u64> {
        let mut nonces: Vec<_> = self.jobs.borrow().values().map(Sent::first_nonce).collect();
        nonces.sort_unstable();
        nonces
    }

    /// All nonces for which a job was signed, in their order.
    fn nonces_of(&self, key: &str) -> Vec<u64> {
        let job = self.job(key);
        job.versions.iter().map(|version| version.nonce).collect()
    }

    /// The hashes of a job, even of one that is done.
    fn job_hashes(&self, key: &str) -> Vec<B256> {
        let hashes = self.hashes_of(&JobKey(key.to_owned()));
        hashes.unwrap_or_default()
    }

    fn hashes_of(&self, key: &JobKey) -> Option<Vec<B256>> {
        WalletStore::hashes(self, key).unwrap()
    }

    fn is_open(&self, key: &str) -> bool {
        self.jobs.borrow().contains_key(&JobKey(key.to_owned()))
    }

    /// Lets time pass, with an alarm whenever one is due.
    fn live(&self, wallet: &GasWallet, millis: u64) {
        let end = self.now.get().plus(millis);
        while self.now.get() < end {
            self.pass(1_000);
            self.ring(wallet);
        }
    }

    fn ring(&self, wallet: &GasWallet) {
        if self.alarm.get().is_some_and(|at| at <= self.now.get()) {
            self.alarm.set(None);
            wallet.rang();
            self.wake(wallet);
        }
    }

    /// Makes a block that includes what the node has for the next nonces, the newest version of each.
    fn mine(&self) {
        let mut node = self.node.borrow_mut();
        node.head += 1;
        let jobs = self.jobs.borrow();
        loop {
            let next = jobs.values().flat_map(|sent| sent.versions.iter().rev());
            let mut next = next.filter(|version| version.nonce == node.included);
            let Some(version) = next.find(|version| node.sent.contains(&version.raw)) else {
                break;
            };
            let (hash, block) = (version.hash, node.head);
            node.receipts.insert(hash, block);
            node.included += 1;
        }
    }

    /// Adds this many empty blocks.
    fn bury(&self, blocks: u64) {
        self.node.borrow_mut().head += blocks;
    }

    /// Lets time pass, with a block every two seconds.
    fn run(&self, wallet: &GasWallet, millis: u64) {
        let end = self.now.get().plus(millis);
        while self.now.get() < end {
            self.mine();
            self.live(wallet, 2_000);
        }
    }
}

impl WalletStore for Bench {
    fn hashes(&self, key: &JobKey) -> Result<Option<Vec<B256>>, WalletFault> {
        let open = self.jobs.borrow().get(key).map(Sent::hashes);
        Ok(open.or_else(|| {
            self.done
                .borrow()
                .get(key)
                .map(|(hashes, _)| hashes.clone())
        }))
    }
    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault> {
        Ok(self.jobs.borrow().get(key).cloned())
    }
    fn open_jobs(&self, after: Option<&JobKey>, limit: usize) -> Result<Vec<Sent>, WalletFault> {
        let jobs = self.jobs.borrow();
        let open = jobs.values().filter(|sent| Some(&sent.key) > after);
        Ok(open.take(limit).cloned().collect())
    }
    fn floor(&self) -> Result<Option<u64>, WalletFault> {
        Ok(self.floor.get())
    }
    fn write(&self, change: &Change<'_>) -> Result<(), WalletFault> {
        if let Some(sent) = change.put {
            self.jobs
                .borrow_mut()
                .insert(sent.key.clone(), sent.clone());
        }
        if let Some(sent) = change.close {
            self.jobs.borrow_mut().remove(&sent.key);
            let kept = (sent.hashes(), self.now.get());
            self.done.borrow_mut().insert(sent.key.clone(), kept);
        }
        self.floor.set(change.floor.or(self.floor.get()));
        self.alarm.set(change.wake_at.or(self.alarm.get()));
        Ok(())
    }
    fn forget(&self, before: UnixMillis, limit: usize) -> Result<usize, WalletFault> {
        let mut done = self.done.borrow_mut();
        let old = done.iter().filter(|(_, (_, at))| *at < before);
        let old: Vec<JobKey> = old.map(|(key, _)| key.clone()).take(limit).collect();
        done.retain(|key, _| !old.contains(key));
        Ok(old.len())
    }
    fn wake_at(&self, at: Option<UnixMillis>) -> Result<(), WalletFault> {
        self.alarm.set(at);
        Ok(())
    }
}

impl ScriptedChain for Bench {
    fn ether_balance(&self, _: Address) -> Result<U256, ChainError> {
        Ok(self.node.borrow().balance)
    }
    fn head(&self) -> Result<Head, ChainError> {
        self.pass(self.node.borrow().slowness);
        Ok(Head {
            number: self.node.borrow().head,
            hash: self.node.borrow().head_hash,
            timestamp: 1,
            base_fee: self.node.borrow().base_fee,
        })
    }
    fn priority_fee(&self) -> Result<u128, ChainError> {
        Err(ChainError("not offered".to_owned()))
    }
    fn data_fee(&self, _: usize) -> Result<U256, ChainError> {
        self.node.borrow().data_fee.clone()
    }
    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.node.borrow_mut().receipts_asked += 1;
        if !self.node.borrow().has_receipts {
            return Err(ChainError("no answer".to_owned()));
        }
        let block = self.node.borrow().receipts.get(&transaction).copied();
        Ok(block.map(|block| Receipt {
            success: !self.node.borrow().reverts,
            ..receipt(transaction, block, Vec::new())
        }))
    }
    fn included_count(&self, _: Address) -> Result<u64, ChainError> {
        Ok(self.node.borrow().included)
    }
    fn pending_count(&self, _: Address) -> Result<u64, ChainError> {
        Ok(self.node.borrow().pending)
    }
    fn send_raw(&self, transaction: &Bytes) -> Result<SendOutcome, ChainError> {
        let mut node = self.node.borrow_mut();
        if !node.reachable {
            return Err(ChainError("unreachable".to_owned()));
        }
        if let Some(text) = node.refusal {
            return Ok(SendOutcome::Refused(text.to_owned()));
        }
        node.sent.push(transaction.clone());
        Ok(SendOutcome::Accepted)
    }
}

impl WalletEnv for Bench {
    type Store = Self;
    type Chain = Self;

    fn store(&self) -> &Self {
        self
    }
    fn chain(&self) -> &Self {
        self
    }
    fn now(&self) -> UnixMillis {
        self.now.get()
    }
    fn key(&self) -> &WalletKey {
        &self.key
    }
    fn network(&self) -> Network {
        Network::BaseSepolia
    }
    fn log(&self, _: &str, _: &str) {}
}
