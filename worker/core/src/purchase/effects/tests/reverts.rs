//! What the payer's book is told of transfers that reverted, and what the payer is told while it must wait.

use super::*;
use crate::purchase::sold::{Access, Sold};
use crate::purchase::test_support::{access, claims};

const REVERTED: Event = Event::AttemptFailed {
    reason: Refusal::InvalidExactEvmTransactionFailed,
    transaction: Some(OURS),
};
const WAIT: PayReply = PayReply::Paused { seconds: 3_600 };

/// A sent purchase after these events. The book still counts the purchase as unresolved. The authorization is unused.
fn holding(events: impl IntoIterator<Item = Event>) -> Outside {
    let begun = [attempted(1), Event::Reserved, sent(OURS)];
    let mut outside = Outside::new(record_after(begun.into_iter().chain(events)));
    outside.is_used = false;
    outside
}

/// The attempts of which the book was told that they ended, each with its outcome.
fn told(outside: &Outside) -> Vec<(u32, Outcome)> {
    let asked = outside.asked.borrow();
    asked
        .iter()
        .filter_map(|command| match command {
            PayerCommand::Release {
                attempt, outcome, ..
            } => Some((*attempt, *outcome)),
            _ => None,
        })
        .collect()
}

#[test]
fn the_book_is_told_of_what_reverted_at_the_gas_wallets_cost_and_of_what_was_paid() {
    let reverted = holding([REVERTED]);
    assert_eq!(reverted.run(), Some(Event::TargetReleased));
    assert_eq!(told(&reverted), [(1, Outcome::Reverted)]);

    let paid = holding([settled(), issued()]);
    assert_eq!(paid.run(), Some(Event::TargetReleased));
    assert_eq!(told(&paid), [(u32::MAX, Outcome::Delivered)]);
}

#[test]
fn the_book_hears_with_that_of_a_grant_whose_calls_are_counted() {
    let grants = |sold: Sold| {
        let outside = holding([settled(), issued()]);
        let record = Purchase {
            sold: Some(sold),
            ..outside.store.record()
        };
        outside.store.put(record);
        assert_eq!(outside.run(), Some(Event::TargetReleased));
        let asked = outside.asked.borrow();
        let [PayerCommand::Release { grant, .. }] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        grant.clone()
    };
    let limits = serde_json::from_str(r#"{"quota":{"calls":7}}"#).unwrap();
    assert_eq!(grants(Sold::Access(access())), None);
    let counted = grants(Sold::Access(Access { limits, ..access() })).unwrap();
    assert_eq!(counted.plan.as_str(), "basic");
    assert_eq!(counted.ends_at.0, claims().exp);
}

#[test]
fn what_reverted_because_its_authorization_had_expired_is_not_counted() {
    let good_until = signed(1).authorization().expires_at().0;
    for (included_at, outcome) in [
        (good_until - 1, Outcome::Reverted),
        (good_until, Outcome::Other),
    ] {
        let mut outside = holding([REVERTED]);
        outside.block_time = included_at;
        assert_eq!(outside.run(), Some(Event::TargetReleased));
        assert_eq!(told(&outside), [(1, outcome)]);
    }
}

#[test]
fn what_cost_the_gas_wallet_nothing_is_not_counted() {
    let by_facilitator = holding([REVERTED]).by_facilitators(1);
    let never_included = holding([attempt_failed(
        Refusal::InvalidExactEvmTransactionSimulationFailed,
    )]);
    let expired = holding([GIVEN_UP]);
    for outside in [by_facilitator, never_included, expired] {
        assert_eq!(outside.run(), Some(Event::TargetReleased));
        let told = told(&outside);
        assert!(matches!(told[..], [(_, Outcome::Other)]), "{told:?}");
    }
}

#[test]
fn a_payer_that_must_wait_is_told_so_before_anything_is_stored() {
    let mut outside = holding([]);
    outside.forget();
    outside.is_accepted = true;
    outside.pause = Some(3_599_001);
    assert_eq!(outside.ask(), WAIT);
    assert_eq!(outside.store.load(), Ok(None));
}

#[test]
fn an_attempt_is_counted_before_the_next_one_of_the_same_authorization_is_judged() {
    let never_included = attempt_failed(Refusal::InvalidExactEvmTransactionFailed);
    let mut outside = holding([never_included]);
    outside.is_accepted = true;
    outside.pause = Some(3_600_000);
    let before = outside.store.load();
    assert_eq!(outside.ask(), WAIT);
    assert_eq!(outside.store.load(), before);
    let asked = outside.asked.borrow();
    assert!(
        matches!(
            asked.as_slice(),
            [
                PayerCommand::Release {
                    attempt: 1,
                    outcome: Outcome::Other,
                    ..
                },
                PayerCommand::Hold(next)
            ] if next.reservation.attempt == 2
        ),
        "{asked:?}"
    );
}

#[test]
fn who_must_wait_still_learns_that_its_failed_payment_arrived_after_all() {
    let mut outside = Outside::new(failed());
    outside.pause = Some(3_600_000);
    outside.ask();
    let state = outside.store.record().state;
    assert_eq!(state.transaction(), Some(STRANGERS));
}

#[test]
fn an_authorization_that_a_block_has_shown_is_not_attempted_again() {
    let refused = PayReply::Refused {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: Some(OURS),
        begun: true,
    };
    // Whoever read the block might present it, while the payer buys anew with another authorization: the book is not
    // asked where this one counts now.
    let mut outside = holding([REVERTED]);
    outside.is_accepted = true;
    outside.held = RefCell::new(
        [PayerReply::Superseded {
            by: RequestId::from_random([9; 16]),
        }]
        .into(),
    );
    assert_eq!(outside.ask(), refused);
    let asked = outside.asked.borrow();
    let is_release = |command: &PayerCommand| matches!(command, PayerCommand::Release { .. });
    assert!(asked.iter().all(is_release), "{asked:?}");
    drop(asked);
    let State::Pending { attempt } = outside.store.record().state else {
        panic!("it stays open");
    };
    assert_eq!(attempt.broadcast.number, 1);

    // It may have been executed since; then nobody is asked to pay again.
    let outside = Outside::new(failed());
    outside.ask();
    assert_eq!(outside.store.record().state.transaction(), Some(STRANGERS));
}
