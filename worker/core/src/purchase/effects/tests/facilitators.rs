//! What a purchase does with a facilitator's answers, and when there are none.

use super::*;
use crate::pauses;

const VALID: &str = r#"{"isValid":true}"#;
const INVALID: &str = r#"{"isValid":false,"invalidReason":"unsupported_scheme"}"#;
const DECLINED: &str = r#"{"success":false,"errorReason":"insufficient_funds","transaction":""}"#;
const SPENT: &str =
    r#"{"success":false,"errorReason":"invalid_exact_evm_nonce_already_used","transaction":""}"#;
const UNCLEAR: &str = r#"{"success":true,"transaction":""}"#;
const ASKED: Stage = Stage::Asked { since: NOW };
const OUT_OF_PATIENCE: u64 = 31;

/// A purchase that is about to be settled by this number of facilitators, which give these answers. The authorization
/// is unused.
fn settling(facilitators: usize, answers: &[&'static str]) -> Outside {
    let begun = Outside::new(record_after([attempted(1), Event::Reserved]));
    let mut outside = begun.by_facilitators(facilitators);
    outside.is_used = false;
    outside.is_included = false;
    outside.answers.borrow_mut().extend(answers);
    outside
}

/// Rings the alarm, which drives the purchase on until it must wait. Returns the state.
fn wake(outside: &Outside) -> State {
    outside.wake();
    outside.store.record().state
}

fn attempt(state: State) -> Attempt {
    match state {
        State::Pending { attempt } => attempt,
        other => panic!("{other:?}"),
    }
}

fn told(outside: &Outside) -> Vec<Action> {
    let told = outside.told.borrow();
    told.iter().map(|(action, _)| *action).collect()
}

#[test]
fn nobody_is_told_to_settle_before_the_intent_is_stored_nor_again_while_the_outcome_is_open() {
    let mut outside = settling(1, &[VALID]);
    assert_eq!(attempt(wake(&outside)).stage, ASKED);
    assert_eq!(
        *outside.told.borrow(),
        [(Action::Verify, Stage::Settling), (Action::Settle, ASKED)]
    );
    for _ in 0..3 {
        assert_eq!(attempt(wake(&outside)).stage, ASKED);
    }
    assert_eq!(told(&outside).len(), 2);

    outside.time += OUT_OF_PATIENCE;
    outside.answers.borrow_mut().extend([VALID, UNCLEAR]);
    let attempt = attempt(wake(&outside));
    assert_eq!((attempt.via, attempt.exposed), (1, true));
    assert!(matches!(attempt.stage, Stage::Asked { since } if since > NOW));
    assert_eq!(told(&outside).len(), 4);
}

#[test]
fn a_transfer_that_is_on_chain_counts_whatever_the_facilitator_says() {
    for answers in [
        &[INVALID][..],
        &[VALID, DECLINED],
        &[VALID, SPENT],
        &[VALID, UNCLEAR],
        &[VALID],
    ] {
        let mut outside = settling(1, answers);
        outside.is_used = true;
        let state = wake(&outside);
        assert_eq!(state.transaction(), Some(STRANGERS), "{answers:?}");
    }
}

#[test]
fn a_transfer_that_lands_just_after_a_no_is_not_denied() {
    let mut outside = settling(1, &[VALID, DECLINED]);
    outside.comes_later = true;
    assert_eq!(wake(&outside).transaction(), Some(STRANGERS));
}

#[test]
fn a_clear_no_is_the_end_only_when_nobody_else_is_left_and_nobody_may_still_settle() {
    let failed = |answers: &[&'static str], facilitators| match attempt(wake(&settling(
        facilitators,
        answers,
    )))
    .stage
    {
        Stage::Failed { reason, .. } => Some(reason),
        _ => None,
    };
    let [ours, theirs] = [Refusal::InsufficientFunds, Refusal::UnexpectedSettleError];
    assert_eq!(failed(&[INVALID], 1), Some(theirs));
    assert_eq!(failed(&[VALID, DECLINED], 1), Some(ours));
    assert_eq!(failed(&[INVALID, INVALID], 2), Some(theirs));
    // The first facilitator was told to settle: it may have done so before it declined.
    assert_eq!(failed(&[VALID, DECLINED, INVALID], 2), None);
    assert_eq!(failed(&[VALID, DECLINED, VALID], 2), None);
    // The facilitator's node knows a use of the authorization that our node does not know yet.
    assert_eq!(failed(&[VALID, SPENT], 1), None);

    let mut outside = settling(2, &[VALID, UNCLEAR]);
    wake(&outside);
    outside.time += OUT_OF_PATIENCE;
    outside.answers.borrow_mut().push_back(INVALID);
    let attempt = attempt(wake(&outside));
    assert_eq!((attempt.via, attempt.exposed), (1, true));
    assert_eq!(attempt.stage, Stage::Settling, "the first may still settle");
}

#[test]
fn a_facilitator_that_does_not_say_is_asked_once_more_and_then_passed_over() {
    let outside = settling(2, &["<html>", "<html>", VALID, UNCLEAR]);
    let attempt = attempt(wake(&outside));
    assert_eq!((attempt.via, attempt.exposed), (1, false));
    assert_eq!(
        told(&outside),
        [
            Action::Verify,
            Action::Verify,
            Action::Verify,
            Action::Settle
        ]
    );
}

#[test]
fn facilitators_that_cannot_be_asked_are_left_alone_for_a_while() {
    let outside = settling(2, &[]);
    let before = attempt(wake(&outside));
    assert_eq!((before.via, before.exposed), (2, false));
    assert_eq!(told(&outside), [Action::Verify, Action::Verify]);
}

#[test]
fn nothing_expired_is_handed_to_a_facilitator() {
    let mut outside = settling(1, &[VALID]);
    outside.time = LATE;
    assert!(matches!(wake(&outside), State::Expired { watch: None }));
    assert_eq!(told(&outside), []);
}

#[test]
fn a_payment_that_a_facilitator_may_still_settle_is_not_given_up_before_its_time() {
    let mut outside = settling(1, &[VALID, UNCLEAR]);
    wake(&outside);
    // The authorization has expired, but the chain may be behind.
    outside.time = LATE - 90;
    assert_eq!(attempt(wake(&outside)).stage, ASKED);
    outside.time = LATE;
    assert!(matches!(wake(&outside), State::Expired { watch: None }));
    assert_eq!(told(&outside).len(), 2);
}

/// The answer of a facilitator that has trouble of its own.
const TROUBLE: &str = r#"{"isValid":false,"invalidReason":"unexpected_verify_error"}"#;

#[test]
fn a_facilitator_with_trouble_of_its_own_is_asked_again_and_refuses_nothing() {
    let later = Stage::Asked {
        since: NOW.plus(pauses::VERIFY_AGAIN),
    };
    let outside = settling(1, &[TROUBLE, VALID]);
    assert_eq!(attempt(wake(&outside)).stage, later);

    for unclear in [TROUBLE, r#"{"isValid":false}"#, "{}", "<html>"] {
        let outside = settling(2, &[unclear, unclear, VALID]);
        let attempt = attempt(wake(&outside));
        assert_eq!(attempt.via, 1, "{unclear}");
        assert_eq!(attempt.stage, later, "{unclear}");
        let outside = settling(1, &[unclear, unclear]);
        assert_eq!(
            self::attempt(wake(&outside)).stage,
            Stage::Settling,
            "{unclear} is a refusal"
        );
    }
}

#[test]
fn a_facilitator_that_keeps_failing_is_left_alone_by_all_purchases_for_a_moment() {
    let mut outside = settling(2, &[]);
    outside.config.settlement = Settlement::new(
        ["https://down.example", "https://up.example"]
            .map(|url| Facilitator::new(url.parse().unwrap(), None))
            .into(),
        None,
    )
    .unwrap();
    let begin = |outside: &Outside| {
        let record = record_after([attempted(1), Event::Reserved]);
        outside.store.put(record);
    };
    let asked = |outside: &Outside| {
        let verify = told(outside)
            .into_iter()
            .filter(|action| *action == Action::Verify);
        verify.count()
    };
    for _ in 0..3 {
        begin(&outside);
        outside
            .answers
            .borrow_mut()
            .extend([TROUBLE, TROUBLE, VALID]);
        assert_eq!(attempt(wake(&outside)).via, 1);
    }
    assert_eq!(asked(&outside), 9);
    begin(&outside);
    outside.answers.borrow_mut().extend([VALID]);
    assert_eq!(attempt(wake(&outside)).via, 1);
    assert_eq!(asked(&outside), 10, "the one that keeps failing was asked");
    outside.time += 6;
    begin(&outside);
    outside.answers.borrow_mut().extend([VALID]);
    assert_eq!(attempt(wake(&outside)).via, 0);
}
