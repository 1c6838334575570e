//! Tests of nonces whose payment is no longer wanted.

use super::super::line::Looks;
use super::*;

const EXPIRES: UnixMillis = UnixMillis(1_800_000_310_000);

fn cancellation(job: &Sent) -> Option<&Signed> {
    job.versions.last().filter(|version| version.cancels)
}

#[test]
fn when_an_authorization_is_over_its_nonce_is_used_up_by_the_cheapest_call_of_usdc() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    let hashes = bench.hashes(&wallet, "a");
    let expires = bench
        .job("a")
        .job
        .authorization
        .authorization()
        .expires_at();
    bench.now.set(expires.to_millis());
    bench.wake(&wallet);
    let job = bench.job("a");
    let last = cancellation(&job).expect("a cancellation");
    assert_eq!((last.nonce, last.gas_limit), (5, 21_000));
    let usdc = Network::BaseSepolia.usdc();
    let raw = last.raw.clone();
    assert!(raw.windows(20).any(|part| part == usdc.as_slice()));
    assert!(raw.len() < 130, "it carries no data");
    assert!(last.fees.max_fee * 10 >= job.versions[0].fees.max_fee * 11);
    assert!(bench.node.borrow().sent.contains(&raw));
    assert_eq!(bench.hashes(&wallet, "a"), hashes, "it is no payment");
    bench.run(&wallet, 20_000);
    assert!(!bench.is_open("a"));
    assert_eq!(bench.hashes(&wallet, "a"), hashes);
}

#[test]
fn a_transaction_that_the_chain_never_includes_holds_the_line_no_longer_than_its_authorization() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "poison");
    bench.hashes(&wallet, "b");
    let poison = bench.job("poison").versions[0].raw.clone();
    let begin = bench.now.get();
    while bench.is_open("b") && bench.now.get() < EXPIRES.plus(60_000) {
        bench.node.borrow_mut().sent.retain(|raw| *raw != poison);
        bench.run(&wallet, 2_000);
    }
    assert!(
        !bench.is_open("poison") && !bench.is_open("b"),
        "since {begin:?}"
    );
    assert_eq!(bench.job_hashes("b").len(), 1);
}

#[test]
fn a_job_that_was_paid_at_one_nonce_uses_up_its_other_without_paying() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().pending = 6;
    bench.hashes(&wallet, "a");
    bench.floor.set(Some(5));
    bench.live(&wallet, STUCK + NOT_INCLUDED);
    assert_eq!(bench.nonces_of("a"), [6, 5]);
    let first = bench.job("a").versions[1].hash;
    {
        let mut node = bench.node.borrow_mut();
        (node.included, node.head) = (6, 101);
        node.receipts.insert(first, 101);
    }
    bench.live(&wallet, NOT_INCLUDED);
    let job = bench.job("a");
    assert_eq!(cancellation(&job).map(|version| version.nonce), Some(6));
    bench.run(&wallet, 20_000);
    assert!(bench.jobs.borrow().is_empty());
}

#[test]
fn a_receipt_of_a_block_that_is_not_made_yet_gives_up_no_nonce() {
    for (block, head_hash) in [(102, B256::ZERO), (101, B256::repeat_byte(1))] {
        let (bench, wallet) = (Bench::new(), GasWallet::default());
        bench.node.borrow_mut().pending = 6;
        bench.hashes(&wallet, "a");
        bench.floor.set(Some(5));
        bench.live(&wallet, STUCK + NOT_INCLUDED);
        let first = bench.job("a").versions[1].hash;
        {
            let mut node = bench.node.borrow_mut();
            (node.included, node.head, node.head_hash) = (6, 101, head_hash);
            node.receipts.insert(first, block);
        }
        bench.live(&wallet, NOT_INCLUDED);
        assert_eq!(cancellation(&bench.job("a")), None, "{block}");
        bench.node.borrow_mut().head_hash = B256::ZERO;
        bench.bury(1);
        bench.live(&wallet, NOT_INCLUDED);
        assert!(cancellation(&bench.job("a")).is_some(), "{block}");
    }
}

#[test]
fn a_job_that_reverted_pays_no_more_although_it_holds_another_nonce() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().pending = 6;
    bench.hashes(&wallet, "a");
    bench.floor.set(Some(5));
    bench.live(&wallet, STUCK + NOT_INCLUDED);
    let first = bench.job("a").versions[1].hash;
    {
        let mut node = bench.node.borrow_mut();
        (node.included, node.head, node.reverts) = (6, 101, true);
        node.receipts.insert(first, 101);
        node.sent.clear();
    }
    bench.live(&wallet, NOT_INCLUDED);
    let cancelled = bench.job("a").versions.last().cloned().unwrap();
    assert!(cancelled.cancels);
    assert_eq!(bench.node.borrow().sent, [cancelled.raw]);
}

#[test]
fn a_cancellation_that_offers_too_little_is_raised_too() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.now.set(EXPIRES);
    bench.wake(&wallet);
    bench.node.borrow_mut().base_fee *= 10;
    bench.live(&wallet, 2 * STUCK);
    let job = bench.job("a");
    let cancels: Vec<_> = job.versions.iter().map(|version| version.cancels).collect();
    assert_eq!(cancels, [false, true, true]);
}

#[test]
fn answers_that_are_far_apart_say_nothing_about_the_time_between() {
    let mut looks = Looks::default();
    let at = |millis| NOW.plus(millis);
    looks.add(at(0), 5);
    looks.add(at(10_000), 9);
    looks.add(at(20_000), 7);
    assert_eq!(looks.lowest(at(20_000), 20_000), Some(5));
    assert_eq!(looks.lowest(at(20_000), 10_000), Some(7));
    assert_eq!(looks.highest(at(20_000), 20_000), Some(9));
    assert_eq!(looks.lowest(at(20_000), 30_000), None);
    looks.add(at(90_000), 8);
    assert_eq!(looks.lowest(at(90_000), 60_000), None);
}
