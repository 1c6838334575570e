use crate::goods::Goods;
use core::cell::{Cell, RefCell};

use super::super::lifecycle::MAX_REFUND_FAILURES;
use super::super::outbox::Tries;
use super::super::state::{AuditRow, Rest, State};
use super::super::test_support::{
    NOW, POLICY, REPORTED, attempted, claims, payment, record_after, refund,
};
use super::*;
use crate::x402::Refusal;

/// One purchase in memory.
#[derive(Default)]
struct Store {
    stored: RefCell<Option<Versioned>>,
    audit: RefCell<Vec<AuditLine>>,
    wake_at: Cell<Option<UnixMillis>>,
    /// So many commits are lost against somebody else.
    races: Cell<usize>,
}

impl Store {
    fn after(events: impl IntoIterator<Item = Event>) -> Self {
        let store = Self::default();
        store.stored.replace(Some(Versioned {
            version: 3,
            record: record_after(events),
        }));
        store
    }

    fn ask(&self, command: OperatorCommand) -> OperatorReply {
        operate(self, command, NOW, &POLICY).unwrap()
    }
}

impl PurchaseStore for Store {
    fn load(&self) -> Result<Option<Versioned>, StoreFault> {
        Ok(self.stored.borrow().clone())
    }

    fn commit(
        &self,
        expected: Option<u64>,
        record: &Purchase,
        audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> Result<bool, StoreFault> {
        if let Some(left) = self.races.get().checked_sub(1) {
            self.races.set(left);
            return Ok(false);
        }
        let mut stored = self.stored.borrow_mut();
        if stored.as_ref().map(|stored| stored.version) != expected {
            return Ok(false);
        }
        stored.replace(Versioned {
            version: expected.unwrap_or_default() + 1,
            record: record.clone(),
        });
        self.audit.borrow_mut().extend(audit.map(|row| AuditLine {
            at: row.at,
            event: row.event.to_owned(),
            status: row.status.to_owned(),
            transaction: row.transaction,
        }));
        self.wake_at.set(wake_at);
        Ok(true)
    }
    async fn alarm(&self) -> Result<Option<UnixMillis>, StoreFault> {
        Ok(self.wake_at.get())
    }
    fn set_alarm(&self, at: UnixMillis) -> Result<(), StoreFault> {
        self.wake_at.set(Some(at));
        Ok(())
    }
}

impl History for Store {
    fn history(&self) -> Result<Vec<AuditLine>, StoreFault> {
        Ok(self.audit.borrow().clone())
    }
}

fn refund_failed() -> Vec<Event> {
    let mut events = vec![
        attempted(1),
        Event::Reserved,
        Event::Submitted {
            hashes: vec![payment().transaction],
        },
        Event::Settled { payment: payment() },
        Event::RefundBegun {
            authorization: refund(),
        },
    ];
    events.extend((0..MAX_REFUND_FAILURES).map(|_| Event::AttemptFailed {
        reason: Refusal::InsufficientFunds,
        transaction: None,
    }));
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
        let store = Store::default();
        assert_eq!(store.ask(command), OperatorReply::NotFound);
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
                Event::Settled { payment: payment() },
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
        let store = Store::after(events);
        let OperatorReply::Found {
            version, record, ..
        } = store.ask(OperatorCommand::Inspect)
        else {
            panic!("not found");
        };
        assert_eq!(version, 3);
        assert_eq!(
            record["payer"],
            serde_json::json!(store.load().unwrap().unwrap().record.payer)
        );
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
    let store = Store::after([
        attempted(1),
        Event::Reserved,
        Event::Settled { payment: payment() },
    ]);
    let mut closed = store.load().unwrap().unwrap();
    closed.record.state = State::Closed { payment: payment() };
    closed.record.rest = Rest::WithoutHistory;
    store.stored.replace(Some(closed));
    let OperatorReply::Found {
        status,
        record,
        audit,
        history_removed,
        ..
    } = store.ask(OperatorCommand::Inspect)
    else {
        panic!("not found");
    };
    assert_eq!((status.as_str(), history_removed), ("DELIVERED", true));
    assert!(audit.is_empty());
    let payment = serde_json::to_value(payment()).unwrap();
    assert_eq!(record["state"]["CLOSED"]["payment"], payment);
    for command in [OperatorCommand::Cancel, OperatorCommand::RetryRefund] {
        assert_eq!(store.ask(command), not_possible("DELIVERED"));
    }
    assert_eq!(store.ask(OperatorCommand::Report), done("DELIVERED"));
}

#[test]
fn a_purchase_is_called_off_only_before_anything_can_be_broadcast() {
    let store = Store::after([attempted(1)]);
    assert_eq!(store.ask(OperatorCommand::Cancel), done("CANCELLED"));
    let [line] = store.history().unwrap().try_into().unwrap();
    assert_eq!(
        (line.event.as_str(), line.status.as_str()),
        ("cancelled", "CANCELLED")
    );
    assert_eq!(
        store.wake_at.get(),
        Some(NOW),
        "the payer's book must be told"
    );
    assert_eq!(
        store.ask(OperatorCommand::Cancel),
        not_possible("CANCELLED")
    );

    let store = Store::after([attempted(1), Event::Reserved]);
    assert_eq!(store.ask(OperatorCommand::Cancel), not_possible("PENDING"));
    assert!(store.history().unwrap().is_empty());
}

#[test]
fn a_purchase_whose_attempt_has_failed_can_be_called_off() {
    let failed = Event::AttemptFailed {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: None,
    };
    let store = Store::after([attempted(1), Event::Reserved, failed]);
    assert_eq!(store.ask(OperatorCommand::Cancel), done("CANCELLED"));
    assert!(
        store.wake_at.get().is_some(),
        "its authorization is watched"
    );
    assert_eq!(
        store.ask(OperatorCommand::Cancel),
        not_possible("CANCELLED")
    );
}

#[test]
fn only_a_refund_that_failed_for_good_is_tried_again() {
    let store = Store::after(refund_failed());
    assert_eq!(
        store.ask(OperatorCommand::RetryRefund),
        done("REFUND_PENDING")
    );
    assert!(store.wake_at.get().is_some());
    assert_eq!(
        store.ask(OperatorCommand::RetryRefund),
        not_possible("REFUND_PENDING")
    );
    let State::RefundPending { refund: again, .. } = store.load().unwrap().unwrap().record.state
    else {
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
    let store = Store::after(refund_failed());
    let record = || store.load().unwrap().unwrap().record;
    let reported = apply(Some(&record()), REPORTED, NOW, &POLICY).unwrap();
    store.stored.replace(Some(Versioned {
        version: 3,
        record: reported.clone(),
    }));
    assert_eq!(store.ask(OperatorCommand::Report), done("REFUND_FAILED"));
    assert_eq!(record().outbox.report, Some(Tries::due(NOW)));
    assert_eq!(record().state, reported.state);
    assert!(store.wake_at.get().is_some());
    assert!(store.history().unwrap().is_empty());
}

#[test]
fn a_command_that_meets_another_change_is_decided_anew() {
    let store = Store::after([attempted(1)]);
    store.races.set(3);
    assert_eq!(store.ask(OperatorCommand::Cancel), done("CANCELLED"));
    store
        .stored
        .replace(Store::after([attempted(1)]).load().unwrap());
    store.races.set(MAX_RACES);
    assert!(operate(&store, OperatorCommand::Cancel, NOW, &POLICY).is_err());
}
