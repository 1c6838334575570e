//! Calls that are charged after their answer.

use super::*;
use crate::catalog::Settle;
use crate::goods::Goods;
use crate::purchase::env::PurchaseStore as _;
use crate::purchase::question::{Join, Pay};
use crate::purchase::schedule::wake_at;
use crate::purchase::sold::Sold;
use crate::purchase::state::{Rest, Stage};
use crate::purchase::test_support::{
    REPORTED, answer, answered, attempted_call, call_offer, pay_call, signed_until, sold_call,
    the_call,
};

const SHORT: &str = "execution reverted: ERC20: transfer amount exceeds balance";

fn get() -> Sold {
    sold_call(Settle::After, true)
}

fn post() -> Sold {
    sold_call(Settle::After, false)
}

/// A buyer's request carries a call, which the API answers with `answers`. As soon as the gas wallet was asked, a
/// stranger's transaction executes the payment.
pub(super) fn calling(
    record: Option<Purchase>,
    answers: impl IntoIterator<Item = Result<AnswerHead, OriginFault>>,
) -> Outside {
    let outside = Outside::new(record.clone().unwrap_or_else(submitted));
    if record.is_none() {
        outside.forget();
    }
    Outside {
        is_accepted: true,
        is_used: false,
        comes_later: true,
        is_included: false,
        brought: Some(the_call()),
        origin_says: RefCell::new(answers.into_iter().collect()),
        ..outside
    }
}

pub(super) fn ask(outside: &Outside, sold: &Sold) -> PayReply {
    outside.answer(Ask::Pay(Box::new(pay_call(sold))))
}

fn stage(outside: &Outside) -> Stage {
    match outside.store.record().state {
        State::Pending { attempt } => attempt.stage,
        state => panic!("{state:?}"),
    }
}

pub(super) fn after(sold: &Sold, events: impl IntoIterator<Item = Event>) -> Purchase {
    record_after(
        [attempted_call(sold), Event::Reserved]
            .into_iter()
            .chain(events),
    )
}

/// A purchase whose answer is held and not charged for yet.
fn holding(sold: &Sold) -> Outside {
    let head = answer(1, 200);
    let outside = calling(
        Some(after(sold, [Event::Calling, Event::Answered { head }])),
        [],
    );
    outside.store.body.set(Some(1));
    outside
}

fn failed_with(reason: Refusal) -> Stage {
    Stage::Failed {
        reason,
        transaction: None,
    }
}

/// Turns refunds on.
pub(super) fn refunding(mut outside: Outside) -> Outside {
    let wallet = crate::types::WalletKey::from_hex(&format!("{:064x}", 9)).unwrap();
    outside.config.refund.wallet = Some(wallet);
    outside
}

/// Lets `seconds` pass, also on the chain.
fn in_seconds(mut outside: Outside, seconds: u64) -> Outside {
    outside.time += seconds;
    outside
}

pub(super) fn later(outside: &Outside, millis: u64) {
    outside.passed.set(outside.passed.get() + millis);
}

#[test]
fn the_answer_is_kept_before_its_price_is_charged_and_given_out_afterwards() {
    let outside = calling(None, [Ok(answer(1, 200))]);
    let PayReply::Granted {
        goods,
        receipt: Some(receipt),
        ..
    } = ask(&outside, &get())
    else {
        panic!("not granted");
    };
    assert_eq!(goods, answered(answer(1, 200), None));
    assert_eq!(receipt.transaction, STRANGERS);
    assert_eq!(outside.store.body.get(), Some(1));
    let made = outside.made.borrow();
    let [(call, record)] = &made[..] else {
        panic!("{made:?}");
    };
    // When the call was made, the intent was stored, and nobody who could charge the payment had it.
    assert!(
        matches!(&record.state, State::Pending { attempt } if matches!(attempt.stage, Stage::Calling { .. }))
    );
    assert_eq!((call.number, call.transaction), (1, None));
    assert_eq!(call.route.as_str(), "weather");
    assert_eq!(call.limit, 1_048_576);
    assert_eq!(call.timeout_millis, 30_000);
    assert_eq!(outside.handed_over.get(), 2, "once, and once more to look");
}

#[test]
fn a_repeat_gets_the_same_answer_and_calls_nothing() {
    let outside = calling(None, [Ok(answer(1, 200))]);
    let first = ask(&outside, &get());
    assert!(matches!(first, PayReply::Granted { .. }));
    assert_eq!(ask(&outside, &get()), first);
    assert_eq!(outside.made.borrow().len(), 1);
}

#[test]
fn what_is_not_charged_for_is_passed_on_and_nothing_is_sent() {
    for status in [199, 400, 404, 500] {
        let outside = calling(None, [Ok(answer(1, status))]);
        let reply = ask(&outside, &get());
        let passed_on = PayReply::Granted {
            goods: answered(answer(1, status), None),
            receipt: None,
            again: false,
        };
        assert_eq!(reply, passed_on);
        assert_eq!(stage(&outside), failed_with(Refusal::CallUncharged));
        assert_eq!(outside.handed_over.get(), 0);
        assert_eq!(outside.store.body.get(), None);
    }
    for status in [200, 204, 302, 399] {
        let outside = calling(None, [Ok(answer(1, status))]);
        let reply = ask(&outside, &get());
        assert!(
            matches!(
                reply,
                PayReply::Granted {
                    receipt: Some(_),
                    ..
                }
            ),
            "{status}"
        );
    }
}

#[test]
fn that_nothing_is_charged_is_said_only_after_the_chain_was_asked_once_more() {
    // Somebody executes the authorization while the call is being made.
    let mut outside = refunding(calling(None, [Ok(answer(1, 404))]));
    outside.is_used = true;
    let reply = ask(&outside, &get());
    let refund = Some(STRANGERS);
    let passed_on = PayReply::Granted {
        goods: answered(answer(1, 404), refund),
        receipt: None,
        again: false,
    };
    assert_eq!(reply, passed_on);
    assert_eq!(outside.store.record().state.transaction(), refund);
}

#[test]
fn without_an_answer_the_buyer_hears_why_and_nothing_is_sent() {
    for fault in [
        OriginFault::Unreachable,
        OriginFault::Timeout,
        OriginFault::Cut,
        OriginFault::TooLarge,
        OriginFault::Redirect,
    ] {
        let outside = calling(None, [Err(fault)]);
        let refund = None;
        assert_eq!(ask(&outside, &get()), PayReply::Origin { fault, refund });
        assert_eq!(stage(&outside), failed_with(Refusal::CallUncharged));
        assert_eq!(outside.handed_over.get(), 0);
    }
}

#[test]
fn an_answer_that_is_larger_than_was_asked_for_is_none() {
    let large = AnswerHead {
        length: 1_048_577,
        ..answer(1, 200)
    };
    let outside = calling(None, [Ok(large)]);
    let (fault, refund) = (OriginFault::TooLarge, None);
    assert_eq!(ask(&outside, &get()), PayReply::Origin { fault, refund });
}

#[test]
fn a_call_that_was_put_off_is_made_a_moment_later_and_counts_once() {
    let outside = calling(None, [Err(OriginFault::Busy), Ok(answer(1, 200))]);
    let reply = ask(&outside, &post());
    assert!(
        matches!(
            reply,
            PayReply::Granted {
                receipt: Some(_),
                ..
            }
        ),
        "{reply:?}"
    );
    let numbers: Vec<u32> = outside
        .made
        .borrow()
        .iter()
        .map(|(call, _)| call.number)
        .collect();
    assert_eq!(numbers, [1, 1]);
}

#[test]
fn who_waits_for_a_call_that_is_put_off_hears_that_it_is_not_over() {
    let outside = calling(None, (0..100).map(|_| Err(OriginFault::Busy)));
    let transaction = None;
    assert_eq!(ask(&outside, &post()), PayReply::Calling { transaction });
    assert_eq!(stage(&outside), Stage::Uncalled);
}

#[test]
fn nothing_begins_for_a_call_that_is_not_brought_along() {
    for brought in [
        None,
        Some(CallDigest::of([b"GET".as_slice(), b"/weather/rome"])),
    ] {
        let mut outside = calling(None, [Ok(answer(1, 200))]);
        outside.brought = brought;
        assert_eq!(ask(&outside, &get()), PayReply::Unavailable);
        assert_eq!(outside.store.load(), Ok(None));
        assert!(outside.asked.borrow().is_empty());
    }
}

#[test]
fn the_alarm_makes_no_call_and_gives_one_up_that_nobody_comes_back_with() {
    for record in [after(&get(), []), after(&get(), [Event::Calling])] {
        let mut outside = calling(Some(record), [Ok(answer(1, 200))]);
        outside.brought = None;
        let before = stage(&outside);
        outside.wake();
        assert_eq!(stage(&outside), before);
        assert_eq!(outside.store.alarm.get(), Some(NOW.plus(60_000)));
        later(&outside, 60_000);
        outside.wake();
        assert_eq!(stage(&outside), failed_with(Refusal::CallUnfinished));
        assert!(outside.made.borrow().is_empty());
    }
}

#[test]
fn a_call_whose_end_is_unknown_is_made_once_more_where_its_route_allows_it() {
    let outside = calling(Some(after(&get(), [Event::Calling])), [Ok(answer(2, 200))]);
    let reply = ask(&outside, &get());
    assert!(
        matches!(
            reply,
            PayReply::Granted {
                receipt: Some(_),
                ..
            }
        ),
        "{reply:?}"
    );
    let numbers: Vec<u32> = outside
        .made
        .borrow()
        .iter()
        .map(|(call, _)| call.number)
        .collect();
    assert_eq!(numbers, [2]);
    for (sold, calls) in [(post(), 1), (get(), 2)] {
        let record = after(&sold, (0..calls).map(|_| Event::Calling));
        let outside = calling(Some(record), [Ok(answer(3, 200))]);
        let reply = ask(&outside, &sold);
        assert!(
            matches!(
                reply,
                PayReply::Refused {
                    reason: Refusal::CallUnfinished,
                    begun: true,
                    ..
                }
            ),
            "{reply:?}"
        );
        assert!(outside.made.borrow().is_empty());
    }
}

#[test]
fn the_same_payment_calls_again_only_where_the_route_allows_it_and_once() {
    let outside = calling(
        None,
        [Ok(answer(1, 500)), Ok(answer(2, 503)), Ok(answer(3, 200))],
    );
    let status = |reply| match reply {
        PayReply::Granted {
            goods: Goods::Answer { head, .. },
            receipt: None,
            ..
        } => head.status,
        reply => panic!("{reply:?}"),
    };
    assert_eq!(status(ask(&outside, &get())), 500);
    assert_eq!(status(ask(&outside, &get())), 503);
    let over = PayReply::Refused {
        reason: Refusal::CallUncharged,
        transaction: None,
        begun: true,
    };
    assert_eq!(ask(&outside, &get()), over);
    assert_eq!(outside.made.borrow().len(), 2);
    let outside = calling(None, [Ok(answer(1, 500)), Ok(answer(2, 200))]);
    assert_eq!(status(ask(&outside, &post())), 500);
    assert_eq!(ask(&outside, &post()), over);
    assert_eq!(outside.made.borrow().len(), 1);
}

#[test]
fn who_asks_later_is_not_shown_an_answer_that_was_never_charged_for() {
    let outside = calling(None, [Ok(answer(1, 404))]);
    ask(&outside, &post());
    let join = Ask::Join(Join {
        payer: buyer().address(),
        target: crate::book::TargetKey::of(&call_offer().terms),
        by_attempted: false,
    });
    let reply = outside.answer(join);
    assert!(
        matches!(reply, PayReply::Refused { begun: true, .. }),
        "{reply:?}"
    );
}

#[test]
fn that_nothing_is_charged_is_not_said_when_another_request_has_begun_anew_meanwhile() {
    let failed = [Event::Calling, attempt_failed(Refusal::CallUncharged)];
    let failed = after(&get(), failed.into_iter().chain([Event::TargetReleased]));
    let begun = apply(Some(&failed), attempted_call(&get()), NOW, &POLICY).unwrap();
    let outside = calling(Some(failed), []);
    outside.becomes.replace(Some(begun));
    let join = Ask::Join(Join {
        payer: buyer().address(),
        target: crate::book::TargetKey::of(&call_offer().terms),
        by_attempted: false,
    });
    let reply = outside.answer_within(Patience::NONE, join);
    assert!(matches!(reply, PayReply::Pending { .. }), "{reply:?}");
}

#[test]
fn an_answer_whose_body_memory_has_lost_is_not_recorded() {
    let outside = calling(None, []);
    let record = after(&get(), [Event::Calling]);
    outside.store.put(record.clone());
    let stored = outside.store.load().unwrap();
    let head = answer(1, 200);
    let event = Event::Answered { head };
    let committed = crate::purchase::store::commit(&outside, stored.as_ref(), event);
    assert_eq!(committed, Ok(false));
    assert_eq!(outside.store.record(), record);
}

#[test]
fn the_alarm_charges_for_an_answer_while_the_buyer_was_heard_of_within_a_minute() {
    let outside = holding(&get());
    later(&outside, 59_000);
    outside.wake();
    assert!(matches!(stage(&outside), Stage::Submitted(_)));
    assert_eq!(outside.handed_over.get(), 1);
}

#[test]
fn who_has_gone_is_not_charged_and_may_come_back_for_the_answer() {
    let mut outside = in_seconds(holding(&post()), 60);
    outside.brought = None;
    outside.wake();
    assert_eq!(stage(&outside), failed_with(Refusal::CallUnfinished));
    assert_eq!(outside.store.body.get(), Some(1));
    let released = outside.asked.borrow().iter().any(|command| {
        matches!(
            command,
            PayerCommand::Release {
                outcome: Outcome::Withheld,
                ..
            }
        )
    });
    assert!(released, "{:?}", outside.asked.borrow());
    outside.brought = Some(the_call());
    outside.handed_over.set(0);
    let reply = ask(&outside, &post());
    assert!(
        matches!(
            reply,
            PayReply::Granted {
                receipt: Some(_),
                ..
            }
        ),
        "{reply:?}"
    );
    assert!(outside.made.borrow().is_empty(), "it was here");
}

#[test]
fn a_question_puts_the_minute_off() {
    let outside = holding(&get());
    later(&outside, 50_000);
    let join = Join {
        payer: buyer().address(),
        target: crate::book::TargetKey::of(&call_offer().terms),
        by_attempted: false,
    };
    outside.answer_within(Patience::NONE, Ask::Join(join));
    later(&outside, 50_000);
    outside.wake();
    assert!(matches!(stage(&outside), Stage::Submitted(_)));
}

#[test]
fn who_asks_again_while_the_call_is_made_changes_nothing_of_its_end() {
    for sold in [get(), post()] {
        let mut outside = calling(None, [Ok(answer(1, 200))]);
        (outside.is_asked_again, outside.origin_takes) = (true, 10_000);
        let reply = ask(&outside, &sold);
        assert!(
            matches!(
                reply,
                PayReply::Granted {
                    receipt: Some(_),
                    ..
                }
            ),
            "{reply:?}"
        );
        assert_eq!(outside.made.borrow().len(), 1);
    }
    let mut outside = calling(None, [Ok(answer(1, 404))]);
    (outside.is_asked_again, outside.origin_takes) = (true, 10_000);
    ask(&outside, &post());
    assert_eq!(stage(&outside), failed_with(Refusal::CallUncharged));
}

#[test]
fn who_has_moved_the_money_away_meanwhile_gets_nothing_and_costs_no_gas() {
    let mut outside = holding(&get());
    (outside.is_accepted, outside.refusal, outside.balance) = (false, SHORT, U256::ZERO);
    let reply = ask(&outside, &get());
    assert_eq!(
        reply,
        PayReply::Refused {
            reason: Refusal::InsufficientFunds,
            transaction: None,
            begun: true
        }
    );
    assert_eq!(outside.handed_over.get(), 0);
}

#[test]
fn what_the_wallet_may_have_is_not_given_up_by_what_the_chain_says_now() {
    let head = answer(1, 200);
    let handed_over = [Event::Calling, Event::Answered { head }, Event::Settling];
    let mut outside = calling(Some(after(&get(), handed_over)), []);
    outside.store.body.set(Some(1));
    // The wallet's answer to the first hand-over was lost, and the payer's money is gone by now; but it may be back
    // when the transaction is executed.
    (outside.is_accepted, outside.refusal, outside.balance) = (false, SHORT, U256::ZERO);
    outside.wake();
    assert!(matches!(stage(&outside), Stage::Submitted(_)));
    assert_eq!(outside.simulations.get(), 0);
}

#[test]
fn a_charge_that_comes_after_the_purchase_has_ended_goes_back() {
    let ended = [
        after(
            &get(),
            [Event::Calling, attempt_failed(Refusal::CallUncharged)],
        ),
        after(
            &get(),
            [
                Event::Calling,
                Event::Answered {
                    head: answer(1, 200),
                },
                GIVEN_UP,
            ],
        ),
    ];
    for record in ended {
        let late = apply(Some(&record), settled(), NOW, &POLICY).unwrap();
        assert!(
            matches!(
                late.state,
                State::Paid {
                    failure: Some(failure),
                    ..
                } if failure.fault == DeliveryFault::Late
            ),
            "{late:?}"
        );
        assert_eq!(next_effect(&late, NOW, &POLICY), Effect::BeginRefund);
        assert_eq!(
            apply(Some(&late), Event::Calling, NOW, &POLICY),
            Err(Refused)
        );
    }
}

#[test]
fn an_answer_that_is_held_goes_with_the_purchase_that_has_ended() {
    let head = answer(1, 200);
    let failed = [
        Event::Calling,
        Event::Answered { head },
        attempt_failed(Refusal::CallUnfinished),
    ];
    let outside = calling(Some(after(&get(), failed.clone())), []);
    outside.store.body.set(Some(1));
    let (now, policy) = (outside.now(), outside.config.policy());
    let reply = operate(&outside.store, OperatorCommand::Cancel, now, &policy);
    assert!(matches!(reply, Ok(OperatorReply::Done { .. })), "{reply:?}");
    assert_eq!(outside.store.body.get(), None);
    let ended = after(&get(), failed.into_iter().chain([GIVEN_UP]));
    for record in [outside.store.record(), ended] {
        let watched = record.state.watch().expect("it is watched");
        assert_eq!(watched.held, None);
    }
}

#[test]
fn a_charge_that_comes_while_it_is_waited_for_delivers_the_answer_that_is_held() {
    let head = answer(1, 200);
    let record = after(
        &get(),
        [
            Event::Calling,
            Event::Answered { head: head.clone() },
            Event::Settling,
            sent(OURS),
            settled(),
        ],
    );
    assert_eq!(next_effect(&record, NOW, &POLICY), Effect::Issue);
    let outside = calling(Some(record), []);
    outside.store.body.set(Some(1));
    outside.wake();
    let State::Delivered { goods, .. } = outside.store.record().state else {
        panic!("not delivered");
    };
    assert_eq!(goods, answered(head, None));
    assert_eq!(outside.store.body.get(), Some(1));
    assert!(outside.made.borrow().is_empty());
}

#[test]
fn facilitators_see_the_authorization_only_when_the_answer_is_held() {
    let outside = calling(None, [Ok(answer(1, 404))]).by_facilitators(1);
    ask(&outside, &get());
    assert!(outside.told.borrow().is_empty());
    let outside = calling(None, [Ok(answer(1, 200))]).by_facilitators(1);
    outside.answers.replace(
        [
            r#"{"isValid":true}"#,
            r#"{"success":false,"errorReason":"insufficient_funds"}"#,
        ]
        .into_iter()
        .collect(),
    );
    ask(&outside, &get());
    let told = outside.told.borrow();
    assert_eq!(told[0], (Action::Verify, Stage::Settling));
    assert!(matches!(&told[1], (Action::Settle, Stage::Asked { .. })));
}

#[test]
fn an_answer_that_could_not_be_charged_for_counts_also_if_a_facilitator_never_says_so() {
    let mut outside = holding(&get()).by_facilitators(1);
    (outside.comes_later, outside.brought) = (false, None);
    outside
        .answers
        .borrow_mut()
        .push_back(r#"{"isValid":true}"#);
    // The facilitator is told to settle and gives no answer, because the payer has moved the money away meanwhile.
    outside.wake();
    assert!(matches!(stage(&outside), Stage::Asked { .. }));
    outside.time += 331;
    outside.wake();
    let State::Expired { watch: None } = outside.store.record().state else {
        panic!("{:?}", outside.store.record());
    };
    outside.wake();
    let asked = outside.asked.take();
    let is_told = |command: &PayerCommand| {
        matches!(
            command,
            PayerCommand::Release {
                outcome: Outcome::Withheld,
                ..
            }
        )
    };
    assert!(asked.iter().any(is_told), "{asked:?}");
}

#[test]
fn no_call_is_made_that_nobody_could_be_asked_to_charge_for() {
    let calls: usize = (0..20)
        .scan(Shared::new(), |shared, _| {
            let mut outside = calling(None, [Ok(answer(1, 200))]).by_facilitators(1);
            core::mem::swap(&mut outside.shared, shared);
            outside.answer_within(Patience::BEGIN, Ask::Pay(Box::new(pay_call(&get()))));
            for _ in 0..3 {
                outside.wake();
            }
            let made = outside.made.borrow().len();
            core::mem::swap(&mut outside.shared, shared);
            Some(made)
        })
        .sum();
    assert!((1..=3).contains(&calls), "{calls}");
}

#[test]
fn an_answer_is_kept_for_an_hour_and_then_gone_for_good() {
    let outside = calling(None, [Ok(answer(1, 200))]);
    ask(&outside, &get());
    let policy = outside.config.policy();
    for event in [Event::TargetReleased, REPORTED] {
        let record = apply(Some(&outside.store.record()), event, NOW, &policy).unwrap();
        outside.store.put(record);
    }
    let delivered = outside.store.record();
    let end = delivered.changed_at.plus(3_600_000);
    assert_eq!(wake_at(&delivered, NOW, &policy), Some(end));
    later(&outside, end.since(outside.now()) - 1);
    outside.wake();
    assert_eq!(outside.store.body.get(), Some(1));
    later(&outside, 1);
    outside.wake();
    assert_eq!(outside.store.body.get(), None);
    let transaction = STRANGERS;
    assert_eq!(ask(&outside, &get()), PayReply::AnswerGone { transaction });
    assert_eq!(outside.made.borrow().len(), 1);
    let closed = outside.store.record();
    assert!(closed.is_over());
    assert!(
        wake_at(&closed, outside.now(), &policy).is_some(),
        "its history goes later"
    );
}

#[test]
fn who_waits_has_the_answer_before_it_is_removed_however_short_it_is_kept() {
    let mut outside = calling(None, [Ok(answer(1, 200))]);
    outside.config.gateway.keep_seconds = 0;
    ask(&outside, &get());
    later(&outside, 59_000);
    outside.wake();
    assert_eq!(outside.store.body.get(), Some(1));
}

#[test]
fn what_is_paid_is_in_time_when_it_is_shown_and_has_time_left_for_the_answer() {
    let refused = |outside: &Outside, pay: Pay| outside.answer(Ask::Pay(Box::new(pay)));
    let too_short = PayReply::Refused {
        reason: Refusal::CallOfferTooShort,
        transaction: None,
        begun: false,
    };
    // The authorization expires 290 seconds after `NOW`; the API may take 30 of these seconds, and 20 are reserved for
    // the settlement.
    let outside = in_seconds(calling(None, [Ok(answer(1, 200))]), 241);
    assert_eq!(refused(&outside, pay_call(&get())), too_short);
    assert_eq!(outside.store.load(), Ok(None));
    let outside = in_seconds(calling(None, [Ok(answer(1, 200))]), 240);
    assert!(matches!(ask(&outside, &get()), PayReply::Granted { .. }));
    // The offer ends before the answer can be here.
    let outside = calling(None, [Ok(answer(1, 200))]);
    let mut soon = pay_call(&get());
    soon.sale.as_mut().unwrap().offer.terms.expires_at = NOW.plus(49_000).to_seconds();
    assert_eq!(refused(&outside, soon.clone()), too_short);
    soon.sale.as_mut().unwrap().offer.terms.expires_at = NOW.plus(51_000).to_seconds();
    let mut outside = calling(None, [Ok(answer(1, 200))]);
    // The answer takes so long that the offer has ended when its price is charged.
    outside.origin_takes = 60_000;
    let reply = outside.answer_within(Patience::of_call(60_000), Ask::Pay(Box::new(soon)));
    assert!(
        matches!(
            reply,
            PayReply::Granted {
                receipt: Some(_),
                ..
            }
        ),
        "{reply:?}"
    );
}

#[test]
fn an_authorization_for_a_call_is_good_for_a_day_at_most() {
    let until = |end, sold: &Sold| {
        let outside = calling(None, [Ok(answer(1, 200))]);
        let mut pay = pay_call(sold);
        pay.authorization = signed_until(&buyer(), 1, end);
        outside.answer(Ask::Pay(Box::new(pay)))
    };
    let day = NOW.to_seconds().0 + 86_400;
    let too_long = PayReply::Refused {
        reason: Refusal::CallAuthorizationTooLong,
        transaction: None,
        begun: false,
    };
    assert_eq!(until(day + 1, &get()), too_long);
    assert_ne!(until(day, &get()), too_long);
    // An authorization that is settled before the call may be good for any time.
    assert_ne!(until(day + 1, &sold_call(Settle::Before, false)), too_long);
}

#[test]
fn a_call_leaves_nothing_behind_and_the_ledger_and_the_payers_book_hear_of_it_first() {
    let mut record = after(
        &get(),
        [Event::Calling, attempt_failed(Refusal::CallUncharged)],
    );
    let lapsed = Event::Lapsed {
        may_still_land: false,
    };
    for event in [Event::TargetReleased, GIVEN_UP, lapsed, REPORTED] {
        record = apply(Some(&record), event, NOW, &POLICY).unwrap();
    }
    let request_id = record.terms.request_id.clone();
    let (presented, late) = (record.presented.unwrap(), 3 * 86_400);
    let mut outside = in_seconds(calling(Some(record), []), late);
    outside.ledger_is_gone = true;
    outside.wake();
    assert_eq!(outside.store.record().rest, Rest::Leaving);
    outside.ledger_is_gone = false;
    outside.book_is_gone.set(true);
    outside.wake();
    assert_eq!(outside.store.record().rest, Rest::Leaving);
    outside.book_is_gone.set(false);
    outside.wake();
    assert_eq!(outside.store.load(), Ok(None));
    assert_eq!(outside.store.alarm.get(), None);
    assert_eq!(
        outside.unlisted.take(),
        [request_id.clone(), request_id.clone()]
    );
    let asked = outside.asked.take();
    let PayerCommand::Forget {
        request_id: its,
        nonce,
        ..
    } = asked.last().unwrap()
    else {
        panic!("{asked:?}");
    };
    assert_eq!((its, *nonce), (&request_id, presented.nonce));
}

#[test]
fn a_refund_of_what_the_payer_has_executed_himself_is_counted_before_it_begins() {
    for is_watched in [true, false] {
        let mut record = after(
            &get(),
            [Event::Calling, attempt_failed(Refusal::CallUncharged)],
        );
        let presented = record.presented.unwrap();
        record = apply(Some(&record), Event::TargetReleased, NOW, &POLICY).unwrap();
        if is_watched {
            record = apply(Some(&record), GIVEN_UP, NOW, &POLICY).unwrap();
        }
        record = apply(Some(&record), settled(), NOW, &POLICY).unwrap();
        let counted = PayerCommand::ArrivedLate {
            request_id: record.terms.request_id.clone(),
            nonce: presented.nonce,
        };
        let outside = refunding(calling(Some(record), []));
        outside.book_is_gone.set(true);
        outside.wake();
        assert!(matches!(outside.store.record().state, State::Paid { .. }));
        outside.book_is_gone.set(false);
        outside.wake();
        assert!(outside.asked.borrow().contains(&counted), "{is_watched}");
        let state = outside.store.record().state;
        assert!(!matches!(state, State::Paid { .. }), "{state:?}");
    }
}
