//! Tests of what the wallet can pay for.

use super::*;
use crate::types::Network;

/// The most that the gas of one job costs in these tests.
fn one(bench: &Bench) -> U256 {
    let max_fee = bench.node.borrow().base_fee * 2 + 1_000_000;
    U256::from(max_fee * 100_000)
}

#[test]
fn an_empty_wallet_begins_nothing() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().balance = U256::from(1);
    assert!(bench.submit(&wallet, "a").is_err());
    assert!(bench.jobs.borrow().is_empty());
}

#[test]
fn a_wallet_takes_no_more_jobs_than_it_can_pay_together_also_after_a_restart() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().balance = one(&bench) * U256::from(3);
    let taken = (0..50).filter(|number| bench.submit(&wallet, &format!("{number}")).is_ok());
    assert_eq!(taken.count(), 3);
    assert!(bench.submit(&GasWallet::default(), "more").is_err());
}

#[test]
fn what_is_included_was_paid_and_counts_no_longer() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().balance = one(&bench);
    bench.hashes(&wallet, "a");
    bench.pass(3_000);
    assert!(bench.submit(&wallet, "b").is_err());
    bench.mine();
    bench.pass(3_000);
    assert!(bench.is_open("a"));
    bench.hashes(&wallet, "b");
}

#[test]
fn the_data_fee_is_part_of_the_cost_and_who_claims_an_absurd_one_stops_nothing() {
    let bench = Bench::new();
    bench.node.borrow_mut().balance = one(&bench);
    bench.node.borrow_mut().data_fee = Ok(U256::from(4_096));
    assert!(bench.submit(&GasWallet::default(), "a").is_err());
    bench.node.borrow_mut().data_fee = Err(ChainError("no answer".to_owned()));
    assert!(bench.submit(&GasWallet::default(), "b").is_ok());
    let bench = Bench::new();
    bench.node.borrow_mut().data_fee = Ok(U256::MAX);
    bench.node.borrow_mut().balance = U256::from(10u64.pow(16));
    assert!(bench.submit(&GasWallet::default(), "c").is_ok());
}

#[test]
fn a_wallet_that_cannot_pay_what_waits_raises_no_fee() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.node.borrow_mut().balance = one(&bench);
    bench.hashes(&wallet, "a");
    bench.node.borrow_mut().base_fee *= 3;
    bench.live(&wallet, 200_000);
    assert_eq!(bench.job("a").versions.len(), 1);
    bench.node.borrow_mut().balance = U256::from(10u64.pow(18));
    bench.live(&wallet, 10_000);
    assert_eq!(bench.job("a").versions.len(), 2);
}

#[test]
fn what_a_payment_is_expected_to_cost_grows_with_its_data() {
    let bench = Bench::new();
    let head = bench.head().unwrap();
    let cost = |data| {
        expected_cost(
            &signed(1),
            Network::BaseSepolia,
            60_000,
            head.base_fee,
            data,
        )
    };
    let free = cost(DataFee::default());
    assert_eq!(free, U256::from(60_000 * head.base_fee));
    bench.node.borrow_mut().data_fee = Ok(U256::from(4_096_000));
    let data = DataFee::read(&bench).now_or_never().unwrap();
    let bytes =
        bench.hashes(&GasWallet::default(), "a").len() * bench.job("a").versions[0].raw.len();
    let fee = cost(data) - free;
    assert!(fee >= U256::from(bytes * 1_000) && fee < U256::from(bytes * 2_000));
}
