//! A transfer is shown on a task whose payment was led to another purchase. What that purchase answers must not be
//! taken for an answer about the transfer.

use super::*;

/// A task whose payment was led to another purchase, and on which a transfer was shown since.
fn led_and_shown(shop: &Shop, alive: fn() -> PayReply) -> Value {
    let task = shop.offered();
    shop.pay(
        &task,
        &shop.payment(&task),
        [elsewhere(ANOTHER, false), alive()],
    );
    shop.show(&task, &proof(&task), [alive()]);
    task
}

fn returned() -> PayReply {
    PayReply::Refund {
        status: Status::Refunded,
        transaction: None,
    }
}

fn text(task: &Value) -> &str {
    let text = task["status"]["message"]["parts"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("{task}"))
}

#[test]
fn when_the_other_purchase_is_over_the_proof_is_judged() {
    let shop = Shop::new();
    let task = led_and_shown(&shop, pending);
    for _ in 0..2 {
        let polled = shop.get(&task, [refused(true)]);
        assert!(
            text(&polled).contains("same PaymentProof again"),
            "{polled}"
        );
        assert!(!offers(&polled), "{polled}");
    }
    let asked = first_asked(&shop, || {
        let done = shop.show(&task, &proof(&task), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    });
    assert!(matches!(asked, Ask::Prove(_)), "{asked:?}");
}

#[test]
fn when_the_money_of_the_other_purchase_went_back_the_proof_is_judged() {
    let shop = Shop::new();
    let task = led_and_shown(&shop, undelivered);
    let polled = shop.get(&task, [returned()]);
    assert_eq!(state(&polled), "TASK_STATE_INPUT_REQUIRED", "{polled}");
    let told = text(&polled);
    assert!(
        told.contains("was sent back") && told.contains("same PaymentProof again"),
        "{told}"
    );
    // When the client sends the payment again, it is told once more to send the proof again.
    let payment = shop.payment(&task);
    let told = shop.pay(&task, &payment, [elsewhere(ANOTHER, false), returned()]);
    assert!(text(&told).contains("same PaymentProof again"), "{told}");
    let done = shop.show(&task, &proof(&task), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");

    // If the transfer does not pay, there is nothing left to wait for.
    let shop = Shop::new();
    let task = led_and_shown(&shop, undelivered);
    shop.get(&task, [returned()]);
    let no_transfer = PayReply::Unproven(ProofFault::NoTransfer);
    shop.show(&task, &proof(&task), [no_transfer]);
    let payment = shop.payment(&task);
    let told = shop.pay(&task, &payment, [elsewhere(ANOTHER, false), returned()]);
    assert_eq!(state(&told), "TASK_STATE_FAILED", "{told}");
}

#[test]
fn when_only_its_payment_can_ask_about_the_other_purchase_the_proof_is_judged_in_the_end() {
    let derived = format!("x402-{}", "ab".repeat(16));
    for end in [refused(true), returned()] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.pay(&task, &payment, [elsewhere(&derived, false), pending()]);
        shop.pay(&task, &payment, []);
        // The payment has no answer yet. The client is asked for the payment, as only that leads on.
        let told = shop.show(&task, &proof(&task), []);
        assert!(
            text(&told).contains("Send the same payment again"),
            "{told}"
        );
        let told = shop.pay(&task, &payment, [elsewhere(&derived, false), end]);
        assert!(text(&told).contains("same PaymentProof again"), "{told}");
        let done = shop.show(&task, &proof(&task), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    }
}

#[test]
fn when_the_purchase_of_the_offer_is_at_its_end_a_transfer_ends_with_it() {
    for polled in [false, true] {
        let shop = Shop::new();
        let task = shop.offered();
        shop.show(&task, &proof(&task), [undelivered()]);
        let told = match polled {
            false => shop.show(&task, &proof(&task), [returned()]),
            true => shop.get(&task, [returned()]),
        };
        assert_eq!(state(&told), "TASK_STATE_FAILED", "{told}");
    }
}

#[test]
fn a_transfer_is_not_swallowed_by_the_end_of_the_other_purchase() {
    let led = |shop: &Shop| {
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.pay(&task, &payment, [elsewhere(ANOTHER, false), pending()]);
        task
    };
    let shop = Shop::new();
    let task = led(&shop);
    for replies in [vec![granted()], vec![]] {
        let told = shop.show(&task, &proof(&task), replies);
        assert_eq!(state(&told), "TASK_STATE_COMPLETED", "{told}");
        assert!(text(&told).contains("A transfer that was shown"), "{told}");
    }
    for end in [granted(), returned()] {
        let shop = Shop::new();
        let task = led(&shop);
        shop.get(&task, [end]);
        for _ in 0..2 {
            let told = shop.show(&task, &proof(&task), []);
            assert_eq!(told["code"], -32004, "{told}");
            let message = told["message"].as_str().unwrap();
            assert!(
                message.contains("send it without taskId to learn"),
                "{message}"
            );
        }
        let done = shop.show(&Value::Null, &proof(&task), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    }
    // The proof comes in the very request in which the other purchase ends without goods.
    for end in [returned(), refused(true), PayReply::Expired] {
        let shop = Shop::new();
        let task = led(&shop);
        let told = shop.show(&task, &proof(&task), [end]);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        assert!(text(&told).contains("same PaymentProof again"), "{told}");
        assert!(!offers(&told), "{told}");
        assert!(!offers(&shop.get(&task, [])), "{told}");
        let done = shop.show(&task, &proof(&task), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    }
}

#[test]
fn what_is_delivered_for_another_payment_says_what_to_do_about_the_transfer() {
    let shop = Shop::new();
    let task = led_and_shown(&shop, pending);
    let done = shop.get(&task, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    assert!(text(&done).contains("A transfer that was shown"), "{done}");

    // That one transfer has paid says nothing about another transfer.
    let shop = Shop::new();
    let task = shop.offered();
    let mut proof = proof(&task);
    proof["txHash"] = json!(receipt(buyer().address()).transaction);
    let done = shop.show(&task, &proof, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    assert!(!text(&done).contains("A transfer"), "{done}");
}

#[test]
fn a_refund_beside_a_transfer_says_what_to_do_about_the_transfer() {
    let told_of_it = "If a transfer was shown beside";
    // An authorization has paid, and a transfer was shown besides.
    let shop = Shop::new();
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [undelivered()]);
    shop.show(&task, &proof(&task), [undelivered()]);
    let told = shop.get(&task, [returned()]);
    assert_eq!(state(&told), "TASK_STATE_FAILED", "{told}");
    assert!(text(&told).contains(told_of_it), "{told}");
    assert!(text(&told).contains("ask the seller"), "{told}");

    // The transfer itself has paid.
    let mut paid = proof(&task);
    paid["txHash"] = json!(receipt(buyer().address()).transaction);
    let shop = Shop::new();
    let task = shop.offered();
    paid["challengeId"] = proof(&task)["challengeId"].clone();
    paid["signature"] = proof(&task)["signature"].clone();
    shop.show(&task, &paid, [undelivered()]);
    let told = shop.get(&task, [returned()]);
    assert_eq!(state(&told), "TASK_STATE_FAILED", "{told}");
    assert!(!text(&told).contains(told_of_it), "{told}");
}
