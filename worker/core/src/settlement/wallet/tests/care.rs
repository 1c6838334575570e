//! Tests of what the alarm does for waiting jobs, and of when a job is done.

use super::super::care::{FINAL_BLOCKS, MAX_FORGOTTEN};
use super::super::cost::MAX_FEE;
use super::super::pipeline::MAX_VERSIONS;
use super::*;

#[test]
fn an_included_job_is_done_some_blocks_deep_and_the_alarm_rests() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    let hashes = bench.hashes(&wallet, "a");
    bench.mine();
    bench.pass(FINAL_MILLIS);
    bench.wake(&wallet);
    assert!(bench.is_open("a"), "its block may still be replaced");
    bench.bury(FINAL_BLOCKS - 1);
    bench.wake(&wallet);
    assert!(!bench.is_open("a"));
    assert_eq!(bench.alarm.get(), None);
    assert_eq!(bench.hashes(&wallet, "a"), hashes, "its hashes stay known");
}

#[test]
fn a_job_whose_block_was_replaced_is_broadcast_again() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.mine();
    bench.pass(NOT_INCLUDED);
    bench.wake(&wallet);
    {
        let mut node = bench.node.borrow_mut();
        (node.included, node.head) = (5, 200);
        node.receipts.clear();
        node.sent.clear();
    }
    bench.pass(NOT_INCLUDED);
    bench.wake(&wallet);
    let raw = bench.job("a").versions[0].raw.clone();
    assert_eq!(bench.node.borrow().sent, [raw]);
}

#[test]
fn the_job_that_holds_the_next_nonce_is_looked_after_first_whatever_the_backlog() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    for number in 0..200 {
        bench.hashes(&wallet, &format!("included {number}"));
    }
    bench.mine();
    bench.node.borrow_mut().reachable = false;
    bench.hashes(&wallet, "dropped");
    for number in 0..50 {
        bench.hashes(&wallet, &format!("later {number}"));
    }
    bench.node.borrow_mut().reachable = true;
    bench.node.borrow_mut().sent.clear();
    bench.pass(NOT_INCLUDED);
    bench.wake(&wallet);
    let dropped = bench.job("dropped").versions[0].raw.clone();
    assert_eq!(bench.node.borrow().sent.first(), Some(&dropped));
}

#[test]
fn one_alarm_closes_whatever_is_deep_enough() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    for number in 0..200 {
        bench.hashes(&wallet, &format!("{number}"));
    }
    bench.mine();
    bench.bury(FINAL_BLOCKS);
    bench.pass(FINAL_MILLIS);
    bench.wake(&wallet);
    assert!(bench.jobs.borrow().is_empty());
    assert_eq!(bench.done.borrow().len(), 200);
}

#[test]
fn an_endpoint_that_tells_no_receipts_is_not_asked_for_all_of_them() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    for number in 0..200 {
        bench.hashes(&wallet, &format!("{number}"));
    }
    bench.mine();
    bench.bury(FINAL_BLOCKS);
    bench.pass(FINAL_MILLIS);
    bench.node.borrow_mut().has_receipts = false;
    bench.wake(&wallet);
    assert_eq!(bench.jobs.borrow().len(), 200);
    assert!(bench.node.borrow().receipts_asked < 64);
}

#[test]
fn jobs_that_are_long_done_are_forgotten_some_at_a_time_and_never_while_a_payment_waits() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    for number in 0..MAX_FORGOTTEN + 10 {
        let done = (Vec::new(), UnixMillis(NOW.0 - 8 * 24 * 3_600_000));
        let key = JobKey(format!("old {number}"));
        bench.done.borrow_mut().insert(key, done);
    }
    bench.hashes(&wallet, "a");
    assert_eq!(bench.done.borrow().len(), MAX_FORGOTTEN + 10);
    bench.wake(&wallet);
    assert_eq!(bench.done.borrow().len(), 10);
    bench.wake(&wallet);
    assert!(bench.done.borrow().is_empty());
}

#[test]
fn a_transaction_that_offers_too_little_is_replaced_at_the_same_nonce() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.hashes(&wallet, "b");
    bench.node.borrow_mut().base_fee *= 3;
    bench.pass(STUCK);
    bench.wake(&wallet);
    let [first, second] = &bench.job("a").versions[..] else {
        panic!("{:?}", bench.job("a"));
    };
    assert_eq!(first.nonce, second.nonce);
    assert!(second.fees.max_fee > bench.node.borrow().base_fee);
    assert!(second.fees.max_fee * 10 >= first.fees.max_fee * 11);
    assert!(second.fees.priority_fee * 10 >= first.fees.priority_fee * 11);
    let others = bench.job("b").versions.len();
    assert_eq!(others, 1, "only the next in line is stuck");
    assert_eq!(bench.hashes(&wallet, "a"), [first.hash, second.hash]);
}

#[test]
fn a_transaction_that_offers_enough_keeps_its_fee_however_long_it_waits() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.live(&wallet, 200_000);
    assert_eq!(bench.job("a").versions.len(), 1);
}

#[test]
fn a_transaction_that_a_node_calls_underpriced_is_replaced_within_limits() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().refusal = Some("replacement transaction underpriced");
    bench.live(&wallet, 30_000);
    assert!(bench.job("a").versions.len() > 1);
    bench.live(&wallet, 200_000);
    let job = bench.job("a");
    let [first, .., last] = &job.versions[..] else {
        panic!("{job:?}");
    };
    assert!(last.fees.max_fee <= first.fees.max_fee * 4);
}

#[test]
fn fees_are_not_raised_beyond_the_limit() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().base_fee = u128::MAX / 4;
    bench.live(&wallet, 200_000);
    let job = bench.job("a");
    assert!(job.versions.len() <= MAX_VERSIONS);
    let fees = job.versions.iter().map(|version| version.fees.max_fee);
    assert!(fees.max() <= Some(MAX_FEE));
}
