//! What is not sold while the seller's API fails, and whom its failures do not count against.

use super::calls::{ask, calling, later, refunding};
use super::*;
use crate::catalog::Settle;
use crate::purchase::reply::NotNow;
use crate::purchase::sold::Sold;
use crate::purchase::test_support::{answer, sold_call};
use crate::types::RouteId;

const OTHER: Address = Address::repeat_byte(0x0b);
const RESTS: PayReply = PayReply::NotNow(NotNow::CallsFail { seconds: 30 });

fn route() -> RouteId {
    "weather".parse().unwrap()
}

fn paid_first() -> Sold {
    sold_call(Settle::Before, false)
}

/// A shop where no purchase has begun, and the next calls get these answers.
fn shop(answers: impl IntoIterator<Item = Result<AnswerHead, OriginFault>>) -> Outside {
    refunding(calling(None, answers))
}

/// The reply to a buyer who pays for a call where no purchase has begun.
fn begin(outside: &Outside, sold: &Sold) -> PayReply {
    outside.forget();
    outside.has_waited.set(false);
    outside.asked.take();
    ask(outside, sold)
}

fn is_served(reply: &PayReply) -> bool {
    matches!(
        reply,
        PayReply::Granted {
            receipt: Some(_),
            ..
        }
    )
}

#[test]
fn a_route_whose_calls_keep_failing_is_not_sold_until_one_is_answered() {
    let sold = paid_first();
    let mut outside = shop([
        Ok(answer(1, 500)),
        Err(OriginFault::Timeout),
        Ok(answer(1, 200)),
        Ok(answer(1, 200)),
    ]);
    outside.shared.routes.failed(&route(), OTHER, outside.now());
    for _ in 0..2 {
        let reply = begin(&outside, &sold);
        assert!(!matches!(reply, PayReply::NotNow(_)), "{reply:?}");
    }
    let handed_over = outside.handed_over.get();
    for _ in 0..20 {
        assert_eq!(begin(&outside, &sold), RESTS);
        assert!(outside.store.stored.borrow().is_none());
        let asked = outside.asked.take();
        let books_nothing = |command: &PayerCommand| matches!(command, PayerCommand::Hold(hold) if hold.balance == 0);
        assert!(asked.iter().all(books_nothing), "{asked:?}");
    }
    assert_eq!(outside.made.borrow().len(), 2);
    assert_eq!(
        outside.handed_over.get(),
        handed_over,
        "nothing was charged"
    );
    outside.time = outside.now().to_seconds().0 + 30;
    let probe = begin(&outside, &sold);
    assert!(is_served(&probe), "{probe:?}");
    let next = begin(&outside, &sold);
    assert!(is_served(&next), "{next:?}");
}

#[test]
fn the_probe_that_fails_as_well_is_the_only_one_for_twice_as_long() {
    let sold = paid_first();
    let mut outside = shop([]);
    for payer in [OTHER, OTHER, buyer().address()] {
        outside.shared.routes.failed(&route(), payer, outside.now());
    }
    assert_eq!(begin(&outside, &sold), RESTS);
    outside.time = outside.now().to_seconds().0 + 30;
    begin(&outside, &sold);
    assert_eq!(outside.made.borrow().len(), 1);
    let seconds = 60;
    let rests = PayReply::NotNow(NotNow::CallsFail { seconds });
    assert_eq!(begin(&outside, &sold), rests);
}

#[test]
fn an_input_that_one_buyers_calls_fail_with_keeps_no_other_buyer_from_the_route() {
    let sold = paid_first();
    let outside = shop([Ok(answer(1, 200))]);
    for _ in 0..20 {
        outside.shared.routes.failed(&route(), OTHER, outside.now());
    }
    let reply = begin(&outside, &sold);
    assert!(is_served(&reply), "{reply:?}");
}

#[test]
fn an_answer_that_is_not_charged_for_is_no_failure_of_the_api() {
    let sold = paid_first();
    let outside = shop([400, 404, 429, 499].map(|status| Ok(answer(1, status))));
    for made in 1..=4 {
        begin(&outside, &sold);
        assert_eq!(outside.made.borrow().len(), made);
    }
    assert_eq!(
        outside
            .shared
            .routes
            .pause(&route(), buyer().address(), NOW),
        None
    );
}

#[test]
fn whatever_comes_instead_of_an_answer_is_a_failure_but_not_that_nothing_was_called_or_too_much_said()
 {
    for fault in [
        OriginFault::Unreachable,
        OriginFault::Timeout,
        OriginFault::Cut,
        OriginFault::Redirect,
        OriginFault::Busy,
        OriginFault::TooLarge,
    ] {
        let sold = paid_first();
        let outside = shop([Err(fault), Ok(answer(1, 200))]);
        for _ in 0..2 {
            outside.shared.routes.failed(&route(), OTHER, outside.now());
        }
        let reply = begin(&outside, &sold);
        let rests = outside.shared.routes.pause(&route(), OTHER, outside.now());
        assert_eq!(
            rests.is_none(),
            matches!(fault, OriginFault::Busy | OriginFault::TooLarge),
            "{fault:?} {reply:?}"
        );
    }
}

/// What the payer's book is told of the purchase that has just ended.
fn told(outside: &Outside) -> Outcome {
    outside.asked.take();
    for _ in 0..3 {
        later(outside, 1);
        outside.wake();
    }
    let asked = outside.asked.take();
    let outcomes: Vec<Outcome> = asked
        .into_iter()
        .filter_map(|command| match command {
            PayerCommand::Release { outcome, .. } => Some(outcome),
            _ => None,
        })
        .collect();
    let [outcome] = outcomes[..] else {
        panic!("{outcomes:?}");
    };
    outcome
}

#[test]
fn an_outage_of_the_api_does_not_count_against_the_buyers_whose_calls_fail() {
    let sold = paid_first();
    for answer in [
        Ok(answer(1, 500)),
        Ok(answer(1, 503)),
        Err(OriginFault::Unreachable),
        Err(OriginFault::Timeout),
        Err(OriginFault::Cut),
    ] {
        for (failures, outcome) in [
            (0, Outcome::Returned),
            (1, Outcome::Returned),
            (2, Outcome::Paid),
        ] {
            let outside = shop([answer.clone()]);
            for _ in 0..failures {
                outside.shared.routes.failed(&route(), OTHER, outside.now());
            }
            begin(&outside, &sold);
            assert_eq!(told(&outside), outcome, "{answer:?} after {failures}");
        }
    }
}

#[test]
fn what_the_api_refuses_counts_however_it_fails_others() {
    let sold = paid_first();
    let outside = shop([Ok(answer(1, 404))]);
    for payer in [OTHER, OTHER] {
        outside.shared.routes.failed(&route(), payer, outside.now());
    }
    begin(&outside, &sold);
    assert_eq!(told(&outside), Outcome::Returned);
}

#[test]
fn an_answer_that_is_too_large_counts_against_whoever_asked_for_it_and_says_nothing_of_the_api() {
    let sold = paid_first();
    let mut outside = shop([Err(OriginFault::TooLarge)]);
    for payer in [OTHER, OTHER, buyer().address()] {
        outside.shared.routes.failed(&route(), payer, outside.now());
    }
    outside.time = outside.now().to_seconds().0 + 30;
    begin(&outside, &sold);
    assert_eq!(told(&outside), Outcome::Returned);
    assert!(outside.shared.routes.keeps_failing(&route(), OTHER));
}

/// Whoever knows an input that the API fails with must not close the route to others for nothing.
#[test]
fn a_call_that_costs_nothing_when_it_fails_always_counts_and_closes_no_route() {
    let sold = sold_call(Settle::After, false);
    let outside = shop([
        Ok(answer(1, 500)),
        Ok(answer(1, 500)),
        Ok(answer(1, 500)),
        Ok(answer(1, 200)),
    ]);
    let routes = &outside.shared.routes;
    for _ in 0..2 {
        begin(&outside, &sold);
        assert_eq!(told(&outside), Outcome::Uncharged);
    }
    assert_eq!(routes.to_text(), "", "nothing is noted");
    for payer in [OTHER, OTHER, buyer().address()] {
        routes.failed(&route(), payer, outside.now());
    }
    begin(&outside, &sold);
    assert!(!outside.store.record().excused);
    let reply = begin(&outside, &sold);
    assert!(is_served(&reply), "{reply:?}");
}

#[test]
fn a_refund_in_an_outage_does_not_count_against_its_payer() {
    let refunded = |excused| {
        let sold = paid_first();
        let mut record = calls_before::paid(&sold);
        for event in [
            Event::Calling,
            Event::Excused,
            Event::IssueFailed {
                fault: DeliveryFault::Answered(500),
            },
            refund_begun(),
        ] {
            if excused || event != Event::Excused {
                record = apply(Some(&record), event, NOW, &POLICY).unwrap();
            }
        }
        record.state = State::RefundBlocked {
            payment: record.state.payment().unwrap().clone(),
            retried: false,
        };
        told(&refunding(calling(Some(record), [])))
    };
    assert_eq!(refunded(false), Outcome::Returned);
    assert_eq!(refunded(true), Outcome::Paid);
}
