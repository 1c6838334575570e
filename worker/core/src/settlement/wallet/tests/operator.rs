//! Tests of what the operator sees of a wallet, and of the operator's commands.

use super::*;

fn operate(bench: &Bench, wallet: &GasWallet, operation: WalletOperation) -> WalletView {
    let answer = wallet.operate(bench, operation).now_or_never();
    answer.unwrap().unwrap()
}

#[test]
fn the_queue_is_shown() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    let hashes = bench.hashes(&wallet, "b");
    bench.pass(7_000);
    let view = operate(&bench, &wallet, WalletOperation::Show);
    assert_eq!(view.address, bench.key.address());
    assert_eq!((view.included, view.next_nonce), (Some(5), Some(7)));
    assert_eq!(view.balance.as_deref(), Some("1000000000000000000"));
    assert_eq!((view.open, view.jobs.len()), (2, 2));
    let last = &view.jobs[1];
    assert_eq!((last.nonce, last.age, last.versions), (6, 7, 1));
    assert_eq!(
        (last.hash, last.max_fee.as_str()),
        (hashes[0], "2001000000")
    );
    let fresh = operate(&Bench::new(), &GasWallet::default(), WalletOperation::Show);
    assert_eq!((fresh.next_nonce, fresh.open), (None, 0));
}

#[test]
fn a_nonce_that_the_operator_gives_up_is_used_up_once_and_what_waits_behind_goes_on() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "stuck");
    bench.hashes(&wallet, "b");
    bench.node.borrow_mut().sent.clear();
    for _ in 0..3 {
        let view = operate(&bench, &wallet, WalletOperation::GiveUp { nonce: 5 });
        assert!(view.jobs[0].cancels && !view.jobs[1].cancels);
        assert_eq!(view.jobs[0].versions, 2);
    }
    bench.run(&wallet, 30_000);
    assert!(bench.jobs.borrow().is_empty());
    let receipts = bench.node.borrow().receipts.clone();
    assert!(
        !bench
            .job_hashes("stuck")
            .iter()
            .any(|hash| receipts.contains_key(hash))
    );
    assert!(receipts.contains_key(&bench.job_hashes("b")[0]));
    let view = operate(&bench, &wallet, WalletOperation::GiveUp { nonce: 5 });
    assert_eq!((view.open, view.next_nonce), (0, Some(7)));
}

#[test]
fn what_the_operator_gives_up_while_the_alarm_works_stays_given_up() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.hashes(&wallet, "a");
    let read = bench.job("a");
    operate(&bench, &wallet, WalletOperation::GiveUp { nonce: 5 });
    // The alarm has read the job before the command, and wants to write now.
    let mut old = read.clone();
    let fees = read.versions[0].fees;
    wallet.add_version(&bench, &mut old, 5, fees, None).unwrap();
    wallet.close(&bench, &read, None).unwrap();
    assert!(bench.job("a").is_given_up());
    assert_eq!(bench.job("a").versions.len(), 2);
}

#[test]
fn a_repair_takes_the_chains_word_for_the_next_nonce_at_once() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    bench.floor.set(Some(1_000_000));
    bench.hashes(&wallet, "a");
    for _ in 0..2 {
        operate(&bench, &wallet, WalletOperation::Repair);
    }
    bench.hashes(&wallet, "b");
    assert_eq!(bench.nonces_of("b"), [5]);
    bench.run(&wallet, 2 * STUCK + 30_000);
    assert!(bench.jobs.borrow().is_empty());
    let view = operate(&bench, &wallet, WalletOperation::Show);
    assert_eq!(view.next_nonce, Some(7));
}

#[test]
fn a_wallet_that_never_sent_anything_has_nothing_to_repair() {
    let (bench, wallet) = (Bench::new(), GasWallet::default());
    operate(&bench, &wallet, WalletOperation::Repair);
    assert_eq!(bench.floor.get(), None);
}
