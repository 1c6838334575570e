//! Tests of the outcomes of payments.

use super::*;

#[test]
fn a_payment_gets_its_grant_and_the_same_again_gets_it_too() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    assert_eq!(status(&done), "payment-completed");
    let grant = &done["artifacts"][0]["parts"][0]["data"];
    assert_eq!(grant["type"], "AccessGrant");
    assert_eq!(done["status"]["message"]["parts"][1]["data"], *grant);
    let receipts = &done["status"]["message"]["metadata"]["x402.payment.receipts"];
    assert_eq!(receipts[0]["success"], true);
    assert!(!*shop.counted.borrow(), "who pays is welcome");
    let asked = shop.asked.borrow().len();
    let again = shop.pay(&task, &payment, []);
    assert_eq!(again["artifacts"], done["artifacts"]);
    assert_eq!(shop.get(&task, [])["artifacts"], done["artifacts"]);
    assert_eq!(shop.asked.borrow().len(), asked, "nobody is asked again");
    let other = shop.message(json!({"taskId": task["id"]}), []);
    assert_eq!(other["code"], -32004);
}

#[test]
fn what_is_needed_to_ask_again_is_kept_before_the_purchase_is_asked() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // The object that holds the task fails, so no purchase is asked to settle.
    shop.before(|_, command| match command {
        TaskCommand::Keep(_) => Err(CallFault("storage".to_owned())),
        _ => Ok(()),
    });
    let failed = shop.pay(&task, &payment, [granted()]);
    assert_eq!(failed["code"], -32603);
    assert!(shop.asked.borrow().is_empty());
    assert!(matches!(shop.stage(), Stage::Offered { .. }));
    // The process dies after the purchase was asked: the second write is lost.
    shop.before(|tasks, command| match command {
        TaskCommand::Keep(task) if task.version > 2 => {
            assert!(tasks.0.borrow().last().unwrap().is_paying());
            Err(CallFault("died".to_owned()))
        }
        _ => Ok(()),
    });
    let died = shop.pay(&task, &payment, [granted()]);
    assert_eq!(died["code"], -32603);
    assert_eq!(shop.asked.borrow().len(), 1);
    // A client that asks afterwards is not invited to pay again, and learns the truth.
    *shop.conversations.before.borrow_mut() = None;
    let working = shop.get(&task, [pending()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    assert!(!offers(&working), "{working}");
    let done = shop.get(&task, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    assert_eq!(done["artifacts"][0]["name"], "access-grant");
}

#[test]
fn what_is_not_known_is_working_and_carries_no_offer() {
    for reply in [
        pending(),
        undelivered(),
        PayReply::Refund {
            status: Status::RefundPending,
            transaction: None,
        },
        PayReply::Refund {
            status: Status::RefundFailed,
            transaction: None,
        },
    ] {
        let shop = Shop::new();
        let task = shop.offered();
        let working = shop.pay(&task, &shop.payment(&task), [reply]);
        assert_eq!(state(&working), "TASK_STATE_WORKING");
        assert!(!offers(&working), "{working}");
        let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), [pending()]);
        assert_eq!(cancel["error"]["code"], -32002);
        let done = shop.get(&task, [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    }
}

#[test]
fn a_refund_ends_the_task_and_its_receipts_tell_both() {
    let shop = Shop::new();
    let task = shop.offered();
    let undelivered = PayReply::Undelivered {
        fault: crate::goods::DeliveryFault::Failed,
        receipt: receipt(buyer().address()),
        refund_at: Some(NOW.plus(1)),
    };
    let working = shop.pay(&task, &shop.payment(&task), [undelivered]);
    assert_eq!(status(&working), "payment-verified");
    let refund = PayReply::Refund {
        status: Status::Refunded,
        transaction: None,
    };
    let failed = shop.get(&task, [refund]);
    assert_eq!(state(&failed), "TASK_STATE_FAILED");
    assert_eq!(status(&failed), "payment-failed");
    let receipts = &failed["status"]["message"]["metadata"]["x402.payment.receipts"];
    let told: Vec<_> = receipts
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["success"])
        .collect();
    assert_eq!(told, [true, false]);
}

#[test]
fn where_nothing_was_charged_there_is_a_fresh_offer() {
    for begun in [false, true] {
        let shop = Shop::new();
        let task = shop.offered();
        let again = shop.pay(&task, &shop.payment(&task), [refused(begun)]);
        assert_eq!(state(&again), "TASK_STATE_INPUT_REQUIRED");
        assert_eq!(status(&again), "payment-required");
        let metadata = &again["status"]["message"]["metadata"];
        assert_eq!(metadata["x402.payment.error"], "INSUFFICIENT_FUNDS");
        assert!(*shop.counted.borrow());
        let second = shop.pay(&task, &shop.payment(&again), [granted()]);
        assert_eq!(state(&second), "TASK_STATE_COMPLETED");
        let Some(Ask::Pay(pay)) = shop.asked.borrow().last().cloned() else {
            panic!("not asked");
        };
        let extra = &metadata["x402.payment.required"]["accepts"][0]["extra"];
        assert_eq!(json!(pay.request_id), extra["requestId"]);
    }
}

#[test]
fn where_nothing_could_begin_now_the_same_payment_is_sent_again() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let later = shop.pay(&task, &payment, [PayReply::NotNow(NotNow::GasTooDear)]);
    assert_eq!(state(&later), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&later), "{later}");
    let error = &later["status"]["message"]["parts"][1]["data"];
    assert!(error["details"]["retryAfterSeconds"].is_u64(), "{error}");
    // An identical request may have begun the purchase, and we do not know.
    assert_eq!(state(&shop.get(&task, [])), "TASK_STATE_INPUT_REQUIRED");
    let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
    assert_eq!(cancel["error"]["code"], -32002);
    assert_eq!(
        state(&shop.pay(&task, &payment, [granted()])),
        "TASK_STATE_COMPLETED"
    );
}

#[test]
fn a_payment_of_which_nothing_is_heard_is_never_called_uncharged() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // The purchase gives no answer, now or later.
    let working = shop.pay(&task, &payment, []);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    assert!(
        !shop.conversations.tasks.0.borrow()[0].is_paid(),
        "a signature is free"
    );
    assert_eq!(shop.get(&task, [])["status"], working["status"]);
    shop.later.set(2_000);
    let late = shop.get(&task, [PayReply::Unbegun]);
    assert_eq!(state(&late), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&late), "{late}");
    assert!(
        late.to_string().contains("Send the same payment again"),
        "{late}"
    );
    assert_eq!(
        state(&shop.pay(&task, &payment, [granted()])),
        "TASK_STATE_COMPLETED"
    );
}

#[test]
fn what_may_be_paid_instead_is_the_same_purchase_as_long_as_that_has_not_begun() {
    let shop = Shop::new();
    let task = shop.offered();
    let extra = |task: &Value| {
        let required = &task["status"]["message"]["metadata"]["x402.payment.required"];
        required["accepts"][0]["extra"].clone()
    };
    let again = shop.pay(&task, &shop.payment(&task), [refused(false)]);
    assert_eq!(extra(&again), extra(&task));
    let offer = shop
        .config
        .offers
        .keys
        .open(extra(&again)["challengeId"].as_str().unwrap());
    assert!(offer.unwrap().terms.chosen);
    let other = shop.pay(&task, &shop.payment(&task), [refused(true)]);
    assert_ne!(extra(&other)["requestId"], extra(&task)["requestId"]);
}

#[test]
fn a_task_whose_money_has_arrived_outlives_the_secret_of_its_offer() {
    let mut shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [undelivered()]);
    shop.config.offers.keys =
        crate::offer::SealKeys::new(&crate::types::Secret::new("another"), &[]);
    let working = shop.pay(&task, &payment, [undelivered()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING", "{working}");
    assert_eq!(status(&working), "payment-verified");
    assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
}

#[test]
fn a_payment_that_has_begun_nothing_is_to_be_sent_again() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let again = shop.pay(&task, &payment, [PayReply::Unbegun]);
    assert_eq!(state(&again), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&again), "{again}");
    assert_eq!(
        shop.get(&task, [PayReply::Unbegun])["status"],
        again["status"]
    );
    assert_eq!(
        state(&shop.pay(&task, &payment, [granted()])),
        "TASK_STATE_COMPLETED"
    );
}

#[test]
fn who_was_led_to_a_purchase_by_a_used_payment_hears_so_in_the_end() {
    let shop = Shop::new();
    let task = shop.offered();
    let elsewhere = json!({"elsewhere": {
        "requestId": "09090909-0909-4909-8909-090909090909",
        "join": {"payer": buyer().address(), "target": "plan basic default", "byAttempted": true},
    }});
    let elsewhere: PayReply = serde_json::from_value(elsewhere).unwrap();
    let working = shop.pay(&task, &shop.payment(&task), [elsewhere, pending()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    let failed = shop.get(&task, [PayReply::Taken]);
    assert_eq!(state(&failed), "TASK_STATE_FAILED", "{failed}");
    assert_eq!(
        failed["status"]["message"]["metadata"]["x402.payment.error"],
        "DUPLICATE_NONCE"
    );
}

#[test]
fn that_nothing_can_be_begun_now_says_nothing_of_what_was_begun() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let again = shop.pay(&task, &payment, [PayReply::Unavailable]);
    assert_eq!(state(&again), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&again), "{again}");
    shop.pay(&task, &payment, [pending()]);
    let working = shop.pay(&task, &payment, [PayReply::Unavailable]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), [pending()]);
    assert_eq!(cancel["error"]["code"], -32002);
    assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
}

#[test]
fn that_the_money_has_arrived_is_not_forgotten_when_the_payment_is_sent_again_and_not_answered() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [undelivered()]);
    for replies in [vec![], vec![pending()], vec![PayReply::Unavailable]] {
        let working = shop.pay(&task, &payment, replies);
        assert_eq!(state(&working), "TASK_STATE_WORKING");
        assert_eq!(status(&working), "payment-verified");
        assert!(shop.conversations.tasks.0.borrow()[0].is_paid());
    }
}

/// A payment that was led to another purchase, whose refund has failed.
fn led() -> (Shop, Value, Value, RequestId) {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let other = RequestId::from_random([9; 16]);
    let id = shop.stage().challenge_id().unwrap().to_owned();
    let offer = shop.config.offers.keys.open(&id).unwrap();
    let join = Join {
        payer: buyer().address(),
        target: TargetKey::of(&offer.terms),
        by_attempted: false,
    };
    let led = PayReply::Elsewhere {
        request_id: other.clone(),
        join,
    };
    let stuck = PayReply::Refund {
        status: Status::RefundFailed,
        transaction: None,
    };
    let working = shop.pay(&task, &payment, [led, stuck]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    (shop, task, payment, other)
}

#[test]
fn of_a_payment_that_was_led_to_another_purchase_that_one_is_asked_whether_its_money_went_back() {
    let (shop, _, _, other) = led();
    let stage = shop.stage();
    assert_eq!(stage.claim().map(|claim| &claim.request_id), Some(&other));
}

#[test]
fn a_purchase_that_a_payment_was_led_to_is_not_forgotten_when_the_payment_is_sent_again() {
    let (shop, task, payment, other) = led();
    for replies in [vec![], vec![PayReply::Unbegun]] {
        let working = shop.pay(&task, &payment, replies);
        assert_eq!(state(&working), "TASK_STATE_WORKING", "{working}");
        let stage = shop.stage();
        assert_eq!(stage.claim().map(|claim| &claim.request_id), Some(&other));
    }
}

#[test]
fn a_payment_of_an_earlier_price_whose_purchase_was_silent_once_gets_an_answer() {
    for first in [vec![], vec![PayReply::Unbegun]] {
        let shop = Shop::new();
        let task = shop.offered();
        let mut payment = shop.payment(&task);
        payment["accepted"]["amount"] = json!("1");
        let told = shop.pay(&task, &payment, first);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        assert!(!offers(&told), "{told}");
        assert!(told.to_string().contains("Send the same payment again"));
        assert!(!told["status"].to_string().contains("transfer"), "{told}");
        let wish = json!({"taskId": task["id"], "parts": [{"data": {"planId": "basic"}}]});
        assert_eq!(shop.message(wish, [])["code"], -32004);
        // The task has a claim, so its purchase can be asked.
        let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
        assert_eq!(cancel["error"]["code"], -32002);
        // The purchase says for certain that nothing has begun.
        let last = shop.pay(&task, &payment, [PayReply::Conflict]);
        assert!(offers(&last), "{last}");
        assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
    }
}

#[test]
fn what_is_final_ends_a_task_also_after_a_silent_moment() {
    for end in [
        PayReply::Conflict,
        PayReply::Taken,
        PayReply::Spent {
            reason: Refusal::InsufficientFunds,
        },
    ] {
        for first in [vec![], vec![PayReply::NotNow(NotNow::GasTooDear)]] {
            let shop = Shop::new();
            let task = shop.offered();
            let payment = shop.payment(&task);
            shop.pay(&task, &payment, first);
            let last = shop.pay(&task, &payment, [end.clone()]);
            assert_eq!(state(&last), "TASK_STATE_FAILED", "{last}");
        }
    }
}

#[test]
fn what_is_final_for_one_payment_ends_no_task_that_waits_for_another() {
    for end in [PayReply::Taken, refused(false)] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.pay(&task, &payment, []);
        let told = shop.pay(&task, &anew(&payment), [end]);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        assert!(!offers(&told), "{told}");
        assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
    }
}

#[test]
fn a_forged_copy_of_a_silent_payment_is_no_answer_to_it() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, []);
    let mut forged = payment;
    forged["payload"]["signature"] = json!(format!("0x{}1b", "22".repeat(64)));
    let told = shop.pay(&task, &forged, []);
    assert_eq!(state(&told), "TASK_STATE_WORKING", "{told}");
    assert!(!offers(&told), "{told}");
}

#[test]
fn while_another_network_is_sold_on_a_silent_payment_is_not_called_uncharged() {
    let mut shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, []);
    shop.config.network = Network::Base;
    shop.later.set(2_000);
    let told = shop.pay(&task, &payment, [PayReply::Conflict]);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
    assert!(!offers(&told), "{told}");
    shop.config.network = Network::BaseSepolia;
    assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
}

#[test]
fn a_silent_payment_for_what_is_sold_no_more_has_an_end_however_often_it_is_sent() {
    let mut shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, []);
    shop.config.catalog =
        crate::catalog::Catalog::from_json(r#"[{"planId":"other","unitAmount":"$1"}]"#).unwrap();
    // For a while an identical request may still begin the purchase.
    for seconds in [30, 60, 90, 119] {
        shop.later.set(seconds);
        let told = shop.pay(&task, &payment, [PayReply::Conflict]);
        assert_eq!(state(&told), "TASK_STATE_WORKING", "{told}");
    }
    shop.later.set(121);
    let told = shop.pay(&task, &payment, [PayReply::Conflict]);
    assert_eq!(state(&told), "TASK_STATE_FAILED", "{told}");
    assert!(told.to_string().contains("TIER_NOT_FOUND"), "{told}");
}

#[test]
fn a_payment_that_is_sent_again_without_an_answer_may_begin_from_then_on() {
    let mut shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, []);
    shop.later.set(100);
    shop.pay(&task, &payment, []);
    shop.config.catalog =
        crate::catalog::Catalog::from_json(r#"[{"planId":"other","unitAmount":"$1"}]"#).unwrap();
    shop.later.set(150);
    let told = shop.pay(&task, &payment, [PayReply::Conflict]);
    assert_eq!(state(&told), "TASK_STATE_WORKING", "{told}");
}

#[test]
fn a_refusal_after_nothing_could_begin_shows_the_offer() {
    for first in [vec![], vec![PayReply::NotNow(NotNow::GasTooDear)]] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.pay(&task, &payment, first);
        let told = shop.pay(&task, &payment, [refused(false)]);
        assert!(offers(&told), "{told}");
        let required = &told["status"]["message"]["metadata"]["x402.payment.required"];
        let before = &task["status"]["message"]["metadata"]["x402.payment.required"];
        // The new offer is for the same purchase, which the task goes on to follow.
        assert_eq!(
            required["accepts"][0]["extra"],
            before["accepts"][0]["extra"]
        );
        assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
    }
}
