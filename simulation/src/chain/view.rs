//! The chain as seen by a node that may be some blocks behind.

use core::ops::RangeInclusive;

use alloy_primitives::{Address, B256};
use key0_core::chain::SignedAuthorization;
use key0_core::chain::base::{AuthorizationEvents, Head, Receipt, Simulation};

use key0_core::chain::base::Seen;
use key0_core::chain::usdc::TRANSFER_TOPIC;

use super::ModelChain;
use super::ledger::Undo;

/// The limits of the nodes.
#[derive(Clone, Copy, Debug)]
pub struct Nodes {
    /// How many blocks' states a node keeps.
    pub states_kept: u64,
    /// How many blocks a node searches for events in one call.
    pub blocks_searched: u64,
}

/// A node's view.
#[derive(Debug)]
pub struct View<'a> {
    chain: &'a ModelChain,
    /// How many blocks it is behind.
    lag: usize,
}

impl<'a> View<'a> {
    /// The view of a node that is `lag` blocks behind.
    pub fn new(chain: &'a ModelChain, lag: usize) -> Self {
        Self {
            chain,
            lag: lag.min(chain.blocks.len() - 1),
        }
    }

    /// Its newest block.
    pub fn head(&self) -> Head {
        let block = &self.chain.blocks[self.chain.blocks.len() - 1 - self.lag];
        Head {
            number: block.number,
            hash: block.hash,
            timestamp: block.timestamp,
            base_fee: block.base_fee,
        }
    }

    /// A block's time, if it is known here.
    pub fn time(&self, number: u64) -> Option<u64> {
        let known = self.chain.blocks.len() - self.lag;
        let mut blocks = self.chain.blocks[..known].iter();
        blocks
            .find(|block| block.number == number)
            .map(|block| block.timestamp)
    }

    /// How often the newest blocks were replaced.
    pub fn replacements(&self) -> u64 {
        self.chain.replacements
    }

    /// The transfers to these wallets in these blocks, as far as they are known here.
    pub fn transfers(
        &self,
        wallets: &[Address],
        blocks: &RangeInclusive<u64>,
    ) -> Result<Vec<Seen>, &'static str> {
        if blocks.end() - blocks.start() >= self.chain.nodes.blocks_searched {
            return Err("query exceeds max block range");
        }
        let head = self.head().number;
        let receipts = self.chain.ledger.receipts().filter(|receipt| {
            receipt.success && receipt.block <= head && blocks.contains(&receipt.block)
        });
        let mut seen: Vec<Seen> = receipts
            .flat_map(|receipt| {
                let ours = receipt.logs.iter().filter(|log| {
                    log.topics.first() == Some(&TRANSFER_TOPIC)
                        && log
                            .topics
                            .get(2)
                            .is_some_and(|to| wallets.contains(&Address::from_word(*to)))
                });
                ours.map(|_| Seen {
                    block: receipt.block,
                    transaction: receipt.transaction,
                })
            })
            .collect();
        seen.sort_by_key(|seen| (seen.block, seen.transaction));
        Ok(seen)
    }

    /// A receipt, if the block is known here.
    pub fn receipt(&self, hash: B256) -> Option<Receipt> {
        let receipt = self.chain.ledger.receipt(hash)?;
        (receipt.block <= self.head().number).then(|| receipt.clone())
    }

    /// Whether an authorization is used up, as far as this node knows.
    fn used(&self, payer: Address, nonce: B256) -> bool {
        self.used_up_to(payer, nonce, self.head().number)
    }

    /// Whether an authorization is used up in a block's state, or why this node cannot tell.
    pub fn used_at(
        &self,
        payer: Address,
        nonce: B256,
        at: Option<u64>,
    ) -> Result<bool, &'static str> {
        let head = self.head().number;
        match at.unwrap_or(head) {
            at if at > head => Err("header not found"),
            at if at.saturating_add(self.chain.nodes.states_kept) < head => {
                Err("missing trie node")
            }
            at => Ok(self.used_up_to(payer, nonce, at)),
        }
    }

    fn used_up_to(&self, payer: Address, nonce: B256, block: u64) -> bool {
        let used = self.chain.ledger.used(&(payer, nonce));
        used.is_some_and(|used| used.block <= block)
    }

    /// What happened to an authorization in these blocks, as far as this node knows.
    pub fn events(
        &self,
        payer: Address,
        nonce: B256,
        blocks: &RangeInclusive<u64>,
    ) -> Result<AuthorizationEvents, &'static str> {
        let span = blocks.end().saturating_sub(*blocks.start());
        if span >= self.chain.nodes.blocks_searched {
            return Err("the block range is too large");
        }
        let mut events = AuthorizationEvents::default();
        let used = self.chain.ledger.used(&(payer, nonce));
        let head = self.head().number;
        if let Some(used) = used.filter(|used| used.block <= head && blocks.contains(&used.block)) {
            if used.cancelled {
                events.cancelled = true;
            } else {
                events.used_in.push(used.transaction);
            }
        }
        Ok(events)
    }

    /// An account's USDC.
    pub fn balance(&self, account: Address) -> u64 {
        let first_unknown = self.chain.blocks.len() - self.lag;
        // The oldest of the changes that this node does not know tells what was before.
        self.chain.blocks[first_unknown..]
            .iter()
            .flat_map(|block| &block.undo)
            .find_map(|undo| match undo {
                Undo::Balance(changed, before) if *changed == account => Some(*before),
                _ => None,
            })
            .unwrap_or_else(|| self.chain.ledger.balance(account))
    }

    /// Whether the token could check a signature of this account: a contract wallet must exist for
    /// that.
    pub fn can_answer(&self, account: Address) -> bool {
        let first_unknown = self.chain.blocks.len() - self.lag;
        let came_later = self.chain.blocks[first_unknown..]
            .iter()
            .flat_map(|block| &block.undo)
            .any(|undo| matches!(undo, Undo::Deployment(wallet) if *wallet == account));
        self.chain.ledger.can_answer(account) && !came_later
    }

    /// Whether there is code at the address.
    pub fn has_code(&self, account: Address) -> bool {
        self.chain.ledger.is_deployed(account)
    }

    /// How many of the gas wallet's transactions are included.
    pub fn included_count(&self) -> u64 {
        self.chain.ledger.count(self.head().number)
    }

    /// What a transfer would do now.
    pub fn simulate(&self, signed: &SignedAuthorization) -> Simulation {
        let is_genuine = self.chain.genuine(&self.chain.call_of(signed)).is_some();
        let can_answer = signed.deployment().is_some() || self.can_answer(signed.payer());
        if !is_genuine || !can_answer {
            return Simulation::Reverts(
                "execution reverted: FiatTokenV2: invalid signature".to_owned(),
            );
        }
        let authorization = signed.authorization();
        let refusal = self.chain.ledger.refusal(
            signed,
            self.head().timestamp,
            self.balance(authorization.from),
            self.used(authorization.from, authorization.nonce),
        );
        match refusal {
            Some(text) => Simulation::Reverts(text.to_owned()),
            None => Simulation::Succeeds {
                gas: self.chain.estimate(),
            },
        }
    }
}
