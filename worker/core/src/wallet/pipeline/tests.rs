//! The pipeline against a small wallet store and a node that does what the test says.

use core::cell::RefCell;
use core::ops::RangeInclusive;
use std::collections::BTreeMap;

use alloy_primitives::Address;
use futures_util::FutureExt as _;

use super::*;
use crate::challenge::test_support::{NOW, signed};
use crate::payment::chain::{AuthorizationEvents, Head, Receipt, Simulation};
use crate::payment::signature::Deployment;
use crate::payment::wallet_call::WalletAnswer;

/// Everything outside the wallet, in one place. Nothing here ever waits.
struct Bench {
    key: WalletKey,
    now: Cell<UnixMillis>,
    jobs: RefCell<BTreeMap<JobKey, Sent>>,
    next_nonce: Cell<Option<u64>>,
    alarm: Cell<Option<UnixMillis>>,
    node: RefCell<Node>,
}

struct Node {
    included: u64,
    pending: u64,
    base_fee: u128,
    balance: U256,
    receipts: Vec<B256>,
    sent: Vec<Bytes>,
    reachable: bool,
    /// Whether what is included reverts.
    reverts: bool,
    /// How long it takes to tell the newest block.
    slowness: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            key: WalletKey::from_hex(&format!("{:064x}", 0x9a5)).unwrap(),
            now: Cell::new(NOW),
            jobs: RefCell::default(),
            next_nonce: Cell::default(),
            alarm: Cell::default(),
            node: RefCell::new(Node {
                included: 5,
                pending: 5,
                base_fee: 1_000_000_000,
                balance: U256::from(10u64.pow(18)),
                receipts: Vec::new(),
                sent: Vec::new(),
                reachable: true,
                reverts: false,
                slowness: 0,
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
}

impl WalletStore for Bench {
    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault> {
        Ok(self.jobs.borrow().get(key).cloned())
    }
    fn open_jobs(&self, limit: usize) -> Result<Vec<Sent>, WalletFault> {
        let mut open: Vec<_> = self
            .jobs
            .borrow()
            .values()
            .filter(|sent| !sent.done)
            .cloned()
            .collect();
        open.sort_by_key(Sent::first_nonce);
        open.truncate(limit);
        Ok(open)
    }
    fn next_nonce(&self) -> Result<Option<u64>, WalletFault> {
        Ok(self.next_nonce.get())
    }
    fn put(
        &self,
        sent: &Sent,
        next_nonce: Option<u64>,
        wake_at: UnixMillis,
    ) -> Result<(), WalletFault> {
        self.jobs
            .borrow_mut()
            .insert(sent.key.clone(), sent.clone());
        self.next_nonce.set(next_nonce.or(self.next_nonce.get()));
        self.alarm.set(Some(wake_at));
        Ok(())
    }
    fn wake_at(&self, at: UnixMillis) -> Result<(), WalletFault> {
        self.alarm.set(Some(at));
        Ok(())
    }
}

impl Chain for Bench {
    async fn simulate(
        &self,
        _: &SignedAuthorization,
        _: Address,
    ) -> Result<Simulation, ChainError> {
        panic!("the wallet does not simulate")
    }
    async fn wallet_accepts(
        &self,
        _: Address,
        _: B256,
        _: &Bytes,
        _: Option<&Deployment>,
    ) -> Result<WalletAnswer, ChainError> {
        panic!("a wallet does not ask")
    }
    async fn authorization_used(
        &self,
        _: Address,
        _: B256,
        _: Option<u64>,
    ) -> Result<bool, ChainError> {
        panic!("the wallet does not ask")
    }
    async fn authorization_events(
        &self,
        _: Address,
        _: B256,
        _: RangeInclusive<u64>,
    ) -> Result<AuthorizationEvents, ChainError> {
        panic!("the wallet does not ask")
    }
    async fn usdc_balance(&self, _: Address) -> Result<U256, ChainError> {
        panic!("the wallet does not ask")
    }
    async fn has_code(&self, _: Address) -> Result<bool, ChainError> {
        panic!("a wallet does not ask")
    }
    async fn ether_balance(&self, _: Address) -> Result<U256, ChainError> {
        Ok(self.node.borrow().balance)
    }
    async fn head(&self) -> Result<Head, ChainError> {
        self.pass(self.node.borrow().slowness);
        Ok(Head {
            number: 1,
            timestamp: 1,
            base_fee: self.node.borrow().base_fee,
        })
    }
    async fn block_time(&self, _: u64) -> Result<Option<u64>, ChainError> {
        panic!("a wallet does not ask")
    }
    async fn priority_fee(&self) -> Result<u128, ChainError> {
        Err(ChainError("not offered".to_owned()))
    }
    async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let included = self.node.borrow().receipts.contains(&transaction);
        Ok(included.then(|| Receipt {
            transaction,
            block: 1,
            success: !self.node.borrow().reverts,
            logs: Vec::new(),
        }))
    }
    async fn included_count(&self, _: Address) -> Result<u64, ChainError> {
        Ok(self.node.borrow().included)
    }
    async fn pending_count(&self, _: Address) -> Result<u64, ChainError> {
        Ok(self.node.borrow().pending)
    }
    async fn send_raw(&self, transaction: &Bytes) -> Result<SendOutcome, ChainError> {
        let mut node = self.node.borrow_mut();
        if !node.reachable {
            return Err(ChainError("unreachable".to_owned()));
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

#[test]
fn jobs_get_consecutive_nonces_without_waiting_for_each_other() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    for key in ["a", "b", "c"] {
        bench.hashes(&wallet, key);
    }
    assert_eq!(bench.nonces(), [5, 6, 7]);
    assert_eq!(bench.node.borrow().sent.len(), 3);
}

#[test]
fn asking_for_the_same_job_again_signs_nothing_new_also_after_a_restart() {
    let bench = Bench::new();
    let first = bench.hashes(&GasWallet::default(), "a");
    let second = bench.hashes(&GasWallet::default(), "a");
    assert_eq!(first, second);
    assert_eq!(bench.next_nonce.get(), Some(6));
}

#[test]
fn transactions_that_wait_in_the_node_are_counted_at_the_first_start() {
    let bench = Bench::new();
    bench.node.borrow_mut().pending = 9;
    bench.hashes(&GasWallet::default(), "a");
    assert_eq!(bench.nonces(), [9]);
}

#[test]
fn what_could_not_be_broadcast_is_stored_and_broadcast_by_the_alarm() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().reachable = false;
    bench.hashes(&wallet, "a");
    assert!(bench.node.borrow().sent.is_empty());
    assert!(bench.alarm.get().is_some());
    bench.node.borrow_mut().reachable = true;
    bench.wake(&wallet);
    assert_eq!(
        bench.node.borrow().sent,
        [bench.job("a").versions[0].raw.clone()]
    );
}

#[test]
fn a_wallet_that_always_gets_new_jobs_wakes_all_the_same() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().reachable = false;
    bench.hashes(&wallet, "lost");
    bench.node.borrow_mut().reachable = true;
    let lost = bench.job("lost").versions[0].raw.clone();
    for number in 0..10 {
        bench.pass(3_000);
        // The alarm rings before whatever comes at the same time.
        if bench.alarm.get().is_some_and(|at| at <= bench.now.get()) {
            bench.alarm.set(None);
            wallet.rang();
            bench.wake(&wallet);
        }
        bench.hashes(&wallet, &format!("{number}"));
    }
    assert!(bench.node.borrow().sent.contains(&lost));
}

#[test]
fn an_alarm_that_is_late_is_not_put_off_and_one_that_never_rang_is_set_anew() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    let first = bench.alarm.get();
    bench.pass(CHECK_MILLIS + 50);
    bench.hashes(&wallet, "b");
    assert_eq!(bench.alarm.get(), first);
    bench.pass(60_000);
    bench.hashes(&wallet, "c");
    assert_eq!(bench.alarm.get(), Some(bench.now.get().plus(CHECK_MILLIS)));
}

#[test]
fn after_a_rest_the_alarm_is_set_for_later_again() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.pass(CHECK_MILLIS);
    // It rings, and there is nothing to do.
    bench.jobs.borrow_mut().clear();
    wallet.rang();
    bench.wake(&wallet);
    bench.pass(1_000);
    bench.hashes(&wallet, "b");
    assert_eq!(bench.alarm.get(), Some(bench.now.get().plus(CHECK_MILLIS)));
}

#[test]
fn nothing_is_begun_when_it_is_too_late_but_what_was_begun_is_still_reported() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    let begun = bench.hashes(&wallet, "a");
    bench.now.set(UnixSeconds(1_800_000_290).to_millis());
    assert_eq!(bench.submit(&wallet, "b"), Ok(WalletReply::TooLate));
    assert_eq!(bench.hashes(&wallet, "a"), begun);
    assert_eq!(bench.nonces(), [5]);
}

#[test]
fn nothing_is_begun_when_it_became_too_late_while_the_node_was_asked() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.now.set(UnixSeconds(1_800_000_289).to_millis());
    bench.node.borrow_mut().slowness = 1_000;
    assert_eq!(bench.submit(&wallet, "a"), Ok(WalletReply::TooLate));
    assert!(bench.jobs.borrow().is_empty() && bench.node.borrow().sent.is_empty());
}

#[test]
fn an_empty_wallet_begins_nothing() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().balance = U256::from(1);
    assert!(bench.submit(&wallet, "a").is_err());
    assert!(bench.jobs.borrow().is_empty());
}

#[test]
fn an_included_job_is_done_and_the_alarm_rests() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    let [hash] = bench.hashes(&wallet, "a")[..] else {
        panic!("one hash");
    };
    bench.node.borrow_mut().receipts.push(hash);
    bench.node.borrow_mut().included = 6;
    bench.wake(&wallet);
    assert!(bench.job("a").done);
    bench.alarm.set(None);
    bench.wake(&wallet);
    assert_eq!(bench.alarm.get(), None);
}

#[test]
fn a_stuck_transaction_is_replaced_at_the_same_nonce_with_a_fee_that_nodes_accept() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.hashes(&wallet, "b");
    bench.pass(STUCK_MILLIS);
    bench.wake(&wallet);
    let [first, second] = &bench.job("a").versions[..] else {
        panic!("{:?}", bench.job("a"));
    };
    assert_eq!(first.nonce, second.nonce);
    assert!(second.fees.max_fee * 10 >= first.fees.max_fee * 11);
    assert!(second.fees.priority_fee * 10 >= first.fees.priority_fee * 11);
    assert_eq!(
        bench.job("b").versions.len(),
        1,
        "only the next in line is stuck"
    );
    assert_eq!(bench.hashes(&wallet, "a"), [first.hash, second.hash]);
}

#[test]
fn fees_are_not_raised_beyond_the_limit() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().base_fee = u128::MAX / 4;
    for _ in 0..100 {
        bench.pass(STUCK_MILLIS);
        bench.wake(&wallet);
    }
    let job = bench.job("a");
    assert!(job.versions.len() <= MAX_VERSIONS);
    assert!(
        job.versions
            .iter()
            .all(|version| version.fees.max_fee <= MAX_FEE)
    );
}

#[test]
fn a_job_whose_nonce_a_foreign_transaction_took_gets_another() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().included = 6;
    bench.wake(&wallet);
    assert_eq!(
        bench.job("a").versions.len(),
        1,
        "the receipt may only be late"
    );
    bench.pass(LOST_MILLIS);
    bench.wake(&wallet);
    let nonces: Vec<_> = bench
        .job("a")
        .versions
        .iter()
        .map(|version| version.nonce)
        .collect();
    assert_eq!(nonces, [5, 6]);
    assert_eq!(bench.next_nonce.get(), Some(7));
}

#[test]
fn a_nonce_that_nothing_holds_is_filled_so_that_later_ones_can_be_included() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().pending = 7;
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().included = 5;
    bench.pass(STUCK_MILLIS);
    bench.wake(&wallet);
    let nonces: Vec<_> = bench
        .job("a")
        .versions
        .iter()
        .map(|version| version.nonce)
        .collect();
    assert_eq!(nonces, [7, 5]);
}

#[test]
fn a_nonce_that_a_job_no_longer_needs_is_used_up_so_that_later_jobs_need_not_wait() {
    let bench = Bench::new();
    let wallet = GasWallet::default();
    // Three foreign transactions wait and are forgotten by the network.
    bench.node.borrow_mut().pending = 8;
    bench.hashes(&wallet, "a");
    assert_eq!(bench.nonces(), [8]);
    let mut rounds = 0;
    while !bench.job("a").done {
        bench.pass(STUCK_MILLIS);
        bench.wake(&wallet);
        bench.pass(CHECK_MILLIS);
        let included = bench.node.borrow().included;
        let job = bench.job("a");
        let next = job
            .versions
            .iter()
            .find(|version| version.nonce == included);
        if let Some(next) = next {
            let mut node = bench.node.borrow_mut();
            assert!(node.sent.contains(&next.raw), "{included}");
            node.included += 1;
            node.receipts.push(next.hash);
        }
        rounds += 1;
        assert!(rounds < 20, "endless");
    }
    bench.pass(CHECK_MILLIS);
    bench.hashes(&wallet, "b");
    let included = bench.node.borrow().included;
    assert_eq!(bench.job("b").first_nonce(), included, "next in line");
}

#[test]
fn a_job_that_reverted_is_sent_no_more_although_it_occupies_another_nonce() {
    let bench = Bench::new();
    let wallet = GasWallet::default();
    bench.node.borrow_mut().pending = 8;
    bench.hashes(&wallet, "a");
    bench.pass(STUCK_MILLIS);
    bench.wake(&wallet);
    {
        let first = bench.job("a").versions[1].clone();
        assert_eq!(first.nonce, 5);
        let mut node = bench.node.borrow_mut();
        node.included = 6;
        node.receipts.push(first.hash);
        node.reverts = true;
    }
    bench.wake(&wallet);
    assert!(bench.job("a").done);
    let sent = bench.node.borrow().sent.len();
    bench.pass(STUCK_MILLIS);
    bench.wake(&wallet);
    assert_eq!(bench.node.borrow().sent.len(), sent);
}

#[test]
fn a_job_that_cannot_be_signed_again_does_not_keep_others_from_filling_a_nonce() {
    let bench = Bench::new();
    let wallet = GasWallet::default();
    bench.node.borrow_mut().pending = 8;
    bench.hashes(&wallet, "a");
    bench.hashes(&wallet, "b");
    let mut full = bench.job("a");
    let version = full.versions[0].clone();
    full.versions.resize(MAX_VERSIONS, version);
    bench.jobs.borrow_mut().insert(full.key.clone(), full);
    bench.pass(STUCK_MILLIS);
    bench.wake(&wallet);
    assert_eq!(bench.job("b").first_nonce(), 5);
}

#[test]
fn a_nonce_is_filled_also_when_the_first_job_in_line_was_signed_for_a_used_one() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().included = 6;
    bench.pass(LOST_MILLIS);
    bench.wake(&wallet);
    bench.hashes(&wallet, "b");
    // A foreign transaction took 5, so "a" was signed again for 6; 6 and 7 are used, their receipts not visible yet; 8 was
    // given up by the network, and "c" waits behind it.
    bench.next_nonce.set(Some(9));
    bench.hashes(&wallet, "c");
    bench.node.borrow_mut().included = 8;
    bench.pass(STUCK_MILLIS);
    bench.wake(&wallet);
    let last = bench.job("c").versions.last().map(|version| version.nonce);
    assert_eq!(last, Some(8));
    assert_eq!(bench.job("a").versions.len(), 2);
}

#[test]
fn every_transaction_calls_usdc_and_nothing_else() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    let usdc = Network::BaseSepolia.usdc();
    let raw = bench.job("a").versions[0].raw.clone();
    let call = usdc::transfer_call(&signed(1));
    let contains = |part: &[u8]| raw.windows(part.len()).any(|window| window == part);
    assert!(contains(usdc.as_slice()) && contains(&call));
}
