//! The checks before a purchase begins, and their order.

use super::*;
use crate::book::TargetKey;
use crate::purchase::question::Join;
use crate::purchase::reply::NotNow;
use crate::settlement::wallet::{DataFee, expected_cost, most_cost, offered};
use crate::types::RequestId;

const SHORT: &str = "execution reverted: ERC20: transfer amount exceeds balance";

/// A shop where no purchase has begun and the chain would take the buyer's transfer.
fn fresh() -> Outside {
    let mut outside = Outside::new(submitted());
    outside.forget();
    (outside.is_accepted, outside.is_used) = (true, false);
    outside
}

fn answering(replies: impl IntoIterator<Item = PayerReply>) -> Outside {
    let mut outside = fresh();
    outside.held = RefCell::new(replies.into_iter().collect());
    outside
}

fn not_now(why: NotNow) -> PayReply {
    PayReply::NotNow(why)
}

fn is_withdrawn(outside: &Outside) -> bool {
    let asked = outside.asked.borrow();
    matches!(asked.last(), Some(PayerCommand::Withdraw { .. }))
}

/// The question that the buyer may ask another purchase of the same target.
fn join(by_attempted: bool) -> Join {
    Join {
        payer: buyer().address(),
        target: TargetKey::of(&crate::purchase::test_offer().terms),
        by_attempted,
    }
}

/// Whether the book was only asked which purchase the payment belongs to: with a balance of zero it sets no price
/// aside.
fn only_asks_whose(outside: &Outside) -> bool {
    let asked = outside.asked.borrow();
    matches!(&asked[..], [PayerCommand::Hold(hold)] if hold.balance == 0)
}

#[test]
fn what_is_not_waited_for_begins_however_long_it_takes_to_begin_it() {
    let mut outside = fresh();
    outside.pace = 100;
    let pay = || Ask::Pay(Box::new(pay(1)));
    let unbegun = outside.answer_within(Patience::NONE, pay());
    assert_eq!(unbegun, PayReply::Unbegun);
    assert_eq!(outside.store.load(), Ok(None));
    let begun = outside.answer_within(Patience::BEGIN, pay());
    assert!(matches!(begun, PayReply::Pending { .. }), "{begun:?}");
    assert!(matches!(
        outside.store.record().state,
        State::Pending { .. }
    ));
}

#[test]
fn a_payment_that_counts_elsewhere_is_led_there_also_while_the_chain_stands_still() {
    let by = RequestId::from_random([9; 16]);
    let mut outside = answering([PayerReply::Superseded { by: by.clone() }]);
    outside.time = NOW.to_seconds().0 - 600;
    let elsewhere = PayReply::Elsewhere {
        request_id: by,
        join: join(false),
    };
    assert_eq!(outside.ask(), elsewhere);
}

#[test]
fn nothing_is_begun_or_booked_while_the_newest_block_is_older_than_half_a_minute() {
    let mut outside = fresh();
    outside.time = NOW.to_seconds().0 - 31;
    assert_eq!(outside.ask(), not_now(NotNow::ChainStandsStill));
    assert_eq!(outside.store.load(), Ok(None));
    assert!(only_asks_whose(&outside));
    assert_eq!(outside.simulations.get(), 0);
    let mut outside = fresh();
    outside.time = NOW.to_seconds().0 - 30;
    outside.ask();
    assert!(outside.store.load().unwrap().is_some());
}

#[test]
fn nothing_is_begun_while_gas_costs_more_than_its_share_of_the_price() {
    // 50,000 gas at 0.06 gwei are $0.015 at $5,000 an ether.
    let mut outside = fresh();
    outside.base_fee = 61_000_000;
    assert_eq!(outside.ask(), not_now(NotNow::GasTooDear));
    assert!(only_asks_whose(&outside), "before anything is booked");
    let mut outside = fresh();
    (outside.base_fee, outside.gas) = (40_000_000, 80_000);
    assert_eq!(outside.ask(), not_now(NotNow::GasTooDear));
    assert!(is_withdrawn(&outside));
    assert_eq!(outside.store.load(), Ok(None));
}

/// The fee for the bytes of the buyer's payment, by `outside`'s fee for the sample.
fn data_fee(outside: &Outside) -> U256 {
    let data = DataFee::read(outside).now_or_never().unwrap();
    expected_cost(&signed(1), Network::BaseSepolia, 0, 0, data)
}

#[test]
fn the_fee_for_the_data_counts_as_gas() {
    // $0.015 are 3,000 gwei at $5,000 an ether; the gas itself costs next to nothing.
    let most = U256::from(3_000_000_000_000_u64);
    let mut outside = fresh();
    outside.data_fee = U256::from(20_000_000_000_000_u64);
    assert!(data_fee(&outside) < most);
    outside.ask();
    assert!(outside.store.load().unwrap().is_some());
    let mut outside = fresh();
    outside.data_fee = U256::from(40_000_000_000_000_u64);
    assert!(data_fee(&outside) > most);
    assert_eq!(outside.ask(), not_now(NotNow::GasTooDear));
    assert!(only_asks_whose(&outside), "before anything is booked");
}

#[test]
fn nothing_is_begun_that_the_gas_wallet_would_not_take() {
    for data in [0, 1_000_000_000] {
        let mut outside = fresh();
        outside.base_fee = 1_000;
        outside.data_fee = U256::from(data);
        let fees = offered(1_000, 1);
        let limit = gas_limit(outside.gas);
        let price = DataFee::read(&outside).now_or_never().unwrap();
        let needed = most_cost(&signed(1), Network::BaseSepolia, limit, fees, price);
        outside.ether = needed - U256::from(1);
        assert_eq!(outside.ask(), not_now(NotNow::GasWalletEmpty));
        assert_eq!(outside.store.load(), Ok(None));
        outside.shared = Shared::new();
        outside.ether = needed;
        outside.ask();
        assert!(outside.store.load().unwrap().is_some());
    }
}

#[test]
fn where_a_facilitator_settles_the_price_of_gas_does_not_matter() {
    let mut outside = fresh().by_facilitators(1);
    outside.base_fee = 61_000_000;
    let declines = r#"{"isValid":false,"invalidReason":"insufficient_funds"}"#;
    outside.answers = RefCell::new([declines].into());
    outside.ask();
    assert!(outside.store.load().unwrap().is_some());
}

#[test]
fn a_balance_that_only_one_node_reads_too_low_refuses_nothing() {
    let outside = answering([PayerReply::Uncovered { under_way: false }]);
    assert_eq!(outside.ask(), PayReply::Unavailable);
    let mut outside = answering([PayerReply::Uncovered { under_way: false }]);
    outside.balance = U256::ZERO;
    let reason = Refusal::InsufficientFunds;
    assert!(matches!(outside.ask(), PayReply::Refused { reason: said, .. } if said == reason));
}

#[test]
fn the_transfer_is_tried_out_after_its_price_is_set_aside_and_a_refusal_gives_that_free() {
    for (reply, told) in [
        (
            PayerReply::Uncovered { under_way: true },
            not_now(NotNow::UnderWay),
        ),
        (PayerReply::Crowded, not_now(NotNow::Crowded)),
        (PayerReply::Taken, PayReply::Taken),
    ] {
        let outside = answering([reply.clone(), reply.clone(), reply]);
        assert_eq!(outside.ask(), told);
        assert_eq!(outside.simulations.get(), 0);
        assert_eq!(outside.store.load(), Ok(None));
    }
    let mut outside = fresh();
    outside.is_accepted = false;
    assert!(matches!(outside.ask(), PayReply::Refused { .. }));
    assert!(is_withdrawn(&outside));
}

#[test]
fn too_little_money_is_said_only_while_nothing_is_under_way() {
    let mut outside = answering([PayerReply::Uncovered { under_way: false }]);
    outside.balance = U256::from(14_999);
    let insufficient = PayReply::Refused {
        reason: Refusal::InsufficientFunds,
        transaction: None,
        begun: false,
    };
    assert_eq!(outside.ask(), insufficient);
    assert_eq!(outside.simulations.get(), 0);
}

#[test]
fn a_balance_that_a_second_look_does_not_find_refuses_nothing() {
    let uncovered = || RefCell::new([PayerReply::Uncovered { under_way: false }].into());
    let mut outside = fresh();
    outside.held = uncovered();
    assert_eq!(outside.ask(), PayReply::Unavailable);
    assert_eq!(outside.store.load(), Ok(None));
    for is_accepted in [true, false] {
        let mut outside = Outside::new(failed_unseen());
        (outside.is_accepted, outside.is_used) = (is_accepted, false);
        (outside.refusal, outside.held) = (SHORT, uncovered());
        let before = outside.store.load();
        assert_eq!(outside.ask(), PayReply::Pending { transaction: None });
        assert_eq!(outside.store.load(), before);
    }
}

#[test]
fn a_simulation_that_no_other_answer_of_the_chain_confirms_refuses_nothing() {
    let mut outside = fresh();
    (outside.is_accepted, outside.refusal) = (false, SHORT);
    assert_eq!(outside.ask(), PayReply::Unavailable);
    assert!(is_withdrawn(&outside));
    // One node knows that the authorization was used, which may be why the balance is low.
    for balance in [U256::MAX, U256::ZERO] {
        let mut outside = answering([PayerReply::Reserved]);
        (outside.is_accepted, outside.balance) = (false, balance);
        outside.refusal = "execution reverted: FiatTokenV2: authorization is used or canceled";
        assert_eq!(outside.ask(), PayReply::Unavailable, "{balance}");
        assert!(is_withdrawn(&outside));
    }
}

#[test]
fn what_was_delivered_a_moment_ago_does_not_refuse_the_next_purchase() {
    let outside = answering([PayerReply::Uncovered { under_way: true }]);
    outside.ask();
    assert!(outside.store.load().unwrap().is_some());
}

#[test]
fn a_payment_that_another_purchase_has_taken_leads_there_unless_the_chain_shows_it() {
    let by = RequestId::from_random([9; 16]);
    let mut outside = answering([PayerReply::Presented { to: by.clone() }]);
    let elsewhere = PayReply::Elsewhere {
        request_id: by.clone(),
        join: join(true),
    };
    assert_eq!(outside.ask(), elsewhere);
    outside.is_used = true;
    outside.held = RefCell::new([PayerReply::Presented { to: by }].into());
    assert_eq!(outside.ask(), PayReply::Taken);
}

#[test]
fn who_shows_an_attempted_payment_again_is_not_shown_what_was_delivered() {
    let delivered = || {
        Outside::new(record_after([
            attempted(1),
            Event::Reserved,
            sent(OURS),
            settled(),
            issued(),
        ]))
    };
    for (by_attempted, is_shown) in [(true, false), (false, true)] {
        let reply = delivered().answer(Ask::Join(join(by_attempted)));
        assert_eq!(
            matches!(reply, PayReply::Granted { .. }),
            is_shown,
            "{reply:?}"
        );
    }
}

#[test]
fn a_facilitator_that_has_seen_a_payment_gets_nothing_by_showing_it() {
    let outside = Outside::new(submitted()).by_facilitators(1);
    let pending = PayReply::Pending { transaction: None };
    assert_eq!(outside.answer(Ask::Join(join(true))), pending);
}

#[test]
fn a_price_that_is_not_set_aside_any_longer_is_set_aside_again() {
    let outside = Outside::new(record_after([attempted(1)]));
    outside.held.borrow_mut().push_back(PayerReply::Lapsed);
    assert_eq!(outside.run(), Some(Event::Reserved));
    let asked = outside.asked.borrow();
    assert!(
        matches!(
            asked.as_slice(),
            [
                PayerCommand::Reserve(_),
                PayerCommand::Hold(_),
                PayerCommand::Reserve(_)
            ]
        ),
        "{asked:?}"
    );
}

#[test]
fn a_purchase_whose_price_is_not_covered_any_longer_waits_and_ends_without_a_broadcast() {
    let uncovered = || {
        [
            PayerReply::Lapsed,
            PayerReply::Uncovered { under_way: true },
        ]
    };
    let mut outside = Outside::new(record_after([attempted(1)]));
    outside.held = RefCell::new(uncovered().into());
    assert_eq!(outside.run(), None);
    outside.held = RefCell::new(uncovered().into());
    outside.time = signed(1).authorization().expires_at().0;
    let failed = attempt_failed(Refusal::InsufficientFunds);
    assert_eq!(outside.run(), Some(failed));
}

#[test]
fn a_thousand_requests_in_a_second_ask_once_how_the_chain_stands() {
    let outside = answering(vec![PayerReply::Taken; 1_000]);
    for _ in 0..1_000 {
        outside.ask();
    }
    assert_eq!(outside.heads.get(), 1);
}

#[test]
fn a_second_attempt_that_counts_elsewhere_shows_no_goods_to_whom_a_facilitator_gave_it() {
    let by = RequestId::from_random([9; 16]);
    let elsewhere = |by_attempted| PayReply::Elsewhere {
        request_id: by.clone(),
        join: join(by_attempted),
    };
    let superseded = || [PayerReply::Superseded { by: by.clone() }];
    let mut again = Outside::new(failed_unseen());
    (again.is_accepted, again.is_used) = (true, false);
    again.held = RefCell::new(superseded().into());
    assert_eq!(again.ask(), elsewhere(true));
    assert_eq!(answering(superseded()).ask(), elsewhere(false));
}
