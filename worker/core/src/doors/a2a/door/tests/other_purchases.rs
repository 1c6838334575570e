//! Payments for another purchase than that of the task's offer, and purchases that a task can be led to.

use super::*;
use crate::config::ProofBinding;

/// An offer whose client has named no purchase.
fn unnamed(shop: &Shop) -> Value {
    shop.message(json!({"parts": [{"data": {"planId": "basic"}}]}), [])
}

#[test]
fn before_a_second_payment_on_a_task_the_purchase_that_the_task_follows_is_asked() {
    // The first payment was led to another purchase, which is delivered by now.
    let shop = Shop::new();
    let task = unnamed(&shop);
    let payment = shop.payment(&task);
    let working = shop.pay(&task, &payment, [elsewhere(ANOTHER, false), pending()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    shop.later.set(200);
    let asked = first_asked(&shop, || {
        let done = shop.pay(&task, &anew(&payment), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    });
    assert!(matches!(asked, Ask::Join(_)), "{asked:?}");
}

#[test]
fn who_was_led_to_a_purchase_that_nobody_can_ask_about_is_to_send_the_same_payment_again() {
    let derived = format!("x402-{}", "ab".repeat(16));
    for by_attempted in [false, true] {
        let shop = Shop::new();
        let task = unnamed(&shop);
        let payment = shop.payment(&task);
        shop.pay(
            &task,
            &payment,
            [elsewhere(&derived, by_attempted), pending()],
        );
        shop.later.set(86_400);
        let polled = shop.get(&task, [PayReply::Unbegun]);
        assert_eq!(state(&polled), "TASK_STATE_INPUT_REQUIRED", "{polled}");
        assert!(!offers(&polled), "{polled}");
        assert!(polled.to_string().contains("Send the same"), "{polled}");
        let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
        assert_eq!(cancel["error"]["code"], -32002);
        let (reply, end) = match by_attempted {
            false => (granted(), "TASK_STATE_COMPLETED"),
            // The payment is public by now, and opens nothing any more.
            true => (PayReply::Taken, "TASK_STATE_FAILED"),
        };
        assert_eq!(state(&shop.pay(&task, &payment, [reply])), end);
    }
}

#[test]
fn a_transfer_that_was_shown_without_signature_is_to_be_shown_again() {
    for reply in [pending(), undelivered()] {
        let mut shop = Shop::new();
        shop.config.offers.proof_binding = ProofBinding::TxHash;
        let task = shop.offered();
        let mut proof = proof(&task);
        proof.as_object_mut().unwrap().remove("signature");
        let message = json!({"taskId": task["id"], "parts": [{"data": proof}]});
        shop.message(message.clone(), [reply]);
        shop.later.set(86_400);
        let polled = shop.get(&task, []);
        assert_eq!(state(&polled), "TASK_STATE_INPUT_REQUIRED", "{polled}");
        assert!(polled.to_string().contains("Send the same"), "{polled}");
        let done = shop.message(message, [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    }
}

#[test]
fn a_payment_that_is_sent_again_begins_nothing_on_a_task_that_was_called_off_meanwhile() {
    for first in [vec![], vec![pending()]] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.pay(&task, &payment, first);
        // Another request changes the task after this one has read it, and before this one asks the purchase.
        shop.before(|tasks, command| {
            let mut tasks = tasks.0.borrow_mut();
            let task = tasks.last_mut().unwrap();
            if matches!(command, TaskCommand::Keep(_)) && task.is_paying() {
                task.stage = Stage::Canceled;
                task.version += 1;
            }
            Ok(())
        });
        let before = shop.asked.borrow().len();
        let over = shop.pay(&task, &payment, [granted()]);
        assert_eq!(over["code"], -32004);
        assert_eq!(shop.asked.borrow().len(), before);
    }
}

#[test]
fn what_was_charged_though_the_task_was_called_off_has_a_task_of_its_own() {
    let shop = Shop::new();
    let task = shop.offered();
    // The task is called off while its purchase works.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.version == 2 {
                kept.stage = Stage::Canceled;
                kept.version = 3;
            }
        }
        Ok(())
    });
    let payment = shop.payment(&task);
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert_ne!(done["id"], task["id"]);
    assert_eq!(state(&shop.get(&task, [])), "TASK_STATE_CANCELED");
    assert_eq!(shop.get(&done, [])["status"], done["status"]);
}

#[test]
fn another_wallets_payment_is_held_against_the_offer_that_stands_after_the_look() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    let mut other = payment;
    other["payload"]["authorization"]["from"] = json!(Address::repeat_byte(5));
    let extra = other["accepted"]["extra"].as_object_mut().unwrap();
    let dead = extra.remove("challengeId").unwrap();
    shop.pay(&task, &other, [refused(true), PayReply::Conflict]);
    let stage = shop.stage();
    assert!(
        stage.challenge_id().is_some() && stage.challenge_id() != dead.as_str(),
        "{stage:?}"
    );
}

#[test]
fn versions_of_a_task_that_made_room_go_on() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            tasks.0.borrow_mut().clear();
        }
        Ok(())
    });
    shop.pay(&task, &shop.payment(&task), [pending()]);
    assert!(shop.conversations.tasks.0.borrow()[0].version > 1_000);
}

#[test]
fn beside_a_purchase_that_only_the_payment_can_ask_about_no_other_payment_begins_anything() {
    let derived = format!("x402-{}", "ab".repeat(16));
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let told = shop.pay(&task, &payment, [elsewhere(&derived, false), undelivered()]);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
    assert_eq!(status(&told), "payment-verified");
    let before = shop.asked.borrow().len();
    let same = shop.pay(&task, &anew(&payment), [granted()]);
    assert_eq!(same["status"], told["status"]);
    assert_eq!(shop.asked.borrow().len(), before);
}

#[test]
fn that_a_payment_is_another_purchases_ends_no_task_that_waits_for_a_transfer() {
    let mut shop = Shop::new();
    shop.config.offers.proof_binding = ProofBinding::TxHash;
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [refused(false)]);
    let mut proof = proof(&task);
    proof.as_object_mut().unwrap().remove("signature");
    let message = json!({"taskId": task["id"], "parts": [{"data": proof}]});
    shop.message(message.clone(), [undelivered()]);
    let after = shop.pay(&task, &payment, [PayReply::Taken]);
    assert_eq!(state(&after), "TASK_STATE_INPUT_REQUIRED", "{after}");
    assert_eq!(
        state(&shop.message(message, [granted()])),
        "TASK_STATE_COMPLETED"
    );
}

#[test]
fn a_payment_on_a_task_that_was_called_off_is_told_that_it_may_have_been_charged_elsewhere() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&Value::Null, &payment, [pending()]);
    shop.call("CancelTask", &json!({"id": task["id"]}), []);
    let over = shop.pay(&task, &payment, []);
    assert_eq!(over["code"], -32004);
    assert!(over.to_string().contains("may have been charged"), "{over}");
}

#[test]
fn a_payment_that_its_purchase_had_taken_before_gets_the_finished_task_when_it_is_sent_again() {
    let shop = Shop::new();
    let task = shop.offered();
    let mut payment = shop.payment(&task);
    // The payment names an offer with another price.
    payment["accepted"]["amount"] = json!("1");
    for _ in 0..2 {
        let done = shop.pay(&task, &payment, [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    }
}

#[test]
fn what_was_charged_without_a_task_id_has_another_task_than_the_one_that_was_ended() {
    let shop = Shop::new();
    let payment = shop.payment(&shop.offered());
    // The task that the payment has begun is ended while its purchase works.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 2) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.is_paying() {
                kept.stage = Stage::Canceled;
                kept.version = 2;
            }
        }
        Ok(())
    });
    let done = shop.pay(&Value::Null, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert_eq!(shop.get(&done, [])["status"], done["status"]);
}

#[test]
fn a_payment_that_was_sent_before_its_task_was_called_off_may_have_been_charged() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    for stage in [Stage::Canceled, Stage::Rejected] {
        shop.conversations.tasks.0.borrow_mut()[0].stage = stage;
        let over = shop.pay(&task, &payment, []);
        assert_eq!(over["code"], -32004);
        assert!(over.to_string().contains("may have been charged"), "{over}");
    }
}

#[test]
fn who_pays_on_a_task_that_is_gone_is_told_not_to_pay_anew() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.conversations.tasks.0.borrow_mut().clear();
    let gone = shop.pay(&task, &payment, []);
    assert_eq!(gone["code"], -32001);
    assert!(gone.to_string().contains("do not pay anew"), "{gone}");
    let gone = shop.show(&task, &json!({"type": "PaymentProof"}), []);
    assert!(gone.to_string().contains("do not pay anew"), "{gone}");
    let other = shop.call("GetTask", &json!({"id": task["id"]}), []);
    assert_eq!(other["error"]["message"], "Task not found");
}

#[test]
fn ids_hold_no_control_characters() {
    let shop = Shop::new();
    for name in ["messageId", "contextId", "taskId"] {
        let mut message = json!({"parts": [{"text": "x"}]});
        message[name] = json!("a\u{1}");
        let refused = shop.message(message, []);
        assert_eq!(refused["code"], -32602, "{name}");
    }
}

#[test]
fn what_was_charged_though_the_task_was_delivered_for_another_offer_has_a_task_of_its_own() {
    let returned = |status| PayReply::Refund {
        status,
        transaction: None,
    };
    for reply in [
        pending(),
        granted(),
        returned(Status::Refunded),
        returned(Status::RefundFailed),
    ] {
        let shop = Shop::new();
        let task = shop.offered();
        // The task is changed while its purchase works.
        shop.before(|tasks, command| {
            if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
                let mut tasks = tasks.0.borrow_mut();
                let kept = tasks.last_mut().unwrap();
                if kept.version == 2 {
                    let mut claims = claims();
                    "another request".clone_into(&mut claims.sub);
                    "another purchase".clone_into(&mut claims.jti);
                    kept.stage = Stage::Delivered {
                        goods: Goods::Token { claims },
                        receipt: None,
                        claim: None,
                    };
                    kept.version = 3;
                }
            }
            Ok(())
        });
        let told = shop.pay(&task, &shop.payment(&task), [reply]);
        assert_ne!(told["id"], task["id"], "{told}");
        assert_eq!(shop.conversations.tasks.0.borrow().len(), 2);
    }
}

#[test]
fn a_task_that_was_delivered_meanwhile_by_the_same_purchase_stays_the_only_one() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.version == 2 {
                let mut claims = claims();
                claims.sub = format!("07070707-0707-4707-8707-{:012}", 0);
                kept.stage = Stage::Delivered {
                    goods: Goods::Token { claims },
                    receipt: None,
                    claim: None,
                };
                kept.version = 3;
            }
        }
        Ok(())
    });
    for reply in [pending(), granted()] {
        let done = shop.pay(&task, &shop.payment(&task), [reply]);
        assert_eq!(done["id"], task["id"]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
        assert_eq!(shop.conversations.tasks.0.borrow().len(), 1);
    }
}

#[test]
fn who_was_led_by_an_attempted_payment_is_not_told_to_sign_anew() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [elsewhere(ANOTHER, true), pending()]);
    let polled = shop.get(&task, [PayReply::Taken]);
    assert_eq!(state(&polled), "TASK_STATE_FAILED", "{polled}");
    assert!(!polled.to_string().contains("sign a new one"), "{polled}");
}

#[test]
fn what_only_its_payment_can_ask_about_is_asked_by_it_also_when_the_offers_secret_is_gone() {
    let derived = format!("x402-{}", "ab".repeat(16));
    let mut shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [elsewhere(&derived, false), undelivered()]);
    shop.config.offers.keys =
        crate::offer::SealKeys::new(&crate::types::Secret::new("another"), &[]);
    let before = shop.asked.borrow().len();
    shop.pay(&task, &anew(&payment), [granted()]);
    assert_eq!(shop.asked.borrow().len(), before);
    for replies in [vec![], vec![PayReply::Conflict]] {
        let same = shop.pay(&task, &payment, replies);
        assert_eq!(status(&same), "payment-verified", "{same}");
    }
    let asked = first_asked(&shop, || {
        let done = shop.pay(&task, &payment, [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    });
    // The question cannot begin the purchase.
    assert!(
        matches!(&asked, Ask::Pay(pay) if pay.sale.is_none() && pay.request_id.is_derived()),
        "{asked:?}"
    );
}

#[test]
fn after_a_judged_transfer_who_was_led_elsewhere_is_not_told_to_sign_anew() {
    let derived = format!("x402-{}", "ab".repeat(16));
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.show(
        &task,
        &proof(&task),
        [PayReply::Unproven(ProofFault::TxUnconfirmed)],
    );
    shop.pay(&task, &payment, [elsewhere(&derived, true), pending()]);
    shop.pay(&task, &payment, [PayReply::Taken]);
    let no_transfer = PayReply::Unproven(ProofFault::NoTransfer);
    shop.show(&task, &proof(&task), [no_transfer]);
    let told = shop.pay(&task, &payment, [PayReply::Taken]);
    assert_eq!(state(&told), "TASK_STATE_FAILED", "{told}");
    let text = told["status"]["message"]["parts"][0]["text"].as_str();
    let text = text.unwrap();
    assert!(
        text.contains("Before you sign anew") && !text.contains("sign a new one"),
        "{text}"
    );
}

#[test]
fn beside_what_only_the_last_payment_can_ask_about_an_earlier_one_begins_nothing() {
    let derived = format!("x402-{}", "ab".repeat(16));
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [refused(false)]);
    let second = anew(&payment);
    let told = shop.pay(&task, &second, [elsewhere(&derived, false), undelivered()]);
    assert_eq!(status(&told), "payment-verified");
    // The payment is sent again and gets no answer. Still only this payment can ask the purchase.
    for replies in [vec![], vec![PayReply::Unbegun]] {
        let same = shop.pay(&task, &second, replies);
        assert_eq!(state(&same), "TASK_STATE_INPUT_REQUIRED", "{same}");
        assert_eq!(status(&same), "payment-verified");
    }
    let before = shop.asked.borrow().len();
    for message in [json!(null), proof(&task)] {
        match message.is_null() {
            true => shop.pay(&task, &payment, [granted()]),
            false => shop.show(&task, &message, [granted()]),
        };
        let asked = shop.asked.borrow()[before..].to_vec();
        assert!(asked.is_empty(), "{asked:?}");
    }
    assert_eq!(
        state(&shop.pay(&task, &second, [granted()])),
        "TASK_STATE_COMPLETED"
    );
}

#[test]
fn a_payment_that_counts_elsewhere_has_an_end_also_beside_a_proof() {
    let derived = format!("x402-{}", "ab".repeat(16));
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [elsewhere(&derived, true), pending()]);
    // Beside that payment the transfer cannot be judged, and it is not forgotten.
    shop.show(&task, &proof(&task), []);
    let told = shop.pay(&task, &payment, [PayReply::Taken]);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
    assert!(!offers(&told), "{told}");
    let no_transfer = PayReply::Unproven(ProofFault::NoTransfer);
    shop.show(&task, &proof(&task), [no_transfer]);
    for _ in 0..2 {
        let told = shop.pay(&task, &payment, [PayReply::Taken]);
        assert_eq!(state(&told), "TASK_STATE_FAILED", "{told}");
    }

    // A transfer that was shown before is still judged.
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let unconfirmed = PayReply::Unproven(ProofFault::TxUnconfirmed);
    shop.show(&task, &proof(&task), [unconfirmed]);
    shop.pay(&task, &payment, [elsewhere(&derived, true), pending()]);
    let told = shop.pay(&task, &payment, [PayReply::Taken]);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
    let done = shop.show(&task, &proof(&task), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
}

#[test]
fn while_the_purchase_of_another_wallets_payment_gives_no_answer_nothing_is_presented() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [refused(false)]);
    let before = (shop.stage(), shop.asked.borrow().len());
    let mut other = payment.clone();
    other["payload"]["authorization"]["from"] = json!(Address::repeat_byte(5));
    let told = shop.pay(&task, &other, []);
    assert_eq!(told["code"], -32004, "{told}");
    assert_eq!(shop.stage(), before.0);
    let asked = shop.asked.borrow()[before.1..].to_vec();
    assert!(matches!(asked[..], [Ask::Join(_)]), "{asked:?}");
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn beside_a_purchase_that_one_payment_was_led_to_no_payment_of_the_task_begins_another() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [refused(false)]);
    let second = anew(&payment);
    shop.pay(&task, &second, [elsewhere(ANOTHER, false), pending()]);
    for again in [&payment, &second] {
        let before = shop.asked.borrow().len();
        let told = shop.pay(&task, again, [pending()]);
        assert_eq!(state(&told), "TASK_STATE_WORKING", "{told}");
        let asked = shop.asked.borrow()[before..].to_vec();
        assert!(matches!(asked[..], [Ask::Join(_)]), "{asked:?}");
    }
    let done = shop.show(&task, &proof(&task), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}
