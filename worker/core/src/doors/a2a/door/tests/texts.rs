//! Texts for A2A clients speak of messages and tasks. The sentences are the same at every door, so none of them
//! mentions headers.

use super::*;
use crate::chain::transfer::ProofFault;
use crate::checkout::{Outcome, Phase, Stop, Unpaid};
use crate::goods::DeliveryFault;
use crate::offer::Target;
use crate::types::UnixSeconds;

/// All sentences of checkout's errors.
fn sentences() -> Vec<String> {
    let terms = || Box::new(test_offer().terms);
    let target = || Target::Plan("basic".parse().unwrap());
    let request_id = || test_offer().terms.request_id;
    let transaction = Default::default();
    let waits = [
        NotNow::DeliveriesFail { seconds: 1 },
        NotNow::CallsFail { seconds: 1 },
        NotNow::UnderWay,
        NotNow::Crowded,
        NotNow::ChainStandsStill,
        NotNow::GasWalletEmpty,
        NotNow::GasTooDear,
    ];
    let faults = [
        ProofFault::AmountMismatch(UsdcAmount::from_units(1)),
        ProofFault::TransferAfterExpiry,
        ProofFault::ShownTooLate,
        ProofFault::WalletNotUsed,
        ProofFault::NotIncluded,
        ProofFault::TransactionReverted,
        ProofFault::NoTransfer,
        ProofFault::PayerMismatch,
        ProofFault::TransferBeforeOffer,
        ProofFault::TxUnconfirmed,
    ];
    let mut stops = vec![
        Stop::NotSold { target: target() },
        Stop::NotOpened {
            target: target(),
            resources: vec![],
        },
        Stop::NothingOpens,
        Stop::ForeignOffer,
        Stop::ForeignProof,
        Stop::OtherChain {
            offered: 1,
            presented: None,
        },
        Stop::Contradicts(vec!["planId"]),
        Stop::Unsigned,
        Stop::NotThePayers,
        Stop::PaymentUnchecked,
        Stop::ProofUnchecked,
        Stop::Conflict,
        Stop::ProofConflict,
        Stop::Taken,
        Stop::TransferTaken,
        Stop::NamedOtherwise,
        Stop::Spent(Refusal::InsufficientFunds),
        Stop::SignAgain {
            request_id: request_id(),
        },
        Stop::AccessEnded {
            request_id: request_id(),
            transaction,
        },
        Stop::Refunded { transaction: None },
        Stop::RefundFailed {
            request_id: request_id(),
            claim: None,
        },
        Stop::Paused { seconds: 1 },
        Stop::Unavailable,
    ];
    stops.extend(waits.map(Stop::NotNow));
    stops.extend(faults.map(|fault| Stop::NotPaid {
        fault,
        terms: terms(),
    }));
    let mut outcomes: Vec<_> = stops
        .into_iter()
        .map(|why| Outcome::Stopped { why })
        .collect();
    let faults = [
        DeliveryFault::Failed,
        DeliveryFault::Timeout,
        DeliveryFault::Unauthenticated,
        DeliveryFault::PlanGone,
    ];
    let mut phases = vec![
        Phase::Settling,
        Phase::Unheard,
        Phase::Unbegun,
        Phase::Refunding { transaction: None },
        Phase::Unconfirmed,
        Phase::AuthorizationOpen {
            until: UnixSeconds(1),
        },
    ];
    for refund_at in [None, Some(NOW)] {
        phases.extend(faults.map(|fault| Phase::Delivering { fault, refund_at }));
    }
    outcomes.extend(phases.into_iter().map(|phase| Outcome::Pending {
        phase,
        request_id: request_id(),
        claim: None,
        receipt: None,
        transaction: None,
    }));
    let unpaid = [
        Unpaid::Expired,
        Unpaid::Withdrawn,
        Unpaid::Cancelled,
        Unpaid::Refused(Refusal::InvalidPaymentRequirements),
        Unpaid::Refused(Refusal::InvalidExactEvmPayloadSignature),
        Unpaid::Refused(Refusal::InvalidExactEvmNonceAlreadyUsed),
        Unpaid::Refused(Refusal::InvalidExactEvmTransactionFailed),
        Unpaid::Refused(Refusal::InsufficientFunds),
    ];
    outcomes.extend(unpaid.map(|why| Outcome::PayAgain {
        why,
        mismatches: vec![],
        transaction: None,
        booked: false,
        quote: None,
    }));
    let origin = "https://shop.example".parse().unwrap();
    let said = |outcome: &Outcome<'_>| outcome.error(&origin, test_config().network).unwrap();
    outcomes
        .iter()
        .map(|outcome| said(outcome).message.into_owned())
        .collect()
}

#[test]
fn no_sentence_speaks_of_what_only_the_other_door_has() {
    for sentence in sentences() {
        for word in [
            "header",
            "Retry-After",
            "PAYMENT-",
            "X-PAYMENT",
            "GET ",
            "POST ",
            " body",
            "Repeat",
            "repeat",
            "same request",
            "proof.",
        ] {
            assert!(!sentence.contains(word), "{word}: {sentence}");
        }
    }
}

fn text(task: &Value) -> &str {
    task["status"]["message"]["parts"][0]["text"]
        .as_str()
        .unwrap()
}

#[test]
fn a_task_that_is_under_way_says_how_to_follow_it() {
    for reply in [pending(), undelivered()] {
        let shop = Shop::new();
        let task = shop.offered();
        let working = shop.pay(&task, &shop.payment(&task), [reply]);
        assert_eq!(state(&working), "TASK_STATE_WORKING");
        assert!(text(&working).contains("GetTask"), "{working}");
    }
    let shop = Shop::new();
    let task = shop.offered();
    let again = shop.pay(&task, &shop.payment(&task), [PayReply::Unbegun]);
    assert_eq!(state(&again), "TASK_STATE_INPUT_REQUIRED");
    assert!(!text(&again).contains("GetTask"), "{again}");
    assert!(!text(&again).contains("being settled"), "{again}");
    assert!(text(&again).contains("same payment again"), "{again}");
}

#[test]
fn an_offer_that_has_ended_is_followed_by_the_one_to_pay() {
    for reply in [PayReply::Expired, PayReply::Withdrawn, PayReply::Cancelled] {
        let shop = Shop::new();
        let task = shop.offered();
        let next = shop.pay(&task, &shop.payment(&task), [reply]);
        assert!(offers(&next), "{next}");
        assert!(text(&next).contains("nothing was charged"), "{next}");
        // The answer already has the new offer.
        assert!(!text(&next).contains("to get a new offer"), "{next}");
    }
}

#[test]
fn a_task_that_is_called_off_says_what_can_still_be_sent() {
    let shop = Shop::new();
    let task = shop.offered();
    let answer = shop.call("CancelTask", &json!({"id": task["id"]}), []);
    for word in ["AccessRequest", "PaymentProof", "without taskId"] {
        assert!(text(&answer["result"]).contains(word), "{answer}");
    }
}
