//! Attempts and refunds that were given up or moved no money: when they end, and what is found out later.

use super::*;
use crate::purchase::test_support::REPORTED;

/// A purchase whose authorization is good for years, after the event `stage`.
fn long_lasting(stage: Event) -> Purchase {
    let mut record = record_after([attempted(1), Event::Reserved, stage]);
    if let State::Pending { attempt } = &mut record.state {
        let mut authorization = attempt.broadcast.authorization.authorization().clone();
        authorization.valid_before = U256::from(9_000_000_000_u64);
        let signed = SignedAuthorization::sign(&buyer(), authorization, Network::BaseSepolia);
        attempt.broadcast.authorization = signed.unwrap();
    }
    record
}

/// A purchase whose refund was given up, after the events `then`.
fn refund_failed<const N: usize>(then: [Event; N]) -> Purchase {
    let fails = (0..MAX_REFUND_FAILURES).map(|_| attempt_failed(Refusal::InsufficientFunds));
    let begun = [
        attempted(1),
        Event::Reserved,
        sent(OURS),
        settled(),
        UNDELIVERED,
        refund_begun(),
    ];
    record_after(begun.into_iter().chain(fails).chain(then))
}

#[test]
fn a_node_that_is_behind_the_newest_block_does_not_say_that_an_authorization_has_lapsed() {
    for behind in [0, 1] {
        let mut outside = Outside::new(submitted());
        outside.is_included = false;
        outside.time = LATE;
        outside.state = BLOCK - behind;
        let event = outside.run();
        match behind {
            0 => assert!(is_settled_by_the_stranger(event)),
            _ => assert_eq!(event, None),
        }
    }
}

#[test]
fn what_a_wallet_has_sent_that_is_not_ours_any_more_is_given_up_after_the_offer() {
    let end = EXPIRES_AT.0 + 30;
    let outside = |time, is_too_late| {
        let mut outside = Outside::new(long_lasting(sent(OURS)));
        (outside.is_used, outside.is_included) = (false, false);
        (outside.time, outside.is_too_late) = (time, is_too_late);
        outside.run()
    };
    assert_eq!(outside(end - 1, true), None);
    assert_eq!(outside(end, true), Some(GIVEN_UP), "and watched");
    assert_eq!(outside(end, false), None, "our wallet goes on sending it");
}

#[test]
fn a_transaction_that_moved_no_money_does_not_say_that_none_moved() {
    for is_used in [true, false] {
        let mut outside = Outside::new(submitted());
        (outside.is_used, outside.ours_succeeds) = (is_used, true);
        let event = outside.run();
        match is_used {
            true => assert!(is_settled_by_the_stranger(event)),
            false => {
                let reason = Refusal::InvalidExactEvmTransferEventMismatch;
                let transaction = Some(OURS);
                let failed = Event::AttemptFailed {
                    reason,
                    transaction,
                };
                assert_eq!(event, Some(failed));
            }
        }
    }
}

#[test]
fn a_refund_that_arrives_after_it_was_given_up_is_noticed() {
    let record = refund_failed([Event::TargetReleased, REPORTED]);
    let State::RefundFailed {
        refund: given_up, ..
    } = &record.state
    else {
        panic!("{record:?}");
    };
    let mut outside = Outside::new(record.clone());
    outside.authorization = given_up.broadcast.authorization.clone();
    outside.time = NOW.to_seconds().0 + 60;
    assert_eq!(outside.run(), None, "not deep enough yet");
    (outside.head, outside.state) = (BLOCK + 4, BLOCK + 4);
    let event = outside.run();
    assert!(is_settled_by_the_stranger(event.clone()));
    let after = apply(Some(&record), event.unwrap(), outside.now(), &POLICY).unwrap();
    assert_eq!(after.state.status().as_str(), "REFUNDED");
    outside.is_used = false;
    assert_eq!(outside.run(), None);
    assert_eq!(record.state.status().as_str(), "REFUND_FAILED");
}

#[test]
fn what_moved_no_money_is_no_failure_while_a_facilitator_may_still_settle() {
    let passed_on = Event::PassedOn { exposed: true };
    let record = record_after([
        attempted(1),
        Event::Reserved,
        Event::Asked,
        passed_on,
        sent(OURS),
    ]);
    let mut outside = Outside::new(record);
    (outside.is_used, outside.ours_succeeds) = (false, true);
    assert_eq!(outside.run(), None);
}

#[test]
fn an_alarm_for_the_ledger_is_no_look_at_a_refund_that_was_given_up() {
    let record = refund_failed([Event::TargetReleased]);
    let mut outside = Outside::new(record);
    (outside.is_used, outside.ledger_is_gone) = (false, true);
    let tries = |outside: &Outside| outside.store.record().tries;
    outside.time = NOW.to_seconds().0 + 61;
    outside.wake();
    assert_eq!(tries(&outside), 1, "the first look");
    for second in 62..100 {
        outside.time = NOW.to_seconds().0 + second;
        outside.wake();
    }
    assert_eq!(tries(&outside), 1);
    outside.time = NOW.to_seconds().0 + 121;
    outside.wake();
    assert_eq!(tries(&outside), 2);
}

#[test]
fn a_block_that_was_replaced_while_it_was_waited_for_says_nothing() {
    for shown in [2, 1] {
        let mut outside = Outside::new(submitted());
        outside.config.chain.confirmations = 2;
        (outside.head, outside.state, outside.is_used) = (BLOCK + 1, BLOCK + 1, false);
        outside.receipts_left.set(shown);
        let is_failed = matches!(outside.run(), Some(Event::AttemptFailed { .. }));
        assert_eq!(is_failed, shown == 2, "{shown}");
    }
}
