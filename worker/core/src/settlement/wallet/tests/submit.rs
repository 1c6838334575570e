//! Tests of new jobs: their nonces, repeated commands, and when no job is begun.

use super::*;
use crate::chain::settlement_call::transfer_call;

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
    assert_eq!(bench.nonces(), [5]);
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
    let raw = bench.job("a").versions[0].raw.clone();
    assert_eq!(bench.node.borrow().sent, [raw]);
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
        // If the alarm is due, it rings before anything else happens.
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
    bench.pass(NOT_INCLUDED + 50);
    bench.hashes(&wallet, "b");
    assert_eq!(bench.alarm.get(), first);
    bench.pass(60_000);
    bench.hashes(&wallet, "c");
    assert_eq!(bench.alarm.get(), Some(bench.now.get().plus(NOT_INCLUDED)));
}

#[test]
fn after_a_rest_the_alarm_is_set_for_later_again() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    bench.pass(NOT_INCLUDED);
    // The alarm rings, and there is nothing to do.
    bench.jobs.borrow_mut().clear();
    let wallet = GasWallet::default();
    wallet.rang();
    bench.wake(&wallet);
    bench.pass(1_000);
    bench.hashes(&wallet, "b");
    assert_eq!(bench.alarm.get(), Some(bench.now.get().plus(NOT_INCLUDED)));
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
fn every_transaction_calls_usdc_and_nothing_else() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    let usdc = Network::BaseSepolia.usdc();
    let raw = bench.job("a").versions[0].raw.clone();
    let call = transfer_call(&signed(1));
    let contains = |part: &[u8]| raw.windows(part.len()).any(|window| window == part);
    assert!(contains(usdc.as_slice()) && contains(&call));
}
