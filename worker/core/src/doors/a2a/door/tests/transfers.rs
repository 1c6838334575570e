//! Tests of transfers that the buyer has made.

use super::super::super::task::Presented;
use super::*;
use crate::config::ProofBinding;
use crate::types::UnixSeconds;

#[test]
fn a_transfer_is_shown_until_it_is_credited_and_meanwhile_nobody_is_invited_to_pay() {
    let shop = Shop::new();
    let task = shop.offered();
    let show = |replies: Vec<PayReply>| {
        let parts = json!([{"data": proof(&task)}]);
        shop.message(json!({"taskId": task["id"], "parts": parts}), replies)
    };
    shop.before(|_, command| match command {
        TaskCommand::Keep(task) if task.version > 2 => Err(CallFault("died".to_owned())),
        _ => Ok(()),
    });
    assert_eq!(show(vec![granted()])["code"], -32603);
    *shop.conversations.before.borrow_mut() = None;
    let again = shop.get(&task, []);
    assert_eq!(state(&again), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&again), "{again}");
    let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
    assert_eq!(cancel["error"]["code"], -32002);
    let again = show(vec![PayReply::Unproven(ProofFault::TxUnconfirmed)]);
    assert_eq!(state(&again), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&again), "{again}");
    assert!(again.to_string().contains("TX_UNCONFIRMED"));
    assert!(
        !shop.conversations.tasks.0.borrow()[0].is_paid(),
        "it may never have been made"
    );
    let wrong = show(vec![PayReply::Unproven(ProofFault::NoTransfer)]);
    assert_eq!(state(&wrong), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&wrong), "the transfer may be shown that does pay");
    assert_eq!(state(&show(vec![granted()])), "TASK_STATE_COMPLETED");
}

#[test]
fn a_proof_of_none_of_our_offers_leaves_the_tasks_offer() {
    let shop = Shop::new();
    let task = shop.offered();
    let show = |proof: Value, replies: Vec<PayReply>| {
        shop.message(
            json!({"taskId": task["id"], "parts": [{"data": proof}]}),
            replies,
        )
    };
    let mut long = proof(&task);
    long["challengeId"] = json!("x".repeat(50_000));
    assert_eq!(
        state(&show(long.clone(), vec![granted()])),
        "TASK_STATE_INPUT_REQUIRED"
    );
    let alone = shop.message(json!({"parts": [{"data": long}]}), []);
    assert_ne!(state(&alone), "TASK_STATE_COMPLETED", "{alone}");
    for task in shop.conversations.tasks.0.borrow().iter() {
        assert!(serde_json::to_vec(task).unwrap().len() <= MAX_UNPAID_BYTES);
    }
    // The proof is also read in the form of the x402 door.
    let done = show(json!({"proof": proof(&task)}), vec![granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

fn unconfirmed() -> PayReply {
    PayReply::Unproven(ProofFault::TxUnconfirmed)
}

/// Checks that the task asks for the proof, and does not invite the client to pay once more.
fn waits_for_the_proof(task: &Value) {
    assert_eq!(state(task), "TASK_STATE_INPUT_REQUIRED", "{task}");
    assert!(!offers(task), "{task}");
    assert!(
        task.to_string().contains("same PaymentProof again"),
        "{task}"
    );
}

#[test]
fn who_has_shown_a_transfer_is_not_told_to_pay_anew_when_the_authorization_has_ended() {
    for end in [PayReply::Expired, refused(true)] {
        let shop = Shop::new();
        let task = shop.offered();
        let working = shop.pay(&task, &shop.payment(&task), [pending()]);
        assert_eq!(state(&working), "TASK_STATE_WORKING");
        let open = PayReply::Unproven(ProofFault::AuthorizationOpen(UnixSeconds(1_800_000_300)));
        let told = shop.show(&task, &proof(&task), [open]);
        assert!(!told.to_string().contains("Call GetTask"), "{told}");
        shop.later.set(300);
        waits_for_the_proof(&shop.get(&task, [end.clone()]));
        waits_for_the_proof(&shop.get(&task, [end.clone()]));
        let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), [end.clone()]);
        assert_eq!(cancel["error"]["code"], -32002);
        waits_for_the_proof(&shop.pay(&task, &shop.payment(&task), [end]));
        let done = shop.show(&task, &proof(&task), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    }
}

#[test]
fn the_end_of_a_refused_payment_takes_no_task_off_a_transfer_that_was_shown() {
    for begun in [false, true] {
        let shop = Shop::new();
        let task = shop.offered();
        shop.show(&task, &proof(&task), [unconfirmed()]);
        waits_for_the_proof(&shop.pay(&task, &shop.payment(&task), [refused(begun)]));
        waits_for_the_proof(&shop.get(&task, [refused(true)]));
        // A transfer that does not pay the offer does not keep the task waiting.
        let no_transfer = PayReply::Unproven(ProofFault::NoTransfer);
        let told = shop.show(&task, &proof(&task), [no_transfer]);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        let next = shop.pay(&task, &shop.payment(&task), [refused(true)]);
        assert!(offers(&next), "{next}");
    }
}

#[test]
fn a_transfer_that_is_another_purchases_ends_what_waits_for_it() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.show(&task, &proof(&task), [unconfirmed()]);
    let told = shop.show(&task, &proof(&task), [PayReply::Taken]);
    assert!(told.to_string().contains("TX_ALREADY_REDEEMED"), "{told}");
    let canceled = shop.call("CancelTask", &json!({"id": task["id"]}), []);
    assert_eq!(state(&canceled["result"]), "TASK_STATE_CANCELED");
}

#[test]
fn a_conflicting_proof_ends_no_task_whose_payment_may_count() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [refused(false)]);
    // The identical payment that was faster is delivered, and the proof is from another payer.
    let told = shop.show(&task, &proof(&task), [PayReply::Conflict]);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
    assert!(!offers(&told), "{told}");
    assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");

    // A task without a payment does not end either: the wallet that paid may still send its proof.
    let shop = Shop::new();
    let task = shop.offered();
    let told = shop.show(&task, &proof(&task), [PayReply::Conflict]);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
    assert!(!offers(&told), "{told}");
    let done = shop.show(&task, &proof(&task), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn after_a_crash_a_proof_has_kept_the_claim_of_the_payment_before_it() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [refused(false)]);
    shop.before(|_, command| match command {
        TaskCommand::Keep(task) if task.version > 4 => Err(CallFault("died".to_owned())),
        _ => Ok(()),
    });
    let died = shop.show(&task, &proof(&task), [unconfirmed()]);
    assert_eq!(died["code"], -32603);
    shop.before(|_, _| Ok(()));
    assert!(shop.stage().claim().is_some());
    assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
}

#[test]
fn a_proof_keeps_the_claim_of_the_payment_before_it_also_when_it_is_not_answered() {
    for replies in [vec![], vec![unconfirmed()]] {
        let shop = Shop::new();
        let task = shop.offered();
        shop.pay(&task, &shop.payment(&task), [refused(false)]);
        let told = shop.show(&task, &proof(&task), replies);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        assert!(shop.stage().claim().is_some());
        assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
    }
}

#[test]
fn a_transfer_of_another_wallet_is_followed_by_its_proof() {
    let mut shop = Shop::new();
    shop.config.offers.proof_binding = ProofBinding::TxHash;
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [PayReply::NotNow(NotNow::GasWalletEmpty)]);
    let mut proof = proof(&task);
    proof.as_object_mut().unwrap().remove("signature");
    let told = shop.show(&task, &proof, [undelivered()]);
    assert_eq!(status(&told), "payment-verified");
    shop.later.set(86_400);
    // The proof's payer is another wallet than the payment's.
    let polled = shop.get(&task, [PayReply::Conflict]);
    assert_eq!(state(&polled), "TASK_STATE_INPUT_REQUIRED", "{polled}");
    assert!(!polled.to_string().contains("Call GetTask"), "{polled}");
    let done = shop.show(&task, &proof, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn so_many_transfers_are_shown_on_a_task_that_none_is_forgotten() {
    let shop = Shop::new();
    let task = shop.offered();
    let nth = |at: u8| {
        let mut proof = proof(&task);
        proof["txHash"] = json!(B256::repeat_byte(at));
        proof
    };
    for at in 1..5 {
        shop.show(&task, &nth(at), [unconfirmed()]);
    }
    for told in [
        shop.show(&task, &nth(5), [unconfirmed()]),
        shop.pay(&task, &shop.payment(&task), [granted()]),
    ] {
        assert_eq!(told["code"], -32004, "{told}");
        assert!(*shop.counted.borrow());
        assert!(told.to_string().contains("without taskId"), "{told}");
    }
    shop.show(&task, &nth(2), [unconfirmed()]);
    let done = shop.show(&task, &nth(4), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn a_transfer_that_was_shown_beside_another_purchase_is_still_open_when_that_one_is_over() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [elsewhere(ANOTHER, false), pending()]);
    shop.show(&task, &proof(&task), [pending()]);
    let polled = shop.get(&task, [refused(true)]);
    assert!(!offers(&polled), "{polled}");

    // In this shop, only the payment can ask its purchase.
    let derived = format!("x402-{}", "ab".repeat(16));
    let shop = Shop::new();
    let task = shop.offered();
    shop.pay(&task, &payment, [elsewhere(&derived, false), pending()]);
    shop.show(&task, &proof(&task), []);
    let over = [elsewhere(&derived, false), refused(true)];
    let told = shop.pay(&task, &payment, over);
    assert!(!offers(&told), "{told}");
}

#[test]
fn a_proof_that_could_not_be_checked_is_open() {
    for first in [vec![pending()], vec![]] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        let is_under_way = !first.is_empty();
        if is_under_way {
            shop.pay(&task, &payment, first);
        }
        let mut proof = proof(&task);
        proof["payer"] = json!(Address::repeat_byte(5));
        shop.is_deaf.set(true);
        shop.show(&task, &proof, []);
        shop.is_deaf.set(false);
        let next = match is_under_way {
            true => shop.get(&task, [refused(true)]),
            false => shop.pay(&task, &payment, [refused(true)]),
        };
        assert!(!offers(&next), "{next}");
    }
}

#[test]
fn a_proof_with_the_signature_of_another_wallet_takes_no_transfer_off_the_task() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.show(&task, &proof(&task), [unconfirmed()]);
    let mismatch = PayReply::Unproven(ProofFault::PayerMismatch);
    shop.show(&task, &proof(&task), [mismatch]);
    let next = shop.pay(&task, &shop.payment(&task), [refused(true)]);
    assert!(!offers(&next), "{next}");
}

/// Proofs that are refused before the chain has judged their transfer.
fn refused_proofs(task: &Value) -> Vec<Value> {
    let mut others = proof(task);
    others["payer"] = json!(Address::repeat_byte(5));
    let mut unsigned = proof(task);
    unsigned.as_object_mut().unwrap().remove("signature");
    let mut of_another_chain = proof(task);
    of_another_chain["chainId"] = json!(1);
    let mut of_none = proof(task);
    of_none["challengeId"] = json!("AgEA");
    vec![others, unsigned, of_another_chain, of_none]
}

#[test]
fn beside_a_payment_a_refused_proof_is_told_and_shows_no_offer_when_that_is_over() {
    for at in 0..4 {
        let shop = Shop::new();
        let task = shop.offered();
        shop.pay(&task, &shop.payment(&task), [pending()]);
        let bad = &refused_proofs(&task)[at];
        let told = shop.show(&task, bad, []);
        assert_eq!(state(&told), "TASK_STATE_WORKING", "{told}");
        let text = told["status"]["message"]["parts"][0]["text"].as_str();
        let text = text.unwrap();
        assert!(text.contains("Beside this proof, a payment"), "{text}");
        assert!(!text.contains("being settled"), "{text}");
        waits_for_the_proof(&shop.get(&task, [refused(true)]));
        let done = shop.show(&task, &proof(&task), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    }
}

#[test]
fn after_a_refused_proof_a_refused_payment_shows_no_offer_and_the_task_can_be_ended() {
    for at in 0..4 {
        let shop = Shop::new();
        let task = shop.offered();
        let bad = &refused_proofs(&task)[at];
        let told = shop.show(&task, bad, []);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        let next = shop.pay(&task, &shop.payment(&task), [refused(false)]);
        assert!(!offers(&next), "{next}");
        let cancel = shop.call(
            "CancelTask",
            &json!({"id": task["id"]}),
            [PayReply::Unbegun],
        );
        assert_eq!(state(&cancel["result"]), "TASK_STATE_CANCELED", "{cancel}");
    }
}

#[test]
fn a_refused_proof_is_kept_though_the_task_was_changed_meanwhile() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 2) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.version == 1 {
                kept.version = 2;
            }
        }
        Ok(())
    });
    shop.show(&task, &refused_proofs(&task)[0], []);
    *shop.conversations.before.borrow_mut() = None;
    let next = shop.pay(&task, &shop.payment(&task), [refused(true)]);
    assert!(!offers(&next), "{next}");
}

#[test]
fn a_refused_proof_is_not_answered_with_the_offer_to_which_its_task_has_gone_on_meanwhile() {
    let shop = Shop::new();
    let task = shop.offered();
    let other = shop.offered();
    // While the proof is checked, a payment's purchase is over for another request, which keeps the next offer.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 2) {
            let mut tasks = tasks.0.borrow_mut();
            let next = tasks.last().unwrap().stage.clone();
            let kept = tasks.first_mut().unwrap();
            if kept.version == 1 {
                (kept.stage, kept.version) = (next, 3);
            }
        }
        Ok(())
    });
    for bad in &refused_proofs(&task)[..2] {
        let told = shop.show(&task, bad, []);
        assert_eq!(told["code"], -32004, "{told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("Do not pay anew"), "{message}");
    }
    assert!(offers(&shop.get(&other, [])));
}

#[test]
fn what_waits_for_a_proof_can_be_called_off_once_its_offer_has_ended() {
    for last in [unconfirmed(), PayReply::Conflict] {
        let shop = Shop::new();
        let task = shop.offered();
        shop.pay(&task, &shop.payment(&task), [pending()]);
        shop.show(&task, &proof(&task), [last.clone()]);
        let cancel =
            |replies: Vec<PayReply>| shop.call("CancelTask", &json!({"id": task["id"]}), replies);
        assert_eq!(cancel(vec![pending()])["error"]["code"], -32002);
        shop.get(&task, [refused(true)]);
        shop.show(&task, &proof(&task), [last]);
        assert_eq!(cancel(vec![refused(true)])["error"]["code"], -32002);
        shop.later.set(86_400);
        assert_eq!(cancel(vec![])["error"]["code"], -32002);
        let canceled = cancel(vec![refused(true)])["result"].clone();
        assert_eq!(state(&canceled), "TASK_STATE_CANCELED", "{canceled}");
        assert!(canceled.to_string().contains("it still counts"));
    }
}

#[test]
fn a_transfer_that_is_never_included_has_an_end() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    shop.show(&task, &proof(&task), [unconfirmed()]);
    waits_for_the_proof(&shop.get(&task, [refused(true)]));
    let absent = PayReply::Unproven(ProofFault::NotIncluded);
    let told = shop.show(&task, &proof(&task), [absent]);
    assert!(
        told.to_string().contains("cannot pay it any more"),
        "{told}"
    );
    let next = shop.pay(&task, &payment, [refused(true)]);
    assert!(offers(&next), "{next}");
}

#[test]
fn a_transfer_that_has_begun_and_pays_nothing_after_all_has_an_end() {
    for end in [PayReply::Taken, PayReply::Unproven(ProofFault::NoTransfer)] {
        let mut shop = Shop::new();
        shop.config.offers.proof_binding = ProofBinding::TxHash;
        let task = shop.offered();
        let mut proof = proof(&task);
        proof.as_object_mut().unwrap().remove("signature");
        shop.show(&task, &proof, [pending()]);
        shop.show(&task, &proof, [end]);
        let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
        assert_eq!(cancel["error"], Value::Null);
    }
}

#[test]
fn after_the_transfer_is_judged_the_task_goes_on_with_its_payment() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [pending()]);
    shop.show(&task, &proof(&task), [unconfirmed()]);
    let open = shop.get(&task, [refused(true)]);
    assert!(!offers(&open), "{open}");
    let no_transfer = PayReply::Unproven(ProofFault::NoTransfer);
    shop.show(&task, &proof(&task), [no_transfer]);
    let told = shop.get(&task, [refused(true)]);
    assert!(offers(&told), "{told}");
}

#[test]
fn a_transfer_is_kept_in_a_task_that_was_restored_without_it() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [pending()]);
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 5) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.version == 4 {
                kept.version = 1_004;
                kept.payments
                    .retain(|payment| !matches!(payment, Presented::Shown(_)));
            }
        }
        Ok(())
    });
    shop.show(&task, &proof(&task), [unconfirmed()]);
    *shop.conversations.before.borrow_mut() = None;
    let next = shop.get(&task, [refused(true)]);
    assert!(!offers(&next), "{next}");
}

#[test]
fn a_corrected_proof_on_a_task_that_a_refused_one_has_ended_is_told_where_it_is_looked_at() {
    let shop = Shop::new();
    let task = shop.offered();
    for bad in refused_proofs(&task) {
        // A proof that was sent without a task leaves no offer to go back to.
        let ended = shop.show(&Value::Null, &bad, []);
        assert_eq!(state(&ended), "TASK_STATE_FAILED", "{ended}");
        let told = shop.show(&ended, &proof(&task), [granted()]);
        assert_eq!(told["code"], -32004, "{told}");
        assert!(told.to_string().contains("without taskId"), "{told}");
        let done = shop.show(&Value::Null, &proof(&task), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
        let same = shop.show(&done, &proof(&task), []);
        assert_eq!(same["status"], done["status"]);
    }
}
