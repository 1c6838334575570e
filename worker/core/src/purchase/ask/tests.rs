//! What a question meets, in every state a purchase can be in.

use core::cell::RefCell;
use std::collections::VecDeque;

use futures_util::FutureExt as _;

use super::super::lifecycle::{Event, apply};
use super::super::state::Purchase;
use super::super::test_support::{
    EXPIRES_AT, NOW, POLICY, attempted, buyer, claims, pay, payment, receipt, record_after,
    signed_by,
};
use super::*;
use crate::offer::Target;
use crate::types::WalletKey;
use crate::x402::Refusal;

fn submitted() -> Event {
    Event::Submitted {
        hashes: vec![B256::repeat_byte(1)],
    }
}

fn failed() -> Event {
    Event::AttemptFailed {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: None,
    }
}

fn delivered() -> Purchase {
    record_after([
        attempted(1),
        Event::Reserved,
        submitted(),
        Event::Settled { payment: payment() },
        Event::Issued {
            goods: crate::goods::Goods::Token { claims: claims() },
        },
    ])
}

fn ask(pay: Pay) -> Ask {
    Ask::Pay(Box::new(pay))
}

fn join() -> Ask {
    Ask::Join(Join {
        payer: buyer().address(),
        target: pay(1).target(),
        by_attempted: false,
    })
}

fn granted() -> Next {
    Next::Answer(PayReply::Granted {
        goods: crate::goods::Goods::Token { claims: claims() },
        receipt: receipt(buyer().address()),
        again: false,
    })
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
        Next::Answer(PayReply::Expired)
    );
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
    let mut new_offer = pay(2);
    new_offer.offer.terms.issued_at = EXPIRES_AT;
    new_offer.offer.terms.expires_at = EXPIRES_AT.plus(900);
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
    let mut other_plan = pay(1);
    other_plan.offer.terms.target = Target::Plan("pro-monthly".parse().unwrap());
    let mut other_resource = pay(1);
    other_resource.offer.terms.resource = "other".parse().unwrap();
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
        vec![
            attempted(1),
            Event::Reserved,
            submitted(),
            Event::Settled { payment: payment() },
        ],
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
        Next::Answer(PayReply::Elsewhere {
            request_id: by,
            attempted: false,
        })
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

fn repeat_of(authorization: SignedAuthorization) -> Ask {
    Ask::Repeat(Box::new(Repeat {
        network: Network::BaseSepolia,
        request_id: pay(1).offer.terms.request_id,
        authorization,
        target: TargetKey::of_any_resource(&pay(1).offer.terms.target),
        identifier: None,
    }))
}

#[test]
fn a_repeat_is_answered_like_the_payment_but_never_begins_anything() {
    let again = |nonce| repeat_of(pay(nonce).authorization);
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
    let elsewhere = Next::Answer(PayReply::Elsewhere {
        request_id: by,
        attempted: false,
    });
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
fn a_repeat_fits_its_payers_purchase_of_the_plan_and_of_the_resource_that_it_names() {
    let record = delivered();
    let thief = WalletKey::from_hex(&format!("{:064x}", 0xbad)).unwrap();
    assert!(!repeat_of(signed_by(&thief, 1)).fits(&record, Network::BaseSepolia));
    // Who was paid by the same wallet elsewhere has its signature, too.
    let signed_otherwise = |change: fn(&mut crate::x402::Authorization)| {
        let mut authorization = pay(1).authorization.authorization().clone();
        change(&mut authorization);
        let network = record.terms.network;
        repeat_of(SignedAuthorization::sign(&buyer(), authorization, network).unwrap())
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
    let of = |target| {
        let authorization = pay(1).authorization;
        let identifier = None;
        Ask::Repeat(Box::new(Repeat {
            network: Network::BaseSepolia,
            request_id: pay(1).offer.terms.request_id,
            authorization,
            target,
            identifier,
        }))
    };
    let default = record.terms.resource.clone();
    let other = "other".parse().unwrap();
    assert!(of(TargetKey::of_any_resource(&target("basic"))).fits(&record, Network::BaseSepolia));
    assert!(of(TargetKey::new(&target("basic"), &default)).fits(&record, Network::BaseSepolia));
    assert!(!of(TargetKey::new(&target("basic"), &other)).fits(&record, Network::BaseSepolia));
    assert!(!of(TargetKey::of_any_resource(&target("bas"))).fits(&record, Network::BaseSepolia));
    assert!(!of(TargetKey::new(&target("pro"), &default)).fits(&record, Network::BaseSepolia));
}

/// Purchases that answer what they are told, and remember what they were asked.
struct Script {
    replies: RefCell<VecDeque<PayReply>>,
    asked: RefCell<Vec<(RequestId, Ask)>>,
}

impl Purchases for Script {
    async fn ask(
        &self,
        request_id: &RequestId,
        ask: &Ask,
        _: Patience,
    ) -> Result<PayReply, CallFault> {
        self.asked
            .borrow_mut()
            .push((request_id.clone(), ask.clone()));
        let next = self.replies.borrow_mut().pop_front();
        next.ok_or_else(|| CallFault("no more replies".to_owned()))
    }
}

fn follow(replies: Vec<PayReply>) -> (PayReply, Vec<(RequestId, Ask)>) {
    let script = Script {
        replies: RefCell::new(replies.into()),
        asked: RefCell::default(),
    };
    let reply = purchase(&script, pay(1), Patience::REQUEST)
        .now_or_never()
        .unwrap()
        .unwrap();
    (reply, script.asked.into_inner())
}

#[test]
fn a_payment_that_counts_elsewhere_is_followed_there_without_presenting_it_again() {
    let first = RequestId::from_random([9; 16]);
    let (reply, asked) = follow(vec![
        PayReply::Elsewhere {
            request_id: first.clone(),
            attempted: false,
        },
        PayReply::Taken,
    ]);
    assert_eq!(reply, PayReply::Taken);
    let [(own, Ask::Pay(_)), (other, Ask::Join(_))] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert_eq!(own, &pay(1).offer.terms.request_id);
    assert_eq!(other, &first);
}

#[test]
fn a_payment_that_another_purchase_has_taken_is_followed_to_it_unless_that_one_is_of_another_target()
 {
    let first = RequestId::from_random([9; 16]);
    let elsewhere = PayReply::Elsewhere {
        request_id: first,
        attempted: true,
    };
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
fn a_repeat_that_counts_elsewhere_is_followed_there_for_any_resource() {
    let own = pay(1).offer.terms.request_id;
    let first = RequestId::from_random([9; 16]);
    let elsewhere = PayReply::Elsewhere {
        request_id: first.clone(),
        attempted: false,
    };
    let script = Script {
        replies: RefCell::new(vec![elsewhere, PayReply::Expired].into()),
        asked: RefCell::default(),
    };
    let Ask::Repeat(repeat) = repeat_of(pay(1).authorization) else {
        panic!("no repeat");
    };
    let reply = repeated(&script, (*repeat).clone(), Patience::REQUEST)
        .now_or_never()
        .unwrap();
    assert_eq!(reply, Ok(PayReply::Expired));
    let asked = script.asked.into_inner();
    let join = Ask::Join(Join {
        payer: buyer().address(),
        target: repeat.target.clone(),
        by_attempted: false,
    });
    assert!(join.fits(&delivered(), Network::BaseSepolia));
    assert_eq!(asked, [(own, Ask::Repeat(repeat)), (first, join)]);
}

#[test]
fn an_endless_chain_of_purchases_is_not_followed_for_ever() {
    let elsewhere = PayReply::Elsewhere {
        request_id: RequestId::from_random([9; 16]),
        attempted: false,
    };
    let (reply, asked) = follow(vec![elsewhere; 10]);
    assert_eq!(reply, PayReply::Pending { transaction: None });
    assert_eq!(asked.len(), MAX_HOPS);
}
