//! A payment by an ordinary transfer, event by event.

use super::*;
use crate::purchase::test_support::sold;
use crate::purchase::test_support::test_offer;
use crate::types::{Address, UsdcAmount};

fn proven_by(payer: Address) -> Event {
    let units = UsdcAmount::from_units;
    Event::Proven {
        offer: test_offer(),
        sold: Some(sold()),
        issuer: "https://shop.example".to_owned(),
        payer,
        proof: crate::purchase::Proof {
            transaction: B256::repeat_byte(0x77),
            block: 9,
            included_at: NOW.to_seconds(),
            transfers: vec![(3, units(15_000)), (1, units(20_000))],
            signed: true,
        },
    }
}

fn proven() -> Event {
    proven_by(buyer().address())
}

#[test]
fn a_proof_waits_for_the_book_and_takes_nothing_else() {
    let record = record_after([proven()]);
    assert_eq!(next_effect(&record, NOW, &POLICY), Effect::Reserve);
    assert_eq!(record.state.status().as_str(), "PENDING");
    let mut seen = Vec::new();
    let mut all = events();
    all.push(("proven", proven()));
    all.push(("claimed", Event::Claimed { log: 1 }));
    for (name, event) in all {
        if let Ok(next) = apply(Some(&record), event, NOW, &POLICY) {
            seen.push((name, next.state.status().as_str()));
        }
    }
    assert_eq!(seen, [("taken", "CANCELLED"), ("claimed", "PAID")]);
}

#[test]
fn the_transfer_that_the_book_names_is_the_payment() {
    let record = record_after([proven(), Event::Claimed { log: 1 }]);
    let payment = record.state.payment().unwrap();
    assert_eq!(payment.amount, UsdcAmount::from_units(20_000));
    assert_eq!((payment.log, payment.unsigned), (Some(1), false));
    assert!(record.holds_target);
    let unknown = Event::Claimed { log: 2 };
    let before = record_after([proven()]);
    assert_eq!(apply(Some(&before), unknown, NOW, &POLICY), Err(Refused));
}

#[test]
fn a_refund_of_it_returns_all_that_was_received() {
    let paid = [proven(), Event::Claimed { log: 1 }, ISSUE_FAILED];
    let record = record_after(paid);
    // This refund returns only the price, but more was paid.
    let wrong = refund_begun();
    assert_eq!(apply(Some(&record), wrong, NOW, &POLICY), Err(Refused));
    let record = record_after([proven(), Event::Claimed { log: 3 }, ISSUE_FAILED]);
    let right = refund_begun();
    let begun = apply(Some(&record), right, NOW, &POLICY).unwrap();
    assert_eq!(begun.state.status().as_str(), "REFUND_PENDING");
}

#[test]
fn only_what_has_ended_without_money_and_let_go_of_its_target_can_be_proven() {
    let mut taken = Vec::new();
    for (state, mut record) in states() {
        for holds_target in [true, false] {
            record.holds_target = holds_target;
            if apply(Some(&record), proven(), NOW, &POLICY).is_ok() {
                taken.push((state, holds_target));
            }
        }
        let stranger = proven_by(Address::repeat_byte(9));
        assert_eq!(
            apply(Some(&record), stranger, NOW, &POLICY),
            Err(Refused),
            "{state}"
        );
    }
    let ended: Vec<_> = states()
        .into_iter()
        .filter(|(_, record)| record.state.is_resolved() && record.state.payment().is_none())
        .map(|(state, _)| (state, false))
        .collect();
    assert!(ended.len() > 3, "{ended:?}");
    assert_eq!(taken, ended);
}

/// Records that earlier releases have stored must stay readable: a change here needs a migration.
#[test]
fn the_stored_form_of_a_proof_is_unchanged() {
    let hash = format!("0x{}", "77".repeat(32));
    let record = record_after([proven()]);
    let stored = serde_json::to_value(&record).unwrap();
    assert_eq!(
        stored["state"],
        json!({"PROVING": {
            "transaction": hash,
            "block": 9,
            "includedAt": 1_800_000_010_u64,
            "transfers": [[3, "$0.015"], [1, "$0.02"]],
            "signed": true,
        }})
    );
    assert_eq!(serde_json::from_value::<Purchase>(stored).unwrap(), record);
    let record = record_after([proven(), Event::Claimed { log: 3 }]);
    let stored = serde_json::to_value(&record).unwrap();
    assert_eq!(
        stored["state"]["PAID"]["payment"],
        json!({
            "transaction": hash,
            "block": 9,
            "settledAt": 1_800_000_010_u64,
            "amount": "$0.015",
            "log": 3,
        })
    );
    assert_eq!(serde_json::from_value::<Purchase>(stored).unwrap(), record);
}
