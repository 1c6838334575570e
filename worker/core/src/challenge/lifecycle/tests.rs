//! Every state against every event, the refused ones included; and the stored form, to the letter.

use alloy_primitives::{B256, U256};
use serde_json::json;

use super::super::test_support::{
    EXPIRES_AT, NOW, attempted, buyer, claims, payment, record_after, signed_by,
};
use super::*;
use crate::wallet::WalletKey;

fn submitted(byte: u8) -> Event {
    Event::Submitted {
        hashes: vec![B256::repeat_byte(byte)],
    }
}

fn failed() -> Event {
    Event::AttemptFailed {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: Some(B256::repeat_byte(0xaa)),
    }
}

fn other() -> RequestId {
    RequestId::from_random([9; 16])
}

fn settled() -> Event {
    Event::Settled { payment: payment() }
}

fn issued() -> Event {
    Event::Issued { claims: claims() }
}

fn superseded() -> Event {
    Event::Superseded { by: other() }
}

/// Each state, by the events that lead to it.
fn states() -> Vec<(&'static str, Record)> {
    let path = |events: Vec<Event>| record_after(events);
    let refund = |state: State| {
        let mut record = path(vec![attempted(1), Event::Reserved, submitted(1), settled()]);
        record.state = state;
        record
    };
    vec![
        ("reserving", path(vec![attempted(1)])),
        ("settling", path(vec![attempted(1), Event::Reserved])),
        (
            "submitted",
            path(vec![attempted(1), Event::Reserved, submitted(1)]),
        ),
        (
            "failed",
            path(vec![attempted(1), Event::Reserved, submitted(1), failed()]),
        ),
        (
            "paid",
            path(vec![attempted(1), Event::Reserved, submitted(1), settled()]),
        ),
        (
            "delivered",
            path(vec![
                attempted(1),
                Event::Reserved,
                submitted(1),
                settled(),
                issued(),
            ]),
        ),
        (
            "expired",
            path(vec![attempted(1), Event::Reserved, Event::Lapsed]),
        ),
        ("cancelled", path(vec![attempted(1), Event::Cancelled])),
        ("superseded", path(vec![attempted(1), superseded()])),
        (
            "refund pending",
            refund(State::RefundPending { payment: payment() }),
        ),
        (
            "refunded",
            refund(State::Refunded {
                payment: payment(),
                refund: B256::repeat_byte(0xbb),
            }),
        ),
        (
            "refund failed",
            refund(State::RefundFailed {
                payment: payment(),
                reason: "blacklisted".to_owned(),
            }),
        ),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("attempted", attempted(1)),
        ("attempted anew", attempted(2)),
        ("reserved", Event::Reserved),
        ("superseded", superseded()),
        ("submitted", submitted(1)),
        ("submitted anew", submitted(2)),
        ("failed", failed()),
        ("lapsed", Event::Lapsed),
        ("settled", settled()),
        ("issued", issued()),
        ("cancelled", Event::Cancelled),
    ]
}

#[test]
fn each_state_takes_exactly_the_events_that_the_design_allows() {
    let allowed = [
        ("reserving", "reserved", "PENDING"),
        ("reserving", "superseded", "CANCELLED"),
        ("reserving", "failed", "PENDING"),
        ("reserving", "lapsed", "EXPIRED"),
        ("reserving", "cancelled", "CANCELLED"),
        ("settling", "submitted", "PENDING"),
        ("settling", "submitted anew", "PENDING"),
        ("settling", "failed", "PENDING"),
        ("settling", "lapsed", "EXPIRED"),
        ("settling", "settled", "PAID"),
        ("submitted", "submitted anew", "PENDING"),
        ("submitted", "failed", "PENDING"),
        ("submitted", "lapsed", "EXPIRED"),
        ("submitted", "settled", "PAID"),
        ("failed", "attempted", "PENDING"),
        ("failed", "lapsed", "EXPIRED"),
        ("failed", "settled", "PAID"),
        ("failed", "cancelled", "CANCELLED"),
        ("paid", "issued", "DELIVERED"),
    ];
    let mut seen = Vec::new();
    for (state, record) in states() {
        for (name, event) in events() {
            if let Ok(next) = apply(Some(&record), event, NOW) {
                seen.push((state, name, next.state.name()));
            }
        }
    }
    assert_eq!(seen, allowed);
}

#[test]
fn only_an_attempt_begins_a_purchase() {
    for (name, event) in events() {
        let begun = apply(None, event, NOW);
        assert_eq!(begun.is_ok(), name.starts_with("attempted"), "{name}");
    }
}

#[test]
fn terms_payer_and_offer_never_change() {
    for (state, record) in states() {
        for (name, event) in events() {
            if let Ok(next) = apply(Some(&record), event, NOW) {
                assert_eq!(next.terms, record.terms, "{state}, {name}");
                assert_eq!(next.payer, record.payer, "{state}, {name}");
                assert_eq!(next.challenge_id, record.challenge_id, "{state}, {name}");
            }
        }
    }
}

#[test]
fn a_failed_attempt_is_repeated_only_with_the_very_same_authorization() {
    let record = record_after([attempted(1), Event::Reserved, submitted(1), failed()]);
    let again = apply(Some(&record), attempted(1), NOW).unwrap();
    let State::Pending { attempt } = &again.state else {
        panic!("{again:?}");
    };
    assert_eq!(
        attempt.number, 2,
        "the gas wallet must not mistake it for the first"
    );
    assert!(again.holds_target);

    let thief = WalletKey::from_hex(&format!("{:064x}", 0xbad)).unwrap();
    let Event::Attempted {
        challenge,
        issuer,
        gas_limit,
        from_block,
        ..
    } = attempted(1)
    else {
        panic!("attempted");
    };
    let stolen = Event::Attempted {
        challenge,
        issuer,
        authorization: signed_by(&thief, 1),
        gas_limit,
        from_block,
    };
    assert_eq!(apply(Some(&record), stolen, NOW), Err(Refused));
    assert_ne!(thief.address(), buyer().address());
}

#[test]
fn hashes_are_collected_and_never_forgotten() {
    let record = record_after([attempted(1), Event::Reserved, submitted(1), submitted(2)]);
    let State::Pending { attempt } = &record.state else {
        panic!("{record:?}");
    };
    let Stage::Submitted { hashes, .. } = &attempt.stage else {
        panic!("{attempt:?}");
    };
    assert_eq!(hashes, &[B256::repeat_byte(1), B256::repeat_byte(2)]);
}

#[test]
fn each_state_asks_for_its_effect() {
    for (state, record) in states() {
        let expected = match state {
            "reserving" => Effect::Reserve,
            "settling" => Effect::Submit,
            "submitted" => Effect::Confirm,
            "paid" => Effect::Issue,
            "superseded" | "refund pending" => Effect::Rest,
            _ => Effect::ReleaseTarget,
        };
        assert_eq!(next_effect(&record), expected, "{state}");
    }
}

#[test]
fn after_the_release_only_a_failed_attempt_still_waits_for_something() {
    for (state, record) in states() {
        let Ok(released) = apply(Some(&record), Event::TargetReleased, NOW) else {
            assert!(
                [
                    "reserving",
                    "settling",
                    "submitted",
                    "paid",
                    "superseded",
                    "refund pending"
                ]
                .contains(&state),
                "{state}"
            );
            continue;
        };
        let expected = match state {
            "failed" => Effect::LapseAt(EXPIRES_AT.plus(LAPSE_MARGIN_SECONDS).to_millis()),
            _ => Effect::Rest,
        };
        assert_eq!(next_effect(&released), expected, "{state}");
    }
}

#[test]
fn a_failed_authorization_is_watched_until_nobody_can_use_it_any_more() {
    let mut record = record_after([attempted(1), failed(), Event::TargetReleased]);
    for (valid_until, watched_until) in [
        (EXPIRES_AT.0 - 100, EXPIRES_AT.0),
        (EXPIRES_AT.0 + 1_000, EXPIRES_AT.0 + 1_000),
        (u64::MAX, EXPIRES_AT.0 + MAX_WATCH_SECONDS),
    ] {
        if let State::Pending { attempt } = &mut record.state {
            attempt.authorization.authorization.valid_before = U256::from(valid_until);
        }
        let lapse = UnixSeconds(watched_until).plus(LAPSE_MARGIN_SECONDS);
        assert_eq!(next_effect(&record), Effect::LapseAt(lapse.to_millis()));
    }
}

#[test]
fn a_purchase_that_is_not_at_rest_always_has_an_alarm() {
    for (state, record) in states() {
        for tries in [0, 1, 5, u32::MAX] {
            let mut record = record.clone();
            record.tries = tries;
            let wake = wake_at(&record, NOW);
            assert_eq!(
                wake.is_none(),
                next_effect(&record) == Effect::Rest,
                "{state}"
            );
            assert!(
                wake.is_none_or(|at| at <= NOW.plus(MAX_RETRY_MILLIS).max(EXPIRES_AT.to_millis()))
            );
        }
    }
}

#[test]
fn tries_are_counted_until_there_is_progress() {
    let record = record_after([attempted(1), Event::Tried, Event::Tried]);
    assert_eq!(record.tries, 2);
    assert_eq!(apply(Some(&record), Event::Reserved, NOW).unwrap().tries, 0);
}

/// Records that earlier releases have stored must stay readable: a change here needs a migration.
#[test]
fn the_stored_form_is_unchanged() {
    let record = record_after([attempted(1), Event::Reserved, submitted(1)]);
    let stored = serde_json::to_value(&record).unwrap();
    let attempt = &stored["state"]["PENDING"]["attempt"];
    let signature = attempt["authorization"]["signature"].clone();
    assert!(signature.is_object());
    assert_eq!(
        stored,
        json!({
            "challengeId": record.challenge_id,
            "terms": {
                "requestId": "07070707-0707-4707-8707-070707070707",
                "target": {"plan": "basic"},
                "resource": "default",
                "amount": "$0.015",
                "payTo": "0x209693bc6afc0c5328ba36faf03c514ef312287c",
                "network": "eip155:84532",
                "issuedAt": 1_800_000_000,
                "expiresAt": 1_800_000_960,
            },
            "issuer": "https://shop.example",
            "payer": buyer().address(),
            "state": {"PENDING": {"attempt": {
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
                "stage": {"submitted": {
                    "hashes": [format!("0x{}", "01".repeat(32))],
                    "since": 1_800_000_010_000u64,
                }},
            }}},
            "holdsTarget": true,
            "tries": 0,
        })
    );
    assert_eq!(serde_json::from_value::<Record>(stored).unwrap(), record);
}

#[test]
fn every_state_is_read_back_as_it_was_stored() {
    for (state, record) in states() {
        let stored = serde_json::to_string(&record).unwrap();
        assert_eq!(
            serde_json::from_str::<Record>(&stored).unwrap(),
            record,
            "{state}"
        );
    }
}
