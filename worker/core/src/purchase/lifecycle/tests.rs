//! Every state with every event, including the events that are refused; and the exact stored form.

use crate::json;
use crate::purchase::Sent;
use alloy_primitives::B256;

use super::super::outbox::{Message, Sending};
use super::super::retention::HISTORY_MILLIS;
use super::super::schedule::{Effect, next_effect, wake_at};
use super::super::test_support::{
    EXPIRES_AT, GIVEN_UP, NOW, POLICY, REPORTED, attempt_failed, attempted, buyer, claims, issued,
    payment, record_after, refund, refund_begun, sent, settled, signed, signed_by,
};
use super::*;
use crate::goods::DeliveryFault;
use crate::types::WalletKey;
use crate::types::{RequestId, UnixSeconds};
use crate::x402::Refusal;

const REPORT_TRIED: Event = Event::Told {
    message: Message::Report,
    sending: Sending::Tried,
};
const LAPSED: Event = Event::Lapsed {
    may_still_land: false,
};
const ISSUE_FAILED: Event = Event::IssueFailed {
    fault: DeliveryFault::Timeout,
};
const RETURNED_BY_HAND: Event = Event::ReturnedByHand {
    transaction: B256::repeat_byte(0x4a),
};
const PREPARED: Event = Event::RefundPrepared {
    gas_limit: 90_000,
    from_block: 12,
};

fn submitted(byte: u8) -> Event {
    sent(B256::repeat_byte(byte))
}

const PASSED_ON: Event = Event::PassedOn { exposed: true };
const SKIPPED: Event = Event::PassedOn { exposed: false };

fn failed() -> Event {
    attempt_failed(Refusal::InvalidExactEvmTransactionFailed)
}

fn reverted() -> Event {
    Event::AttemptFailed {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: Some(B256::repeat_byte(0xaa)),
    }
}

fn other() -> RequestId {
    RequestId::from_random([9; 16])
}

fn returned() -> Event {
    let mut payment = payment();
    payment.transaction = B256::repeat_byte(0xbb);
    Event::Settled { payment }
}

fn superseded() -> Event {
    Event::Superseded { by: other() }
}

fn paid_events() -> Vec<Event> {
    vec![attempted(1), Event::Reserved, submitted(1), settled()]
}

fn refund_events() -> Vec<Event> {
    let mut events = paid_events();
    events.extend([ISSUE_FAILED, refund_begun()]);
    events
}

/// A record in each state, made by the events that lead there.
fn states() -> Vec<(&'static str, Purchase)> {
    let path = |events: Vec<Event>| record_after(events);
    let paid = |more: Vec<Event>| record_after(paid_events().into_iter().chain(more));
    let refund = |more: Vec<Event>| record_after(refund_events().into_iter().chain(more));
    let hopeless = || (0..MAX_REFUND_FAILURES).map(|_| failed()).collect();
    vec![
        ("reserving", path(vec![attempted(1)])),
        ("settling", path(vec![attempted(1), Event::Reserved])),
        (
            "asked",
            path(vec![attempted(1), Event::Reserved, Event::Asked]),
        ),
        (
            "submitted",
            path(vec![attempted(1), Event::Reserved, submitted(1)]),
        ),
        (
            "failed",
            path(vec![attempted(1), Event::Reserved, submitted(1), failed()]),
        ),
        (
            "reverted",
            path(vec![
                attempted(1),
                Event::Reserved,
                submitted(1),
                reverted(),
            ]),
        ),
        (
            "reserving again",
            path(vec![attempted(1), Event::Reserved, failed(), attempted(1)]),
        ),
        ("paid", paid(vec![])),
        ("undelivered", paid(vec![ISSUE_FAILED])),
        ("delivered", paid(vec![issued()])),
        ("expired", path(vec![attempted(1), Event::Reserved, LAPSED])),
        (
            "given up",
            path(vec![attempted(1), Event::Reserved, GIVEN_UP]),
        ),
        ("cancelled", path(vec![attempted(1), Event::Cancelled])),
        (
            "called off",
            path(vec![
                attempted(1),
                Event::Reserved,
                failed(),
                Event::Cancelled,
            ]),
        ),
        ("superseded", path(vec![attempted(1), superseded()])),
        ("refund preparing", refund(vec![])),
        ("refund settling", refund(vec![PREPARED])),
        ("refund submitted", refund(vec![PREPARED, submitted(3)])),
        ("refunded", refund(vec![PREPARED, submitted(3), returned()])),
        ("refund failed", refund(hopeless())),
        ("blocked", paid(vec![ISSUE_FAILED, Event::RefundBlocked])),
        (
            "unblocking",
            paid(vec![
                ISSUE_FAILED,
                Event::RefundBlocked,
                Event::RefundRetried,
            ]),
        ),
    ]
}

/// The record after the ledger has taken its report.
fn reported(record: &Purchase) -> Purchase {
    apply(Some(record), REPORTED, NOW, &POLICY).unwrap()
}

fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("attempted", attempted(1)),
        ("attempted anew", attempted(2)),
        ("reserved", Event::Reserved),
        ("superseded", superseded()),
        ("taken", Event::Taken),
        ("asked", Event::Asked),
        ("passed on", PASSED_ON),
        ("submitted", submitted(1)),
        ("submitted anew", submitted(2)),
        ("failed", failed()),
        ("lapsed", LAPSED),
        ("given up", GIVEN_UP),
        ("settled", settled()),
        ("returned", returned()),
        ("issued", issued()),
        ("issue failed", ISSUE_FAILED),
        ("refund begun", refund_begun()),
        ("refund prepared", PREPARED),
        ("refund blocked", Event::RefundBlocked),
        ("returned by hand", RETURNED_BY_HAND),
        ("refund retried", Event::RefundRetried),
        ("cancelled", Event::Cancelled),
    ]
}

#[test]
fn each_state_takes_exactly_the_events_that_the_design_allows() {
    let allowed = [
        ("reserving", "reserved", "PENDING"),
        ("reserving", "superseded", "CANCELLED"),
        ("reserving", "taken", "CANCELLED"),
        ("reserving", "failed", "PENDING"),
        ("reserving", "lapsed", "EXPIRED"),
        ("reserving", "given up", "EXPIRED"),
        ("reserving", "cancelled", "CANCELLED"),
        ("settling", "asked", "PENDING"),
        ("settling", "passed on", "PENDING"),
        ("settling", "submitted", "PENDING"),
        ("settling", "submitted anew", "PENDING"),
        ("settling", "failed", "PENDING"),
        ("settling", "lapsed", "EXPIRED"),
        ("settling", "given up", "EXPIRED"),
        ("settling", "settled", "PAID"),
        ("settling", "returned", "PAID"),
        ("asked", "passed on", "PENDING"),
        ("asked", "submitted", "PENDING"),
        ("asked", "submitted anew", "PENDING"),
        ("asked", "failed", "PENDING"),
        ("asked", "lapsed", "EXPIRED"),
        ("asked", "given up", "EXPIRED"),
        ("asked", "settled", "PAID"),
        ("asked", "returned", "PAID"),
        ("submitted", "passed on", "PENDING"),
        ("submitted", "submitted anew", "PENDING"),
        ("submitted", "failed", "PENDING"),
        ("submitted", "lapsed", "EXPIRED"),
        ("submitted", "given up", "EXPIRED"),
        ("submitted", "settled", "PAID"),
        ("submitted", "returned", "PAID"),
        ("failed", "attempted", "PENDING"),
        ("failed", "lapsed", "EXPIRED"),
        ("failed", "given up", "EXPIRED"),
        ("failed", "settled", "PAID"),
        ("failed", "returned", "PAID"),
        ("failed", "cancelled", "CANCELLED"),
        // A block has shown the authorization to everybody, so it is not attempted again.
        ("reverted", "lapsed", "EXPIRED"),
        ("reverted", "given up", "EXPIRED"),
        ("reverted", "settled", "PAID"),
        ("reverted", "returned", "PAID"),
        ("reverted", "cancelled", "CANCELLED"),
        // The authorization is public since the first attempt. So the purchase can no longer be called off, and is
        // still watched when the payment counts for another purchase.
        ("reserving again", "reserved", "PENDING"),
        ("reserving again", "superseded", "PENDING"),
        ("reserving again", "taken", "CANCELLED"),
        ("reserving again", "failed", "PENDING"),
        ("reserving again", "lapsed", "EXPIRED"),
        ("reserving again", "given up", "EXPIRED"),
        ("paid", "issued", "DELIVERED"),
        ("paid", "issue failed", "PAID"),
        ("paid", "refund begun", "REFUND_PENDING"),
        ("undelivered", "issued", "DELIVERED"),
        ("undelivered", "issue failed", "PAID"),
        ("undelivered", "refund begun", "REFUND_PENDING"),
        ("undelivered", "refund blocked", "REFUND_FAILED"),
        ("given up", "lapsed", "EXPIRED"),
        ("given up", "settled", "PAID"),
        ("given up", "returned", "PAID"),
        ("called off", "lapsed", "CANCELLED"),
        ("called off", "settled", "PAID"),
        ("called off", "returned", "PAID"),
        ("refund preparing", "failed", "REFUND_PENDING"),
        ("refund preparing", "returned", "REFUNDED"),
        ("refund preparing", "refund prepared", "REFUND_PENDING"),
        ("refund settling", "submitted", "REFUND_PENDING"),
        ("refund settling", "submitted anew", "REFUND_PENDING"),
        ("refund settling", "failed", "REFUND_PENDING"),
        ("refund settling", "returned", "REFUNDED"),
        ("refund submitted", "submitted", "REFUND_PENDING"),
        ("refund submitted", "submitted anew", "REFUND_PENDING"),
        ("refund submitted", "failed", "REFUND_PENDING"),
        ("refund submitted", "returned", "REFUNDED"),
        ("refund failed", "returned", "REFUNDED"),
        ("refund failed", "refund retried", "REFUND_PENDING"),
        ("blocked", "returned by hand", "REFUNDED"),
        ("blocked", "refund retried", "REFUND_PENDING"),
        ("unblocking", "refund begun", "REFUND_PENDING"),
        ("unblocking", "refund blocked", "REFUND_FAILED"),
    ];
    let mut seen = Vec::new();
    for (state, record) in states() {
        for (name, event) in events() {
            if let Ok(next) = apply(Some(&record), event, NOW, &POLICY) {
                seen.push((state, name, next.state.status().as_str()));
            }
        }
    }
    assert_eq!(seen, allowed);
}

#[test]
fn a_facilitator_that_was_asked_is_remembered_until_the_payment_is_resolved() {
    let after = |events: &[Event]| {
        let begin = [attempted(1), Event::Reserved];
        let record = record_after(begin.into_iter().chain(events.iter().cloned()));
        let State::Pending { attempt } = record.state else {
            panic!("{record:?}");
        };
        (attempt.via, attempt.exposed, attempt.stage)
    };
    assert_eq!(after(&[]), (0, false, Stage::Settling));
    assert_eq!(after(&[SKIPPED]), (1, false, Stage::Settling));
    assert_eq!(
        after(&[Event::Asked]),
        (0, false, Stage::Asked { since: NOW })
    );
    assert_eq!(after(&[Event::Asked, SKIPPED]), (1, false, Stage::Settling));
    assert_eq!(
        after(&[Event::Asked, PASSED_ON]),
        (1, true, Stage::Settling)
    );
    assert_eq!(
        after(&[Event::Asked, PASSED_ON, SKIPPED]),
        (2, true, Stage::Settling)
    );
    assert_eq!(
        after(&[
            Event::Asked,
            PASSED_ON,
            failed(),
            attempted(1),
            Event::Reserved
        ]),
        (0, true, Stage::Settling),
        "tried again from the first route"
    );
}

#[test]
fn an_answer_that_is_lost_is_given_up_after_its_time_and_not_later() {
    let asked = record_after([attempted(1), Event::Reserved, Event::Asked]);
    let wake = |record: &Purchase, later: u64| {
        wake_at(record, NOW.plus(later), &POLICY).map(|at| at.since(NOW))
    };
    let asked = reported(&asked);
    assert_eq!(next_effect(&asked, NOW, &POLICY), Effect::Reconcile);
    assert_eq!(wake(&asked, 0), Some(3_000));
    let mut tried = asked;
    tried.tries = 4;
    assert_eq!(wake(&tried, 1_000), Some(30_000));
    assert_eq!(wake(&tried, 31_000), Some(31_000 + 48_000));
}

#[test]
fn routes_that_cannot_be_reached_do_not_make_the_alarm_hurry() {
    let settling = record_after([attempted(1), Event::Reserved]);
    let tried = apply(Some(&settling), Event::Tried, NOW, &POLICY).unwrap();
    let skipped = apply(Some(&tried), SKIPPED, NOW, &POLICY).unwrap();
    assert_eq!((tried.tries, skipped.tries), (1, 1));
    let asked = apply(Some(&skipped), Event::Asked, NOW, &POLICY).unwrap();
    assert_eq!(asked.tries, 0);
}

#[test]
fn after_delivery_no_refund_begins_and_after_a_refund_begins_nothing_is_delivered() {
    for (state, record) in states() {
        let delivered = apply(Some(&record), issued(), NOW, &POLICY).is_ok();
        let refunding = apply(Some(&record), refund_begun(), NOW, &POLICY).is_ok();
        let is_paid = ["paid", "undelivered"].contains(&state);
        let may_refund = is_paid || state == "unblocking";
        assert_eq!((delivered, refunding), (is_paid, may_refund), "{state}");
    }
}

#[test]
fn a_refund_by_another_wallet_to_anybody_else_or_of_another_amount_is_refused() {
    let record = record_after(paid_events());
    type Change = fn(&mut crate::x402::Authorization);
    let changes: [Change; 3] = [
        |a| a.from = alloy_primitives::Address::repeat_byte(9),
        |a| a.to = alloy_primitives::Address::repeat_byte(9),
        |a| a.value += alloy_primitives::U256::from(1),
    ];
    for change in changes {
        let mut authorization = refund();
        change(&mut authorization.authorization);
        let event = Event::RefundBegun { authorization };
        assert_eq!(apply(Some(&record), event, NOW, &POLICY), Err(Refused));
    }
}

#[test]
fn every_try_of_a_refund_is_the_same_authorization_in_another_job() {
    let mut record = record_after(refund_events());
    let mut pauses = Vec::new();
    for number in 1..=MAX_REFUND_FAILURES {
        let State::RefundPending { refund: way, .. } = &record.state else {
            panic!("{record:?}");
        };
        assert_eq!(way.broadcast.number, number);
        assert_eq!(way.broadcast.authorization, refund());
        pauses.push(way.not_before.since(NOW));
        record = apply(Some(&record), failed(), NOW, &POLICY).unwrap();
    }
    assert_eq!(record.state.status().as_str(), "REFUND_FAILED");
    assert_eq!(
        pauses,
        [
            0, 15_000, 30_000, 60_000, 120_000, 240_000, 480_000, 960_000
        ]
    );
    let retried = apply(Some(&record), Event::RefundRetried, NOW, &POLICY).unwrap();
    let State::RefundPending { refund: way, .. } = &retried.state else {
        panic!("{retried:?}");
    };
    assert_eq!(
        (way.broadcast.number, way.failures),
        (MAX_REFUND_FAILURES + 1, 0)
    );
    assert_eq!(way.broadcast.authorization, refund());
}

#[test]
fn delivery_is_tried_at_least_once_and_then_until_the_grace_period_is_over() {
    let effect = |record: &Purchase, later: u64| next_effect(record, NOW.plus(later), &POLICY);
    let paid = record_after(paid_events());
    assert_eq!(
        effect(&paid, 3_600_000),
        Effect::Issue,
        "also after a long crash"
    );
    let failed = apply(Some(&paid), ISSUE_FAILED, NOW, &POLICY).unwrap();
    assert_eq!(effect(&failed, 0), Effect::WaitUntil(NOW.plus(2_000)));
    assert_eq!(effect(&failed, 2_000), Effect::Issue);
    assert_eq!(effect(&failed, 30_000), Effect::BeginRefund);
    let off = Policy {
        refund_after_millis: None,
        ..POLICY
    };
    assert_eq!(
        next_effect(&failed, NOW.plus(u64::MAX / 2), &off),
        Effect::Issue
    );
}

#[test]
fn only_an_attempt_begins_a_purchase() {
    for (name, event) in events() {
        let begun = apply(None, event, NOW, &POLICY);
        assert_eq!(begun.is_ok(), name.starts_with("attempted"), "{name}");
    }
}

#[test]
fn payer_and_beginning_never_change_and_the_offer_by_no_event_of_these() {
    for (state, record) in states() {
        for (name, event) in events() {
            if let Ok(next) = apply(Some(&record), event, NOW, &POLICY) {
                assert_eq!(next.terms, record.terms, "{state}, {name}");
                assert_eq!(next.payer, record.payer, "{state}, {name}");
                assert_eq!(next.begun_at, record.begun_at, "{state}, {name}");
                assert_eq!(next.challenge_id, record.challenge_id, "{state}, {name}");
            }
        }
    }
}

#[test]
fn a_failed_attempt_is_repeated_only_with_the_very_same_authorization() {
    let record = record_after([attempted(1), Event::Reserved, submitted(1), failed()]);
    let again = apply(Some(&record), attempted(1), NOW, &POLICY).unwrap();
    let State::Pending { attempt } = &again.state else {
        panic!("{again:?}");
    };
    assert_eq!(
        attempt.broadcast.number, 2,
        "the gas wallet must not mistake it for the first"
    );
    assert!(again.holds_target);

    let thief = WalletKey::from_hex(&format!("{:064x}", 0xbad)).unwrap();
    let Event::Attempted {
        offer,
        sold,
        issuer,
        gas_limit,
        from_block,
        ..
    } = attempted(1)
    else {
        panic!("attempted");
    };
    let stolen = Event::Attempted {
        offer,
        sold,
        issuer,
        authorization: signed_by(&thief, 1),
        identifier: None,
        chosen: false,
        gas_limit,
        from_block,
    };
    assert_eq!(apply(Some(&record), stolen, NOW, &POLICY), Err(Refused));
    assert_ne!(thief.address(), buyer().address());
}

#[test]
fn a_second_attempt_that_counts_elsewhere_is_watched_like_a_failed_one() {
    let first = record_after([attempted(1), superseded()]);
    assert!(matches!(first.state, State::Cancelled { .. }));
    let second = record_after([attempted(1), failed(), attempted(1), superseded()]);
    assert!(matches!(
        &second.state,
        State::Pending { attempt } if matches!(attempt.stage, Stage::Failed { .. })
    ));
    assert!(!second.holds_target);
}

#[test]
fn an_authorization_that_belongs_to_another_purchase_never_counts_for_this_one() {
    let taken = record_after([attempted(1), Event::Taken]);
    assert_eq!(taken.state.status().as_str(), "CANCELLED");
    assert!(!taken.holds_target);
    assert!(matches!(taken.rest, Rest::Since(_)));
    // The other purchase's transfer is on chain, and must not be credited to this purchase.
    assert_eq!(apply(Some(&taken), settled(), NOW, &POLICY), Err(Refused));
    assert_eq!(
        apply(Some(&taken), attempted(1), NOW, &POLICY),
        Err(Refused)
    );
}

#[test]
fn a_purchase_that_is_called_off_after_its_authorization_became_public_is_watched() {
    let of = |events: Vec<Event>| record_after(events);
    let never_sent = of(vec![attempted(1), Event::Cancelled]);
    assert_eq!(never_sent.state.watch(), None);
    for events in [
        vec![attempted(1), Event::Reserved, failed(), Event::Cancelled],
        vec![
            attempted(1),
            failed(),
            attempted(1),
            failed(),
            Event::Cancelled,
        ],
    ] {
        let record = of(events);
        assert_eq!(record.state.status().as_str(), "CANCELLED");
        let watched = record.state.watch().unwrap();
        assert_eq!(watched.broadcast.authorization, signed(1));
        assert_eq!(
            apply(Some(&record), attempted(1), NOW, &POLICY),
            Err(Refused),
            "it is not charged any more"
        );
        let landed = apply(Some(&record), settled(), NOW, &POLICY).unwrap();
        assert_eq!(landed.state.status().as_str(), "PAID");
        let over = apply(Some(&record), LAPSED, NOW, &POLICY).unwrap();
        assert_eq!(over.state.watch(), None);
        assert_eq!(over.state.status().as_str(), "CANCELLED");
    }
}

#[test]
fn hashes_are_collected_and_never_forgotten() {
    let record = record_after([attempted(1), Event::Reserved, submitted(1), submitted(2)]);
    let State::Pending { attempt } = &record.state else {
        panic!("{record:?}");
    };
    let Stage::Submitted(Sent { hashes, .. }) = &attempt.stage else {
        panic!("{attempt:?}");
    };
    assert_eq!(hashes, &[B256::repeat_byte(1), B256::repeat_byte(2)]);
}

#[test]
fn each_state_asks_for_its_effect() {
    for (state, record) in states() {
        let expected = match state {
            "reserving" | "reserving again" => Effect::Reserve,
            "settling" => Effect::Submit,
            "asked" => Effect::Reconcile,
            "submitted" => Effect::Confirm,
            "paid" => Effect::Issue,
            "undelivered" => Effect::WaitUntil(NOW.plus(2_000)),
            "refund preparing" => Effect::PrepareRefund,
            "refund settling" => Effect::Submit,
            "refund submitted" => Effect::Confirm,
            "unblocking" => Effect::BeginRefund,
            "superseded" => Effect::Rest,
            _ => Effect::ReleaseTarget,
        };
        assert_eq!(next_effect(&record, NOW, &POLICY), expected, "{state}");
    }
}

#[test]
fn after_the_release_only_a_failed_attempt_still_waits_for_something() {
    for (state, record) in states() {
        let Ok(released) = apply(Some(&record), Event::TargetReleased, NOW, &POLICY) else {
            let holds = [
                "reserving",
                "reserving again",
                "settling",
                "asked",
                "submitted",
                "paid",
                "undelivered",
                "unblocking",
                "superseded",
            ];
            assert!(
                holds.contains(&state) || state.starts_with("refund "),
                "{state}"
            );
            continue;
        };
        let expected = match state {
            "failed" | "reverted" => Effect::WaitUntil(EXPIRES_AT.to_millis()),
            "given up" | "called off" | "refund failed" => Effect::WaitUntil(NOW.plus(60_000)),
            _ => Effect::Rest,
        };
        assert_eq!(next_effect(&released, NOW, &POLICY), expected, "{state}");
    }
}

#[test]
fn a_purchase_that_asks_for_anything_always_has_an_alarm() {
    for (state, record) in states() {
        for tries in [0, 1, 5, u32::MAX] {
            let mut record = reported(&record);
            record.tries = tries;
            let wake = wake_at(&record, NOW, &POLICY);
            let rests = next_effect(&record, NOW, &POLICY) == Effect::Rest;
            assert_eq!(wake.is_none(), rests, "{state}");
            let latest = match record.rest {
                Rest::NotYet => NOW.plus(60_000).max(EXPIRES_AT.to_millis()),
                _ => NOW.plus(HISTORY_MILLIS),
            };
            assert!(wake.is_none_or(|at| at <= latest), "{state}");
        }
    }
}

#[test]
fn an_authorization_that_was_given_up_is_watched_until_the_chain_cannot_accept_it() {
    let mut record = record_after([
        attempted(1),
        Event::Reserved,
        GIVEN_UP,
        Event::TargetReleased,
        REPORTED,
    ]);
    let mut now = NOW;
    let mut looks = 0;
    while record.rest == Rest::NotYet {
        now = now.max(wake_at(&record, now, &POLICY).unwrap());
        record = apply(Some(&record), Event::Tried, now, &POLICY).unwrap();
        if next_effect(&record, now, &POLICY) == Effect::Watch {
            looks += 1;
        }
        // The authorization expires 290 seconds after `NOW`, and the chain may be a minute behind.
        if now.since(NOW) > 350_000 {
            record = apply(Some(&record), LAPSED, now, &POLICY).unwrap();
        }
        assert!(looks < 20, "endless");
    }
    assert!(looks >= 3, "{looks}");
    assert_eq!(record.state, State::Expired { watch: None });
}

#[test]
fn a_refund_that_was_given_up_is_looked_for_every_day_and_not_more_often() {
    let fails = (0..MAX_REFUND_FAILURES).map(|_| failed());
    let end = [Event::TargetReleased, REPORTED];
    let mut record = record_after(refund_events().into_iter().chain(fails).chain(end));
    let mut now = NOW;
    let mut looks = Vec::new();
    while looks.len() < 40 {
        now = wake_at(&record, now, &POLICY).unwrap();
        record = apply(Some(&record), Event::Tried, now, &POLICY).unwrap();
        if next_effect(&record, now, &POLICY) == Effect::Watch {
            looks.push(now.since(NOW));
        }
    }
    assert_eq!(looks[0], 60_000);
    let gaps: Vec<u64> = looks.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(
        gaps[..9].iter().all(|gap| *gap <= 9 * 3_600_000),
        "{gaps:?}"
    );
    assert!(gaps[10..].iter().all(|gap| *gap == 86_400_000), "{gaps:?}");
}

#[test]
fn a_last_look_that_fails_is_made_up_for_within_the_hour_and_ever_less_often() {
    let mut record = record_after([
        attempted(1),
        Event::Reserved,
        GIVEN_UP,
        Event::TargetReleased,
        REPORTED,
    ]);
    // The authorization expired long ago.
    let mut now = NOW.plus(3_600_000);
    let mut gaps = Vec::new();
    for _ in 0..20 {
        record = apply(Some(&record), Event::Tried, now, &POLICY).unwrap();
        assert_eq!(next_effect(&record, now, &POLICY), Effect::Watch);
        let next = wake_at(&record, now, &POLICY).unwrap();
        gaps.push(next.since(now));
        now = next;
    }
    assert_eq!((gaps[0], gaps[19]), (6_000, 3_600_000));
    assert!(gaps.is_sorted(), "{gaps:?}");
}

#[test]
fn tries_are_counted_until_there_is_progress() {
    let record = record_after([attempted(1), Event::Tried, Event::Tried]);
    assert_eq!(record.tries, 2);
    assert_eq!(
        apply(Some(&record), Event::Reserved, NOW, &POLICY)
            .unwrap()
            .tries,
        0
    );
}

/// Records that earlier releases have stored must stay readable: a change here needs a migration.
#[test]
fn the_stored_form_is_unchanged() {
    let record = record_after([attempted(1), Event::Reserved, submitted(1)]);
    let stored = serde_json::to_value(&record).unwrap();
    let attempt = &stored["state"]["PENDING"]["attempt"];
    let signature = attempt["broadcast"]["authorization"]["signature"].clone();
    assert!(signature.is_object());
    assert_eq!(
        stored,
        json!({
            "challengeId": record.challenge_id,
            "terms": {
                "requestId": "07070707-0707-4707-8707-070707070707",
                "target": {"plan": "basic"},
                "resource": "default",
                "lifetime": 3_600,
                "amount": "$0.015",
                "payTo": "0x209693bc6afc0c5328ba36faf03c514ef312287c",
                "network": "eip155:84532",
                "issuedAt": 1_800_000_000,
                "expiresAt": 1_800_000_960,
            },
            "sold": {"access": {"lifetime": 3_600}},
            "issuer": "https://shop.example",
            "payer": buyer().address(),
            "state": {"PENDING": {"attempt": {
                "broadcast": {
                "number": 1,
                "authorization": {
                    "authorization": {
                        "from": buyer().address(),
                        "to": "0x209693bc6afc0c5328ba36faf03c514ef312287c",
                        "value": "0x3a98",
                        "validAfter": "0x0",
                        "validBefore": "0x6b49d32c",
                        "nonce": format!("0x{}", "01".repeat(32)),
                    },
                    "signature": signature,
                },
                "gasLimit": 100_000,
                "fromBlock": 7,
                },
                "stage": {"submitted": {
                    "hashes": [format!("0x{}", "01".repeat(32))],
                    "since": 1_800_000_010_000u64,
                }},
            }}},
            "begunAt": 1_800_000_010_000u64,
            "changedAt": 1_800_000_010_000u64,
            "holdsTarget": true,
            "tries": 0,
            "outbox": {"report": {"notBefore": 1_800_000_010_000u64}},
        })
    );
    assert_eq!(serde_json::from_value::<Purchase>(stored).unwrap(), record);
}

#[test]
fn every_state_is_read_back_as_it_was_stored() {
    for (state, record) in states() {
        let stored = serde_json::to_string(&record).unwrap();
        assert_eq!(
            serde_json::from_str::<Purchase>(&stored).unwrap(),
            record,
            "{state}"
        );
    }
}

mod blocked;
mod calls;
mod history;
mod other_network;
mod prove;
mod reports;
mod retention;
mod sold;
