//! The reply to every question, in every state of a purchase.

use futures_util::FutureExt as _;

use alloy_primitives::B256;

use super::super::lifecycle::{Event, apply};
use super::super::question::Sale;
use super::super::state::Purchase;
use super::super::test_support::{
    self, EXPIRES_AT, NOW, POLICY, attempt_failed, attempted, buyer, dated, issued, pay,
    record_after, sent, settled, signed_by,
};
use super::*;
use crate::chain::SignedAuthorization;
use crate::offer::Target;
use crate::testing::ScriptedPurchases;
use crate::types::{Address, Network, WalletKey};
use crate::x402::Refusal;

fn submitted() -> Event {
    sent(B256::repeat_byte(1))
}

fn failed() -> Event {
    attempt_failed(Refusal::InvalidExactEvmTransactionFailed)
}

fn delivered() -> Purchase {
    record_after([
        attempted(1),
        Event::Reserved,
        submitted(),
        settled(),
        issued(),
    ])
}

fn ask(pay: Pay) -> Ask {
    Ask::Pay(Box::new(pay))
}

/// The question that the payer may ask another purchase of the same target.
fn join_of(by_attempted: bool) -> Join {
    Join {
        payer: buyer().address(),
        target: pay(1).target,
        by_attempted,
    }
}

fn join() -> Ask {
    Ask::Join(join_of(false))
}

fn elsewhere(by: &RequestId, by_attempted: bool) -> PayReply {
    PayReply::Elsewhere {
        request_id: by.clone(),
        join: join_of(by_attempted),
    }
}

/// A payment for another offer under the same request id.
fn pay_for(nonce: u8, change: impl FnOnce(&mut crate::offer::Terms)) -> Pay {
    let mut pay = pay(nonce);
    let terms = &mut pay.sale.as_mut().unwrap().offer.terms;
    change(terms);
    pay.target = TargetKey::of(terms);
    pay
}

fn granted() -> Next {
    Next::Answer(test_support::granted())
}

#[test]
fn a_purchase_on_another_network_answers_nobody() {
    let elsewhere = Policy {
        network: Network::Base,
        ..POLICY
    };
    let ask = Ask::Pay(Box::new(pay(1)));
    let answer = |policy| ask.answer(Some(&delivered()), NOW, policy);
    assert_eq!(answer(&elsewhere), Next::Answer(PayReply::Conflict));
    assert!(matches!(
        answer(&POLICY),
        Next::Answer(PayReply::Granted { .. })
    ));
}

#[test]
fn a_first_payment_begins_a_purchase_while_offer_and_authorization_are_good() {
    assert_eq!(ask(pay(1)).answer(None, NOW, &POLICY), Next::Begin);
    let late = EXPIRES_AT.to_millis();
    assert_eq!(
        ask(pay(1)).answer(None, late, &POLICY),
        Next::Answer(PayReply::Expired)
    );
    let too_late = UnixMillis(1_800_000_295_000);
    assert_eq!(
        ask(pay(1)).answer(None, too_late, &POLICY),
        Next::Answer(PayReply::Refused {
            reason: Refusal::InvalidExactEvmPayloadAuthorizationValidBefore,
            transaction: None,
            begun: false,
        })
    );
}

#[test]
fn nobody_joins_a_purchase_that_does_not_exist() {
    assert_eq!(
        join().answer(None, NOW, &POLICY),
        Next::Answer(PayReply::Unbegun)
    );
    let never_begun = RequestId::from_random([9; 16]);
    let (reply, _) = follow(vec![elsewhere(&never_begun, false), PayReply::Unbegun]);
    assert_eq!(reply, PayReply::Expired);
}

#[test]
fn the_payer_gets_the_grant_with_the_same_or_a_fresh_authorization_also_after_the_offer_expired() {
    let record = delivered();
    for now in [NOW, EXPIRES_AT.to_millis().plus(1_000_000)] {
        assert_eq!(ask(pay(1)).answer(Some(&record), now, &POLICY), granted());
        assert_eq!(ask(pay(2)).answer(Some(&record), now, &POLICY), granted());
        assert_eq!(join().answer(Some(&record), now, &POLICY), granted());
    }
}

#[test]
fn a_purchase_whose_access_has_ended_says_so_to_its_payer_and_is_never_begun_again() {
    let Purchase { state, .. } = delivered();
    let mut closed = delivered();
    let State::Delivered { payment, .. } = state else {
        panic!("{state:?}");
    };
    let transaction = payment.transaction;
    closed.state = State::Closed { payment };
    let ended = Next::Answer(PayReply::AccessEnded { transaction });
    let new_offer = pay_for(2, |terms| {
        terms.issued_at = EXPIRES_AT;
        terms.expires_at = EXPIRES_AT.plus(900);
    });
    for question in [ask(pay(1)), ask(pay(2)), ask(new_offer), join()] {
        for now in [NOW, NOW.plus(u64::MAX / 2)] {
            assert_eq!(question.answer(Some(&closed), now, &POLICY), ended);
        }
    }
}

#[test]
fn another_payer_gets_a_conflict_in_every_state() {
    let thief = WalletKey::from_hex(&format!("{:064x}", 0xbad)).unwrap();
    let mut stranger = pay(1);
    stranger.authorization = signed_by(&thief, 1);
    let question = ask(stranger);
    for record in [
        record_after([attempted(1)]),
        record_after([attempted(1), failed()]),
        delivered(),
    ] {
        assert_eq!(
            question.answer(Some(&record), NOW, &POLICY),
            Next::Answer(PayReply::Conflict)
        );
    }
}

#[test]
fn another_target_under_the_same_request_id_is_a_conflict() {
    let other_plan = pay_for(1, |terms| {
        terms.target = Target::Plan("pro-monthly".parse().unwrap());
    });
    let other_resource = pay_for(1, |terms| terms.resource = "other".parse().unwrap());
    for question in [other_plan, other_resource] {
        assert_eq!(
            ask(question).answer(Some(&delivered()), NOW, &POLICY),
            Next::Answer(PayReply::Conflict)
        );
    }
}

#[test]
fn a_purchase_under_way_is_driven_whatever_the_same_payer_signs() {
    for events in [
        vec![attempted(1)],
        vec![attempted(1), Event::Reserved],
        vec![attempted(1), Event::Reserved, submitted()],
        vec![attempted(1), Event::Reserved, submitted(), settled()],
    ] {
        let record = record_after(events);
        for question in [ask(pay(1)), ask(pay(2)), join()] {
            assert_eq!(question.answer(Some(&record), NOW, &POLICY), Next::Drive);
        }
    }
}

#[test]
fn a_failed_purchase_takes_only_its_own_authorization_again() {
    let record = record_after([attempted(1), failed()]);
    let reason = Refusal::InvalidExactEvmTransactionFailed;
    assert_eq!(ask(pay(1)).answer(Some(&record), NOW, &POLICY), Next::Begin);
    assert_eq!(
        ask(pay(2)).answer(Some(&record), NOW, &POLICY),
        Next::Answer(PayReply::Spent { reason })
    );
    let refused = Next::Answer(PayReply::Refused {
        reason,
        transaction: None,
        begun: true,
    });
    assert_eq!(
        ask(pay(1)).answer(Some(&record), EXPIRES_AT.to_millis(), &POLICY),
        refused
    );
    assert_eq!(join().answer(Some(&record), NOW, &POLICY), refused);
}

#[test]
fn a_superseded_purchase_names_the_one_that_counts() {
    let by = RequestId::from_random([9; 16]);
    let record = record_after([attempted(1), Event::Superseded { by: by.clone() }]);
    assert_eq!(
        ask(pay(1)).answer(Some(&record), NOW, &POLICY),
        Next::Answer(elsewhere(&by, false))
    );
    let cancelled = apply(
        Some(&record_after([attempted(1)])),
        Event::Cancelled,
        NOW,
        &POLICY,
    )
    .unwrap();
    assert_eq!(
        ask(pay(1)).answer(Some(&cancelled), NOW, &POLICY),
        Next::Answer(PayReply::Cancelled)
    );
}

#[test]
fn a_delivered_purchase_whose_request_id_is_derived_needs_a_fresh_signature() {
    let mut record = delivered();
    assert!(
        !Ask::needs_fresh_signature(&record),
        "the buyer's own request id is a secret"
    );
    record.terms.request_id = RequestId::derived(&[1; 16]);
    assert!(Ask::needs_fresh_signature(&record));
    let mut pending = record_after([attempted(1)]);
    pending.terms.request_id = RequestId::derived(&[1; 16]);
    assert!(
        !Ask::needs_fresh_signature(&pending),
        "who asks before delivery brought the payment"
    );
}

fn dated_by(authorization: SignedAuthorization) -> Ask {
    ask(Pay {
        authorization,
        ..dated(1)
    })
}

#[test]
fn a_payment_without_an_offer_is_answered_like_any_other_but_begins_nothing() {
    let again = |nonce| ask(dated(nonce));
    let at = |ask: &Ask, record: &Purchase| ask.answer(Some(record), NOW, &POLICY);
    let conflict = Next::Answer(PayReply::Conflict);
    assert_eq!(again(1).answer(None, NOW, &POLICY), conflict);
    for events in [
        vec![attempted(1)],
        vec![attempted(1), Event::Reserved, submitted()],
    ] {
        assert_eq!(at(&again(1), &record_after(events)), Next::Drive);
    }
    assert_eq!(at(&again(1), &delivered()), granted());
    let by = RequestId::from_random([9; 16]);
    let superseded = record_after([attempted(1), Event::Superseded { by: by.clone() }]);
    let elsewhere = Next::Answer(elsewhere(&by, false));
    assert_eq!(at(&again(1), &superseded), elsewhere);

    let failed = record_after([attempted(1), failed()]);
    let reason = Refusal::InvalidExactEvmTransactionFailed;
    assert_eq!(at(&ask(pay(1)), &failed), Next::Begin);
    let refused = Next::Answer(PayReply::Refused {
        reason,
        transaction: None,
        begun: true,
    });
    assert_eq!(at(&again(1), &failed), refused);
    let spent = Next::Answer(PayReply::Spent { reason });
    assert_eq!(at(&again(2), &failed), spent);
}

#[test]
fn a_payment_without_an_offer_fits_its_payers_purchase_of_the_plan_and_of_the_resource_that_it_names()
 {
    let record = delivered();
    let thief = WalletKey::from_hex(&format!("{:064x}", 0xbad)).unwrap();
    assert!(!dated_by(signed_by(&thief, 1)).fits(&record, Network::BaseSepolia));
    // A signature of the payer is not enough: another seller whom this wallet has paid holds one, too, but for its own address or
    // another amount.
    let signed_otherwise = |change: fn(&mut crate::x402::Authorization)| {
        let mut authorization = pay(1).authorization.authorization().clone();
        change(&mut authorization);
        let network = record.terms.network;
        dated_by(SignedAuthorization::sign(&buyer(), authorization, network).unwrap())
    };
    assert!(signed_otherwise(|_| {}).fits(&record, Network::BaseSepolia));
    assert!(
        !signed_otherwise(|its| its.to = Address::repeat_byte(9))
            .fits(&record, Network::BaseSepolia)
    );
    assert!(
        !signed_otherwise(|its| its.value += alloy_primitives::U256::from(1))
            .fits(&record, Network::BaseSepolia)
    );
    let target = |plan: &str| Target::Plan(plan.parse().unwrap());
    let of = |target| ask(Pay { target, ..dated(1) });
    let default = record.terms.resource.clone();
    let other = "other".parse().unwrap();
    assert!(of(TargetKey::of_any_resource(&target("basic"))).fits(&record, Network::BaseSepolia));
    assert!(of(TargetKey::new(&target("basic"), &default)).fits(&record, Network::BaseSepolia));
    assert!(!of(TargetKey::new(&target("basic"), &other)).fits(&record, Network::BaseSepolia));
    assert!(!of(TargetKey::of_any_resource(&target("bas"))).fits(&record, Network::BaseSepolia));
    assert!(!of(TargetKey::new(&target("pro"), &default)).fits(&record, Network::BaseSepolia));
}

fn follow(replies: Vec<PayReply>) -> (PayReply, Vec<(RequestId, Ask)>) {
    let script = ScriptedPurchases::new(replies);
    let answered = purchase(&script, pay(1), Patience::REQUEST).now_or_never();
    (answered.unwrap().reply.unwrap(), script.asked.into_inner())
}

#[test]
fn a_payment_that_counts_elsewhere_is_followed_there_without_presenting_it_again() {
    let first = RequestId::from_random([9; 16]);
    let (reply, asked) = follow(vec![elsewhere(&first, false), PayReply::Taken]);
    assert_eq!(reply, PayReply::Taken);
    let own = pay(1).request_id;
    assert_eq!(asked, [(own, ask(pay(1))), (first, join())]);
}

#[test]
fn where_the_purchase_that_a_payment_was_led_to_gives_no_answer_that_one_is_named() {
    let other = RequestId::from_random([9; 16]);
    let script = ScriptedPurchases::new([elsewhere(&other, false)]);
    let answered = purchase(&script, pay(1), Patience::REQUEST).now_or_never();
    let expected = Answered {
        request_id: other,
        join: join_of(false),
        reply: None,
    };
    assert_eq!(answered, Some(expected));
}

#[test]
fn an_id_that_follows_from_a_payment_is_nobodys_choice() {
    let sale = |change: fn(&mut crate::offer::Terms)| {
        let pay = pay_for(1, change);
        Sale {
            chosen: true,
            ..pay.sale.unwrap()
        }
    };
    assert!(sale(|_| {}).is_chosen());
    let derived = sale(|terms| {
        terms.request_id = RequestId::derived(&[1; 16]);
        terms.chosen = true;
    });
    assert!(!derived.is_chosen());
}

#[test]
fn a_payment_that_another_purchase_has_taken_is_followed_to_it_unless_that_one_is_of_another_target()
 {
    let first = RequestId::from_random([9; 16]);
    let elsewhere = elsewhere(&first, true);
    let (reply, asked) = follow(vec![elsewhere.clone(), PayReply::Expired]);
    assert_eq!(reply, PayReply::Expired);
    let [_, (_, Ask::Join(join))] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert!(join.by_attempted);
    let (reply, _) = follow(vec![elsewhere, PayReply::Conflict]);
    assert_eq!(reply, PayReply::Taken);
}

#[test]
fn a_payment_that_fits_todays_offer_also_opens_what_it_bought_before_and_begins_it_not_again() {
    // The client named no plan, and another plan is the cheapest today, at the same price.
    let today = || Pay {
        target: TargetKey::of_any_plan(None),
        ..pay_for(1, |terms| {
            terms.target = Target::Plan("other".parse().unwrap())
        })
    };
    let at = |pay, record: &Purchase| ask(pay).answer(Some(record), NOW, &POLICY);
    assert_eq!(ask(today()).answer(None, NOW, &POLICY), Next::Begin);
    assert_eq!(at(today(), &delivered()), granted());
    let failed = record_after([attempted(1), failed()]);
    assert!(matches!(
        at(today(), &failed),
        Next::Answer(PayReply::Refused { begun: true, .. })
    ));
    // The earlier purchase had another price.
    let mut cheaper = delivered();
    cheaper.terms.amount = crate::types::UsdcAmount::from_units(1);
    assert_eq!(at(today(), &cheaper), Next::Answer(PayReply::Conflict));
}

#[test]
fn an_endless_chain_of_purchases_is_not_followed_for_ever() {
    let elsewhere = elsewhere(&RequestId::from_random([9; 16]), false);
    let (reply, asked) = follow(vec![elsewhere; 10]);
    assert_eq!(reply, PayReply::Pending { transaction: None });
    assert_eq!(asked.len(), MAX_HOPS);
}
