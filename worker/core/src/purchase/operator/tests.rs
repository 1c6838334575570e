use super::super::lifecycle::MAX_REFUND_FAILURES;
use super::super::outbox::Tries;
use super::super::state::{Rest, State};
use super::super::test_support::{
    NOW, POLICY, REPORTED, attempt_failed, attempted, claims, payment, record_after, refund,
    refund_begun, sent, settled,
};
use super::*;
use crate::goods::Goods;
use crate::testing::MemoryStore;
use crate::x402::Refusal;

fn after(events: impl IntoIterator<Item = Event>) -> MemoryStore {
    MemoryStore::of(record_after(events))
}

fn ask(store: &MemoryStore, command: OperatorCommand) -> OperatorReply {
    operate(store, command, NOW, &POLICY).unwrap()
}

fn refund_failed() -> Vec<Event> {
    let mut events = vec![
        attempted(1),
        Event::Reserved,
        sent(payment().transaction),
        settled(),
        refund_begun(),
    ];
    events.extend((0..MAX_REFUND_FAILURES).map(|_| attempt_failed(Refusal::InsufficientFunds)));
    events
}

fn done(status: &str) -> OperatorReply {
    OperatorReply::Done {
        status: status.parse().unwrap(),
    }
}

fn not_possible(status: &str) -> OperatorReply {
    OperatorReply::NotPossible {
        status: status.parse().unwrap(),
    }
}

#[test]
fn nothing_is_found_where_nothing_was_begun() {
    for command in [
        OperatorCommand::Inspect,
        OperatorCommand::RetryRefund,
        OperatorCommand::Cancel,
        OperatorCommand::Report,
    ] {
        let store = MemoryStore::default();
        assert_eq!(ask(&store, command), OperatorReply::NotFound);
        assert_eq!(store.load(), Ok(None));
    }
}

#[test]
fn an_inspected_purchase_shows_everything_but_signatures_and_credentials() {
    for (events, state) in [
        (vec![attempted(1)], "PENDING"),
        (refund_failed(), "REFUND_FAILED"),
        (
            vec![
                attempted(1),
                Event::Reserved,
                settled(),
                Event::Issued {
                    goods: Goods::Credential {
                        claims: claims(),
                        sealed: "sealed credential".to_owned(),
                    },
                },
            ],
            "DELIVERED",
        ),
    ] {
        let store = after(events);
        let OperatorReply::Found {
            version, record, ..
        } = ask(&store, OperatorCommand::Inspect)
        else {
            panic!("not found");
        };
        assert_eq!(version, 3);
        assert_eq!(record["payer"], crate::json!(store.record().payer));
        assert!(
            record["state"].get(state).is_some() || record["state"]["status"] == state,
            "{record}"
        );
        let text = record.to_string();
        for hidden in ["signature", "yParity", "sealed"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}

#[test]
fn a_purchase_that_is_long_over_still_tells_how_it_ended() {
    let store = after([attempted(1), Event::Reserved, settled()]);
    let mut closed = store.record();
    closed.state = State::Closed { payment: payment() };
    closed.rest = Rest::WithoutHistory;
    store.put(closed);
    let OperatorReply::Found {
        status,
        record,
        audit,
        history_removed,
        ..
    } = ask(&store, OperatorCommand::Inspect)
    else {
        panic!("not found");
    };
    assert_eq!((status.as_str(), history_removed), ("DELIVERED", true));
    assert!(audit.is_empty());
    let payment = serde_json::to_value(payment()).unwrap();
    assert_eq!(record["state"]["CLOSED"]["payment"], payment);
    for command in [OperatorCommand::Cancel, OperatorCommand::RetryRefund] {
        assert_eq!(ask(&store, command), not_possible("DELIVERED"));
    }
    assert_eq!(ask(&store, OperatorCommand::Report), done("DELIVERED"));
}

#[test]
fn a_purchase_is_called_off_only_before_anything_can_be_broadcast() {
    let store = after([attempted(1)]);
    assert_eq!(ask(&store, OperatorCommand::Cancel), done("CANCELLED"));
    let [line] = store.history().unwrap().try_into().unwrap();
    assert_eq!(
        (line.event.as_str(), line.status.as_str()),
        ("cancelled", "CANCELLED")
    );
    assert_eq!(
        store.alarm.get(),
        Some(NOW),
        "the payer's book must be told"
    );
    assert_eq!(
        ask(&store, OperatorCommand::Cancel),
        not_possible("CANCELLED")
    );

    let store = after([attempted(1), Event::Reserved]);
    assert_eq!(
        ask(&store, OperatorCommand::Cancel),
        not_possible("PENDING")
    );
    assert!(store.history().unwrap().is_empty());
}

#[test]
fn a_purchase_whose_attempt_has_failed_can_be_called_off() {
    let failed = attempt_failed(Refusal::InvalidExactEvmTransactionFailed);
    let store = after([attempted(1), Event::Reserved, failed]);
    assert_eq!(ask(&store, OperatorCommand::Cancel), done("CANCELLED"));
    assert!(store.alarm.get().is_some(), "its authorization is watched");
    assert_eq!(
        ask(&store, OperatorCommand::Cancel),
        not_possible("CANCELLED")
    );
}

#[test]
fn only_a_refund_that_failed_for_good_is_tried_again() {
    let store = after(refund_failed());
    assert_eq!(
        ask(&store, OperatorCommand::RetryRefund),
        done("REFUND_PENDING")
    );
    assert!(store.alarm.get().is_some());
    assert_eq!(
        ask(&store, OperatorCommand::RetryRefund),
        not_possible("REFUND_PENDING")
    );
    let State::RefundPending { refund: again, .. } = store.record().state else {
        panic!("no refund");
    };
    assert_eq!(
        again.broadcast.authorization,
        refund(),
        "the nonce must stay the same"
    );
}

#[test]
fn a_purchase_reports_again_when_asked_and_nothing_else_happens() {
    let store = after(refund_failed());
    let reported = apply(Some(&store.record()), REPORTED, NOW, &POLICY).unwrap();
    store.put(reported.clone());
    assert_eq!(ask(&store, OperatorCommand::Report), done("REFUND_FAILED"));
    assert_eq!(store.record().outbox.report, Some(Tries::due(NOW)));
    assert_eq!(store.record().state, reported.state);
    assert!(store.alarm.get().is_some());
    assert!(store.history().unwrap().is_empty());
}

#[test]
fn a_command_that_meets_another_change_is_decided_anew() {
    let store = after([attempted(1)]);
    store.races.set(3);
    assert_eq!(ask(&store, OperatorCommand::Cancel), done("CANCELLED"));
    store.put(record_after([attempted(1)]));
    store.races.set(MAX_RACES);
    assert!(operate(&store, OperatorCommand::Cancel, NOW, &POLICY).is_err());
}
