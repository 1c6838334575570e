//! A few fixed seeds, so that `cargo test` notices a broken rule at once; `npm run simulate` runs many.

use key0_simulation::run::run;

const PURCHASES: u64 = 40;

#[test]
fn no_money_rule_is_broken_in_any_of_these_seeds() {
    for seed in 1..=8 {
        let outcome = run(seed, PURCHASES, &[], false).unwrap();
        assert_eq!(outcome.violations, [], "seed {seed}");
    }
}

#[test]
fn faults_strike_and_purchases_are_delivered_all_the_same() {
    // Buyers of one seed may be offline too often for any delivery.
    let mut delivered = 0;
    for seed in 1..=3 {
        let outcome = run(seed, PURCHASES, &[], false).unwrap();
        assert!(!outcome.faults.is_empty(), "{outcome:?}");
        delivered += outcome.tally.delivered;
    }
    assert!(delivered > 0);
}

#[test]
fn a_seed_replays_step_by_step() {
    let trace = || run(7, PURCHASES, &[], true).unwrap().trace;
    let first = trace();
    assert!(first.len() > 100);
    assert!(first == trace());
}
