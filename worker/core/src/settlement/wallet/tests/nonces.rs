//! Tests of nonces that another program has used, that no job holds, or about which the chain is wrong.

use super::super::care::REPAIR_MILLIS;
use super::super::sight::LOST_MILLIS;
use super::*;

#[test]
fn a_job_whose_nonce_a_foreign_transaction_took_gets_another() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().included = 6;
    bench.live(&wallet, 8_000);
    assert_eq!(bench.nonces_of("a"), [5], "the receipt may only be late");
    bench.live(&wallet, LOST_MILLIS + 8_000);
    assert_eq!(bench.nonces_of("a"), [5, 6]);
    bench.hashes(&wallet, "b");
    assert_eq!(bench.nonces_of("b"), [7]);
}

#[test]
fn a_receipt_that_is_not_shown_for_a_moment_costs_no_second_transaction_and_closes_no_job() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.mine();
    bench.live(&wallet, 2 * LOST_MILLIS);
    let known = bench.node.borrow().receipts.clone();
    let hide = |millis| {
        bench.node.borrow_mut().receipts.clear();
        bench.live(&wallet, millis);
        bench.node.borrow_mut().receipts = known.clone();
    };
    hide(LOST_MILLIS);
    assert_eq!(bench.nonces_of("a"), [5], "its receipt was seen before");
    bench.live(&wallet, 2 * LOST_MILLIS);
    // The authorization has expired, but the block of its transaction may still be replaced: then the transaction must
    // be sent again, so the job stays open.
    bench.pass(300_000);
    bench.live(&wallet, 2 * REPAIR_MILLIS);
    hide(LOST_MILLIS);
    assert!(bench.is_open("a"));
    // A wallet that has lost its memory does not close the job so soon, or after only a few answers.
    bench.node.borrow_mut().receipts.clear();
    bench.live(&GasWallet::default(), 2 * LOST_MILLIS);
    assert!(bench.is_open("a"));
    let wallet = GasWallet::default();
    for _ in 0..5 {
        bench.pass(LOST_MILLIS);
        bench.ring(&wallet);
    }
    assert!(bench.is_open("a"));
    bench.live(&wallet, 2 * REPAIR_MILLIS);
    assert!(!bench.is_open("a"), "by then the nonce is another's");
}

#[test]
fn one_wrong_count_changes_nothing() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    for (at, wrong) in [1_000_000, 7, u64::MAX, 0].into_iter().enumerate() {
        bench.hashes(&wallet, &format!("a{at}"));
        bench.live(&wallet, 25_000);
        bench.node.borrow_mut().included = wrong;
        bench.wake(&wallet);
        bench.node.borrow_mut().included = 5 + at as u64;
        bench.live(&wallet, 12_000);
        assert_eq!(
            bench.nonces_of(&format!("a{at}")),
            [5 + at as u64],
            "{wrong}"
        );
        bench.run(&wallet, 30_000);
        assert!(bench.jobs.borrow().is_empty());
    }
    bench.hashes(&wallet, "b");
    assert_eq!(bench.nonces_of("b"), [9]);
}

#[test]
fn wrong_counts_with_right_ones_between_them_change_nothing() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.live(&wallet, LOST_MILLIS);
    for _ in 0..3 {
        bench.node.borrow_mut().included = 6;
        bench.wake(&wallet);
        bench.node.borrow_mut().included = 5;
        bench.live(&wallet, LOST_MILLIS + 4_000);
    }
    assert_eq!(bench.nonces_of("a"), [5]);
}

#[test]
fn a_wallet_that_believed_a_wrong_count_finds_back_by_itself() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().included = 1_000_000;
    bench.live(&wallet, REPAIR_MILLIS + LOST_MILLIS);
    assert_eq!(
        bench.nonces_of("a").last(),
        Some(&1_000_000),
        "a minute of lies is believed"
    );
    bench.node.borrow_mut().included = 5;
    bench.run(&wallet, 2 * REPAIR_MILLIS);
    assert!(!bench.is_open("a"));
    for number in 0..10 {
        bench.hashes(&wallet, &format!("b{number}"));
    }
    bench.run(&wallet, 20_000);
    assert!(bench.jobs.borrow().is_empty(), "ten payments in seconds");
}

#[test]
fn a_wrong_count_at_the_first_start_is_corrected() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().pending = 1_000_000;
    bench.hashes(&wallet, "a");
    assert_eq!(bench.nonces_of("a"), [1_000_000]);
    bench.run(&wallet, REPAIR_MILLIS + STUCK);
    bench.run(&wallet, 20_000);
    assert!(!bench.is_open("a"));
    assert_eq!(bench.node.borrow().included, 6);
    bench.hashes(&wallet, "b");
    assert_eq!(bench.nonces_of("b"), [6]);
}

#[test]
fn jobs_behind_a_gap_are_all_signed_for_the_nonces_in_it() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().pending = 8;
    bench.hashes(&wallet, "a");
    bench.hashes(&wallet, "b");
    assert_eq!(bench.nonces(), [8, 9]);
    bench.live(&wallet, REPAIR_MILLIS + STUCK);
    assert_eq!(bench.nonces_of("a"), [8, 5]);
    assert_eq!(bench.nonces_of("b"), [9, 6]);
    bench.run(&wallet, 30_000);
    assert!(bench.jobs.borrow().is_empty());
    bench.hashes(&wallet, "c");
    assert_eq!(bench.nonces_of("c"), [7], "next in line");
}

#[test]
fn a_nonce_is_held_by_one_open_job_only() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().pending = 7;
    bench.hashes(&wallet, "a");
    bench.floor.set(Some(5));
    for key in ["b", "c", "d"] {
        bench.hashes(&wallet, key);
    }
    assert_eq!(bench.nonces(), [5, 6, 7, 8]);
}
