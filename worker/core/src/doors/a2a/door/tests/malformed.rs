//! A proof or a payment has the wrong form: the client is told which member is wrong, and the task goes on.

use super::*;

/// The error that a task's message has.
fn error(task: &Value) -> &Value {
    let parts = task["status"]["message"]["parts"].as_array().unwrap();
    let error = parts.iter().find(|part| part["data"]["type"] == "Error");
    &error.unwrap_or_else(|| panic!("{task}"))["data"]
}

/// The proof of this task's offer, without the member `without` and with the members `with`.
fn bent(task: &Value, without: &str, with: &[(&str, Value)]) -> Value {
    let mut proof = proof(task);
    let members = proof.as_object_mut().unwrap();
    members.remove(without);
    for (name, value) in with {
        members.insert((*name).to_owned(), value.clone());
    }
    proof
}

#[test]
fn a_proof_that_has_not_its_form_names_the_member_and_leaves_the_task_to_be_paid() {
    let hash = json!(format!("0x{}", "77".repeat(32)));
    for (without, with, member, word) in [
        ("txHash", vec![], "txHash", "64 hex digits"),
        (
            "txHash",
            vec![("txHash", json!("0x12"))],
            "txHash",
            "64 hex digits",
        ),
        (
            "txHash",
            vec![("txHash", Value::Null)],
            "txHash",
            "64 hex digits",
        ),
        (
            "txHash",
            vec![("transactionHash", hash.clone())],
            "txHash",
            "`transactionHash`",
        ),
        (
            "txHash",
            vec![("tx_hash", hash.clone())],
            "txHash",
            "`tx_hash`",
        ),
        (
            "txHash",
            vec![("transaction", hash.clone())],
            "txHash",
            "`transaction`",
        ),
        (
            "challengeId",
            vec![],
            "challengeId",
            "challengeId of the offer",
        ),
        (
            "challengeId",
            vec![("challengeId", json!(7))],
            "challengeId",
            "challengeId of the offer",
        ),
        (
            "type",
            vec![("signature", json!("signed"))],
            "signature",
            "hex digits",
        ),
        (
            "type",
            vec![("chainId", json!("base"))],
            "chainId",
            "whole number",
        ),
        ("type", vec![("payer", json!("me"))], "payer", "address"),
    ] {
        let shop = Shop::new();
        let task = shop.offered();
        let bad = bent(&task, without, &with);
        let signature = proof(&task)["signature"].as_str().unwrap().to_owned();
        for metadata in [
            Value::Null,
            json!({"x402.payment.status": "payment-submitted"}),
        ] {
            let message =
                json!({"taskId": task["id"], "parts": [{"data": bad}], "metadata": metadata});
            let told = shop.message(message, []);
            assert!(*shop.counted.borrow());
            assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
            assert_eq!(status(&told), "payment-submitted");
            let metadata = &told["status"]["message"]["metadata"];
            assert_eq!(metadata["x402.payment.error"], "SETTLEMENT_FAILED");
            // The transfer may have been made, so the client is not invited to pay once more.
            assert!(!offers(&told), "{told}");
            assert_eq!(error(&told)["code"], "INVALID_REQUEST");
            assert_eq!(error(&told)["details"]["member"], member, "{bad}");
            let message = error(&told)["message"].as_str().unwrap();
            assert!(
                message.contains(&format!("`{member}`")) && message.contains(word),
                "{message}"
            );
            assert!(!message.contains("proof."), "{message}");
            assert!(!told.to_string().contains(&signature), "{told}");
        }
        assert!(shop.asked.borrow().is_empty());
        // The client can still pay in either way.
        let parts = json!([{"data": proof(&task)}]);
        let shown = shop.message(json!({"taskId": task["id"], "parts": parts}), [granted()]);
        assert_eq!(state(&shown), "TASK_STATE_COMPLETED");
        let task = shop.offered();
        shop.message(
            json!({"taskId": task["id"], "parts": [{"data": bent(&task, without, &with)}]}),
            [],
        );
        let paid = shop.pay(&task, &shop.payment(&task), [granted()]);
        assert_eq!(state(&paid), "TASK_STATE_COMPLETED");
    }
}

#[test]
fn the_form_of_the_other_door_has_its_members_named_too() {
    let shop = Shop::new();
    let task = shop.offered();
    for bad in [
        json!({"proof": bent(&task, "txHash", &[])}),
        json!({"proof": "0x77"}),
    ] {
        let told = shop.message(json!({"taskId": task["id"], "parts": [{"data": bad}]}), []);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        assert_eq!(error(&told)["code"], "INVALID_REQUEST");
        assert!(!offers(&told), "{told}");
    }
}

#[test]
fn what_is_wrong_without_an_offer_is_told_and_can_be_put_right_on_the_same_task() {
    let shop = Shop::new();
    let offer = shop.offered();
    let unclear = shop.message(json!({}), []);
    for on in [Value::Null, unclear["id"].clone()] {
        let parts = json!([{"data": bent(&offer, "txHash", &[])}]);
        let told = shop.message(json!({"taskId": on, "parts": parts}), []);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        assert_eq!(status(&told), "payment-submitted");
        assert_eq!(error(&told)["details"]["member"], "txHash");
        let told = shop.pay(&told, &json!({"x402Version": 2}), []);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        assert_eq!(error(&told)["code"], "INVALID_REQUEST");
        let done = shop.pay(&told, &shop.payment(&offer), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
        assert_eq!(done["id"], told["id"]);
    }
}

#[test]
fn while_a_transfer_is_not_on_chain_yet_a_bad_proof_is_told_and_takes_nothing_away() {
    let shop = Shop::new();
    let task = shop.offered();
    let show = |proof: Value, replies: Vec<PayReply>| {
        let parts = json!([{"data": proof}]);
        shop.message(json!({"taskId": task["id"], "parts": parts}), replies)
    };
    show(
        proof(&task),
        vec![PayReply::Unproven(ProofFault::TxUnconfirmed)],
    );
    let told = show(bent(&task, "txHash", &[]), vec![]);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED");
    assert_eq!(error(&told)["details"]["member"], "txHash");
    assert!(!offers(&told), "{told}");
    let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
    assert_eq!(cancel["error"]["code"], -32002);
    assert_eq!(
        state(&show(proof(&task), vec![granted()])),
        "TASK_STATE_COMPLETED"
    );
}

#[test]
fn while_a_payment_is_under_way_a_bad_proof_is_told_and_shows_no_offer_when_that_is_over() {
    for alive in [Some(pending()), None] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.pay(&task, &payment, alive.clone());
        let show = || shop.show(&task, &bent(&task, "txHash", &[]), alive.clone());
        let told = show();
        assert_eq!(state(&told), "TASK_STATE_WORKING", "{told}");
        assert_eq!(error(&told)["details"]["member"], "txHash");
        let text = told["status"]["message"]["parts"][0]["text"].as_str();
        let text = text.unwrap();
        assert!(text.contains("Beside this proof, a payment"), "{text}");
        assert!(text.contains("Call GetTask"), "{text}");
        let working = shop.get(&task, [pending()]);
        assert_eq!(error(&working)["code"], "SETTLEMENT_PENDING");
        let over = shop.get(&task, [refused(true)]);
        assert!(!offers(&over), "{over}");
        assert!(over.to_string().contains("corrected if it was refused"));
        // The corrected proof shows which transfer the unreadable one was about.
        let no_transfer = PayReply::Unproven(ProofFault::NoTransfer);
        shop.show(&task, &proof(&task), [no_transfer]);
        let next = shop.pay(&task, &payment, [refused(true)]);
        assert!(offers(&next), "{next}");
    }
}

#[test]
fn beside_what_only_the_payment_can_ask_about_a_bad_proof_is_told_too() {
    let derived = format!("x402-{}", "ab".repeat(16));
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [elsewhere(&derived, false), undelivered()]);
    let told = shop.show(&task, &bent(&task, "txHash", &[]), []);
    assert_eq!(status(&told), "payment-verified");
    assert_eq!(error(&told)["details"]["member"], "txHash");
    let text = told["status"]["message"]["parts"][0]["text"].as_str();
    let text = text.unwrap();
    assert!(text.contains("Beside this proof, a payment"), "{text}");
    let again = shop.pay(&task, &payment, [elsewhere(&derived, false), undelivered()]);
    assert_eq!(error(&again)["code"], "TOKEN_ISSUE_FAILED");
    assert_eq!(status(&again), "payment-verified");
}

#[test]
fn a_refused_payment_shows_no_offer_after_a_bad_proof_and_an_access_request_shows_one() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.show(&task, &bent(&task, "txHash", &[]), []);
    let nothing = json!({"taskId": task["id"], "parts": [{"data": {"request_id": "trace-1"}}]});
    let told = shop.message(nothing, []);
    assert_eq!(error(&told)["code"], "INVALID_REQUEST", "{told}");
    assert!(!offers(&told), "{told}");
    let told = shop.pay(&task, &shop.payment(&task), [refused(false)]);
    assert!(!offers(&told), "{told}");

    let shop = Shop::new();
    let task = shop.offered();
    shop.show(&task, &bent(&task, "txHash", &[]), []);
    let again = renewed(&shop, &task);
    let told = shop.pay(&task, &shop.payment(&again), [refused(false)]);
    assert!(offers(&told), "{told}");
}

#[test]
fn a_payment_that_stands_where_none_is_read_is_told_so_and_hands_out_no_signature() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let submitted =
        json!({"x402.payment.status": "payment-submitted", "x402.payment.payload": payment});
    for data in [
        payment.clone(),
        submitted.clone(),
        json!({"payment": payment}),
    ] {
        let parts = json!([{"text": "payment"}, {"data": data}]);
        let told = shop.message(json!({"taskId": task["id"], "parts": parts}), [granted()]);
        told_where(&task, &told, &payment);
    }
    // A payment in the metadata of the call, instead of the message's, is not read.
    let message = json!({"messageId": "m", "role": "ROLE_USER", "taskId": task["id"], "parts": [{"text": "payment"}]});
    let params = json!({"message": message, "metadata": submitted});
    let answer = shop.call("SendMessage", &params, [granted()]);
    told_where(&task, &answer["result"]["task"], &payment);
    assert!(shop.asked.borrow().is_empty());
    assert_eq!(
        state(&shop.pay(&task, &payment, [granted()])),
        "TASK_STATE_COMPLETED"
    );
}

/// Checks that the offer stands, and that the client is told where a payment belongs.
fn told_where(task: &Value, told: &Value, payment: &Value) {
    assert_eq!(told["id"], task["id"]);
    assert_eq!(status(told), "payment-required", "{told}");
    assert!(offers(told));
    let message = error(told)["message"].as_str().unwrap();
    assert!(message.contains("message.metadata"), "{message}");
    assert_eq!(error(told)["details"]["member"], "x402.payment.payload");
    let signature = payment["payload"]["signature"].as_str().unwrap();
    assert!(!told.to_string().contains(signature), "{told}");
}

#[test]
fn a_request_whose_plan_has_another_name_is_not_answered_with_the_offer_before() {
    let shop = Shop::new();
    let task = shop.offered();
    let ask =
        |data: Value| shop.message(json!({"taskId": task["id"], "parts": [{"data": data}]}), []);
    let told = ask(json!({"plan": "pro"}));
    assert_eq!(status(&told), "payment-required");
    assert!(offers(&told), "{told}");
    assert_eq!(error(&told)["code"], "INVALID_REQUEST");
    assert_eq!(error(&told)["details"]["member"], "planId");
    assert!(told["status"]["message"]["metadata"]["x402.payment.error"].is_null());
    // A message in plain words gets the offer as it is.
    let offer = shop.message(json!({"taskId": shop.offered()["id"]}), []);
    let text = offer["status"]["message"]["parts"][0]["text"]
        .as_str()
        .unwrap();
    assert!(text.starts_with("Plan "), "{text}");
    assert!(!text.contains("AccessRequest"), "{text}");
}

#[test]
fn a_member_in_another_spelling_is_refused() {
    let shop = Shop::new();
    let data = json!({"planId": "basic", "requestID": "41fca0bb-55b6-425f-82a2-b8a4ebd4ca15"});
    let told = shop.message(json!({"parts": [{"data": data}]}), []);
    assert!(!offers(&told), "{told}");
    assert_eq!(error(&told)["code"], "INVALID_REQUEST", "{told}");
    let message = error(&told)["message"].as_str().unwrap();
    assert!(message.contains("did you mean `requestId`?"), "{message}");
}

#[test]
fn a_misspelled_member_takes_no_offer_off_a_task() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let trace = json!({"taskId": task["id"], "parts": [{"data": {"request_id": "trace-1"}}]});
    let told = shop.message(trace, []);
    assert!(offers(&told), "{told}");
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn a_payment_that_stands_where_none_is_read_is_not_called_uncharged_where_it_may_have_been() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, []);
    shop.later.set(130);
    let told = shop.get(&task, [PayReply::Unbegun]);
    assert!(told.to_string().contains("No answer has come"), "{told}");
    let message = json!({"taskId": task["id"], "parts": [{"data": payment}]});
    let told = shop.message(message, []);
    let message = error(&told)["message"].as_str().unwrap();
    assert!(message.contains("charged for this request"), "{message}");
}
