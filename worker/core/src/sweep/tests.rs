//! A ledger in memory, a chain of transfers, payers' books, and purchases that note who wakes them.

use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use futures_util::FutureExt as _;

use core::ops::RangeInclusive;

use alloy_primitives::{Address, B256};

use super::env::{SweepEnv, Swept};
use super::run::{progress, sweep};
use crate::chain::ChainError;
use crate::chain::base::{Head, Receipt, Seen};
use crate::chain::transfer::booking_key;
use crate::config::Config;
use crate::config::test_config;
use crate::ledger::test_support::{Shards, entry};
use crate::ledger::{Layout, LedgerCommand, LedgerEntry, LedgerReply, Ledgers, Shard};
use crate::testing::{authorization_used, receipt, transfer};
use crate::types::{CallFault, RequestId, UnixMillis};

const HEAD: u64 = 1_000_000;
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR_BLOCKS: u64 = 1_800;

struct World {
    config: Config,
    shards: RefCell<Shards>,
    head: Cell<u64>,
    /// Transactions in their order: the block, the payer, and the nonce if it was authorized.
    chain: RefCell<Vec<(Seen, Address, Option<B256>)>>,
    books: RefCell<BTreeMap<(Address, B256), RequestId>>,
    /// The most blocks that the node searches in one query.
    range: Cell<u64>,
    questions: Cell<u32>,
    /// How many questions to the ledger get no answer.
    unanswered: Cell<u32>,
    woken: RefCell<Vec<RequestId>>,
    /// Purchases that give no answer.
    unreachable: RefCell<BTreeSet<RequestId>>,
}

impl World {
    fn new(entries: impl IntoIterator<Item = LedgerEntry>) -> Self {
        Self {
            config: test_config(),
            shards: RefCell::new(Shards::with(entries)),
            head: Cell::new(HEAD),
            chain: RefCell::default(),
            books: RefCell::default(),
            range: Cell::new(u64::MAX),
            questions: Cell::default(),
            unanswered: Cell::default(),
            woken: RefCell::default(),
            unreachable: RefCell::default(),
        }
    }

    /// Adds a payment in this block. The payer's book counts the payment for the purchase `number`. Returns the
    /// transaction.
    fn pays(&self, block: u64, number: u16, is_authorized: bool) -> B256 {
        let transaction = B256::left_padding_from(&[1, (number >> 8) as u8, number as u8]);
        let payer = Address::with_last_byte(number as u8);
        let nonce =
            is_authorized.then(|| B256::left_padding_from(&[2, (number >> 8) as u8, number as u8]));
        let key = nonce.unwrap_or_else(|| booking_key(transaction, 0));
        let id = entry(number, "PENDING", 0).request_id;
        self.books.borrow_mut().insert((payer, key), id);
        let seen = Seen { block, transaction };
        self.chain.borrow_mut().push((seen, payer, nonce));
        transaction
    }

    fn sweep(&self) -> (Swept, Vec<RequestId>) {
        self.woken.borrow_mut().clear();
        self.questions.set(0);
        let swept = sweep(self).now_or_never().unwrap();
        (swept, self.woken.borrow().clone())
    }

    fn next_block(&self) -> u64 {
        let progress = progress(self).now_or_never().unwrap().unwrap();
        progress.next_block.unwrap()
    }
}

fn ids(numbers: impl IntoIterator<Item = u16>) -> Vec<RequestId> {
    let ids = numbers
        .into_iter()
        .map(|number| entry(number, "PENDING", 0).request_id);
    ids.collect()
}

fn sorted(mut ids: Vec<RequestId>) -> Vec<RequestId> {
    ids.sort();
    ids
}

impl Ledgers for World {
    fn layout(&self) -> Layout {
        self.shards.borrow().layout()
    }
    async fn ask(&self, shard: Shard, command: &LedgerCommand) -> Result<LedgerReply, CallFault> {
        if let Some(left) = self.unanswered.get().checked_sub(1) {
            self.unanswered.set(left);
            return Err(CallFault("no answer".to_owned()));
        }
        let shards = self.shards.borrow();
        shards.ask(shard, command).now_or_never().unwrap()
    }
}

impl SweepEnv for World {
    fn config(&self) -> &Config {
        &self.config
    }
    fn now(&self) -> UnixMillis {
        NOW
    }
    async fn head(&self) -> Result<Head, ChainError> {
        Ok(Head {
            number: self.head.get(),
            hash: B256::ZERO,
            timestamp: NOW.to_seconds().0,
            base_fee: 1,
        })
    }
    async fn transfers(
        &self,
        wallets: &[Address],
        blocks: RangeInclusive<u64>,
    ) -> Result<Vec<Seen>, ChainError> {
        assert_eq!(wallets, [self.config.wallets.pay_to]);
        self.questions.set(self.questions.get() + 1);
        if blocks.end() - blocks.start() >= self.range.get() {
            return Err(ChainError("too many blocks".to_owned()));
        }
        let chain = self.chain.borrow();
        let seen = chain.iter().map(|(seen, ..)| *seen);
        Ok(seen.filter(|seen| blocks.contains(&seen.block)).collect())
    }
    async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let chain = self.chain.borrow();
        let its = chain
            .iter()
            .filter(|(seen, ..)| seen.transaction == transaction);
        let mut logs = Vec::new();
        let mut block = 0;
        for (seen, payer, nonce) in its {
            block = seen.block;
            if let Some(nonce) = nonce {
                logs.push(authorization_used(*payer, *nonce));
            }
            let to = self.config.wallets.pay_to;
            logs.push(transfer(*payer, to, U256::from(15_000)));
        }
        Ok(Some(receipt(transaction, block, logs)))
    }
    async fn owner(&self, payer: Address, payment: B256) -> Result<Option<RequestId>, CallFault> {
        Ok(self.books.borrow().get(&(payer, payment)).cloned())
    }
    async fn nudge(&self, request_id: &RequestId) -> Result<bool, CallFault> {
        if self.unreachable.borrow().contains(request_id) {
            return Err(CallFault("no answer".to_owned()));
        }
        self.woken.borrow_mut().push(request_id.clone());
        Ok(true)
    }
    fn log(&self, _: &str, _: &str) {}
}

#[test]
fn what_has_been_open_for_ten_minutes_is_woken_and_nothing_else() {
    let old = NOW.0 - 11 * 60_000;
    let world = World::new([
        entry(1, "PENDING", old),
        entry(2, "PAID", old),
        entry(3, "REFUND_PENDING", old),
        entry(4, "DELIVERED", old),
        entry(5, "REFUNDED", old),
        entry(6, "REFUND_FAILED", old),
        entry(7, "EXPIRED", old),
        entry(8, "PAID", NOW.0 - 9 * 60_000),
    ]);
    let (swept, woken) = world.sweep();
    assert_eq!(sorted(woken), sorted(ids([1, 2, 3, 6])));
    assert_eq!((swept.looked_at, swept.woken, swept.unreachable), (4, 4, 0));
}

#[test]
fn more_than_one_sweep_can_do_is_done_by_the_next_ones() {
    let world = World::new((0..700).map(|number| entry(number, "PAID", u64::from(number) + 1)));
    let mut all = BTreeSet::new();
    for _ in 0..3 {
        let (_, woken) = world.sweep();
        assert!((1..=400).contains(&woken.len()), "{}", woken.len());
        all.extend(woken);
    }
    assert_eq!(all.len(), 700);
    let (_, again) = world.sweep();
    assert!(!again.is_empty(), "and then from the beginning");
}

#[test]
fn who_paid_and_never_reported_is_found_by_the_payers_book() {
    let world = World::new([]);
    world.pays(HEAD - 4_000, 1, true);
    world.pays(HEAD - 3_000, 2, false);
    // The third purchase is still on its way.
    world.pays(HEAD - 100, 3, true);
    // The fourth transfer is the seller's own money and belongs to no purchase.
    let own = world.pays(HEAD - 2_000, 4, false);
    world
        .books
        .borrow_mut()
        .retain(|(_, key), _| *key != booking_key(own, 0));
    let (_, woken) = world.sweep();
    assert_eq!(woken, ids([1, 2]));
}

#[test]
fn what_the_ledger_knows_to_be_paid_costs_no_more_questions() {
    let mut known = entry(1, "DELIVERED", 1);
    let mut unaware = entry(2, "EXPIRED", 1);
    let world = World::new([]);
    known.transaction = Some(world.pays(HEAD - 4_000, 1, true));
    // The ledger knows the second purchase, but not that it was paid.
    unaware.transaction = Some(world.pays(HEAD - 3_000, 2, true));
    for entry in [known, unaware] {
        let shards = world.shards.borrow();
        crate::ledger::put(&*shards, entry)
            .now_or_never()
            .unwrap()
            .unwrap();
    }
    let (_, woken) = world.sweep();
    assert_eq!(woken, ids([2]));
}

#[test]
fn a_transaction_that_pays_two_purchases_is_not_known_by_one_of_them() {
    let world = World::new([]);
    let hash = world.pays(HEAD - 4_000, 1, true);
    world.pays(HEAD - 4_000, 2, true);
    for (seen, ..) in world.chain.borrow_mut().iter_mut() {
        seen.transaction = hash;
    }
    let mut known = entry(1, "DELIVERED", 1);
    known.transaction = Some(hash);
    let put = crate::ledger::put(&*world.shards.borrow(), known).now_or_never();
    put.unwrap().unwrap();
    let (_, woken) = world.sweep();
    assert_eq!(woken, ids([1, 2]));
}

#[test]
fn three_hours_are_looked_at_and_after_an_outage_everything_since() {
    let world = World::new([]);
    world.sweep();
    let reached = world.next_block();
    // The transfer is in a block that was searched before: a node may show it late.
    world.pays(reached - HOUR_BLOCKS, 1, true);
    world.head.set(HEAD + HOUR_BLOCKS);
    assert_eq!(world.sweep().1, ids([1]));
    let reached = world.next_block();
    world.pays(reached + 1, 2, true);
    world.head.set(HEAD + 50 * HOUR_BLOCKS);
    let (_, woken) = world.sweep();
    assert!(woken.contains(&ids([2])[0]));
}

#[test]
fn a_node_that_looks_through_few_blocks_only_is_asked_about_few_and_the_sweep_keeps_up() {
    let world = World::new([]);
    world.range.set(10);
    world.pays(HEAD - 500, 1, true);
    let mut woken = Vec::new();
    for hour in 0..10 {
        world.head.set(HEAD + hour * HOUR_BLOCKS);
        woken.extend(world.sweep().1);
        assert!(world.questions.get() <= 300);
    }
    assert!(woken.contains(&ids([1])[0]));
}

#[test]
fn a_purchase_that_cannot_be_reached_is_tried_again_and_holds_up_no_other() {
    let world = World::new([]);
    world.pays(HEAD - 4_000, 1, true);
    world.pays(HEAD - 3_000, 2, true);
    let [first, second] = [ids([1]).remove(0), ids([2]).remove(0)];
    world.unreachable.borrow_mut().insert(first.clone());
    let (swept, woken) = world.sweep();
    assert_eq!((woken, swept.unreachable), (vec![second], 1));
    // The purchase is not forgotten even when its block is more than three hours old.
    world.head.set(HEAD + 10 * HOUR_BLOCKS);
    world.sweep();
    world.unreachable.borrow_mut().clear();
    assert!(world.sweep().1.contains(&first));
}

#[test]
fn a_ledger_that_gives_no_answer_makes_no_sweep_skip_anything() {
    let world = World::new([]);
    world.sweep();
    world.pays(HEAD + 100, 1, true);
    world.shards.borrow_mut().silent = Some(Shard::FIRST);
    for hour in 1..10 {
        world.head.set(HEAD + hour * HOUR_BLOCKS);
        assert_eq!(world.sweep().1, []);
    }
    world.shards.borrow_mut().silent = None;
    assert_eq!(world.sweep().1, ids([1]));
}

#[test]
fn how_far_the_sweep_has_come_is_not_forgotten_when_the_ledger_does_not_tell_it_once() {
    let world = World::new([]);
    world.sweep();
    world.pays(HEAD + 100, 1, true);
    world.head.set(HEAD + 50 * HOUR_BLOCKS);
    world.unanswered.set(1);
    world.sweep();
    assert!(world.sweep().1.contains(&ids([1])[0]));
}
