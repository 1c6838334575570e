//! A refund that cannot be signed because the key is not configured, and how an operator ends it.

use super::*;
use crate::purchase::fault::RefundFault;
use crate::purchase::outbox::NoticeKind;

fn blocked() -> Purchase {
    record_after(
        paid_events()
            .into_iter()
            .chain([ISSUE_FAILED, Event::RefundBlocked]),
    )
}

#[test]
fn a_refund_that_cannot_be_signed_is_a_visible_end_with_its_own_reason() {
    let record = blocked();
    assert_eq!(record.state.status().as_str(), "REFUND_FAILED");
    let entry = ledger_entry(&record, 1);
    assert_eq!(entry.reason.as_deref(), Some("refund_wallet_differs"));
    assert!(record.rest == Rest::NotYet, "nothing of it is ever removed");
    let notified = Policy {
        notifies: true,
        ..POLICY
    };
    let undelivered = record_after(paid_events().into_iter().chain([ISSUE_FAILED]));
    let told = apply(Some(&undelivered), Event::RefundBlocked, NOW, &notified).unwrap();
    let notice = &told.outbox.open[0];
    assert_eq!(notice.kind, NoticeKind::RefundFailed);
    assert_eq!(notice.reason, Some(RefundFault::WalletDiffers));
}

#[test]
fn it_rests_until_the_operator_has_it_tried_again_and_is_then_signed_or_blocked_again() {
    let mut record = blocked();
    record.holds_target = false;
    assert_eq!(next_effect(&record, NOW, &POLICY), Effect::Rest);
    let retried = apply(Some(&record), Event::RefundRetried, NOW, &POLICY).unwrap();
    assert_eq!(next_effect(&retried, NOW, &POLICY), Effect::BeginRefund);
    assert!(wake_at(&retried, NOW, &POLICY).is_some());
    let again = apply(Some(&retried), Event::RefundBlocked, NOW, &POLICY).unwrap();
    assert_eq!(again.state, record.state);
    let signed = apply(Some(&retried), refund_begun(), NOW, &POLICY).unwrap();
    assert!(matches!(signed.state, State::RefundPending { .. }));
}

#[test]
fn money_that_was_returned_by_hand_is_never_returned_again() {
    let record = apply(Some(&blocked()), RETURNED_BY_HAND, NOW, &POLICY).unwrap();
    assert!(matches!(
        record.state,
        State::Refunded { transaction, .. } if transaction == B256::repeat_byte(0x4a)
    ));
    for (name, event) in events() {
        assert!(apply(Some(&record), event, NOW, &POLICY).is_err(), "{name}");
    }
    let payment_itself = Event::ReturnedByHand {
        transaction: payment().transaction,
    };
    assert_eq!(
        apply(Some(&blocked()), payment_itself, NOW, &POLICY),
        Err(Refused)
    );
}

#[test]
fn without_refunds_an_operator_ends_a_delivery_that_keeps_failing_and_nothing_is_delivered_afterwards()
 {
    let off = Policy {
        refund_after_millis: None,
        ..POLICY
    };
    let call_off = |record: &Purchase, policy| apply(Some(record), Event::Cancelled, NOW, policy);
    let paid = record_after(paid_events());
    assert_eq!(call_off(&paid, &off), Err(Refused), "delivery comes first");
    let failed = apply(Some(&paid), ISSUE_FAILED, NOW, &off).unwrap();
    assert_eq!(
        call_off(&failed, &POLICY),
        Err(Refused),
        "the refund comes by itself"
    );
    let ended = call_off(&failed, &off).unwrap();
    assert_eq!(ended.state, blocked().state);
    assert_eq!(apply(Some(&ended), issued(), NOW, &off), Err(Refused));
}
