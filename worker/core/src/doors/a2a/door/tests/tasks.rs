//! Tests of who can see a task, and of what ends it.

use super::*;

#[test]
fn a_refusal_to_pay_hands_out_no_signature() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let metadata =
        json!({"x402.payment.status": "payment-rejected", "x402.payment.payload": payment});
    let rejected = shop.message(json!({"taskId": task["id"], "metadata": metadata}), []);
    assert_eq!(status(&rejected), "payment-rejected");
    let signature = payment["payload"]["signature"].as_str().unwrap();
    assert!(!rejected.to_string().contains(signature));
}

#[test]
fn a_cancelled_task_takes_no_payment() {
    let shop = Shop::new();
    let task = shop.offered();
    let answer = shop.call("CancelTask", &json!({"id": task["id"]}), []);
    assert_eq!(state(&answer["result"]), "TASK_STATE_CANCELED");
    let paid = shop.pay(&task, &shop.payment(&task), [granted()]);
    assert_eq!(paid["code"], -32004);
    assert!(shop.asked.borrow().is_empty());
}

#[test]
fn a_task_opens_only_by_its_id() {
    let shop = Shop::new();
    let task = shop.offered();
    let id = task["id"].as_str().unwrap();
    let guessed = TaskId::new(
        ContextKey::of(task["contextId"].as_str().unwrap()),
        [99; 16],
    );
    for id in ["t-1", "", &id[1..], &guessed.to_string()] {
        for method in ["GetTask", "CancelTask"] {
            let code = shop.call(method, &json!({"id": id}), [])["error"]["code"].clone();
            assert_eq!(*shop.counted.borrow(), !id.is_empty(), "{id}");
            assert_eq!(code, if id.is_empty() { -32602 } else { -32001 }, "{id}");
        }
    }
    let elsewhere = json!({"taskId": id, "contextId": "another"});
    assert_eq!(shop.message(elsewhere, [])["code"], -32602);
}

#[test]
fn a_list_is_for_who_holds_a_context_id_of_ours_and_has_no_grant() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [granted()]);
    shop.message(json!({"contextId": "mine", "parts": [{"data": {}}]}), []);
    let list = |context: &Value| {
        let params = json!({"contextId": context, "includeArtifacts": true});
        shop.call("ListTasks", &params, [])["result"].clone()
    };
    for context in [json!("mine"), Value::Null, json!("x".repeat(43))] {
        let none = json!({"tasks": [], "nextPageToken": "", "pageSize": 50, "totalSize": 0});
        assert_eq!(list(&context), none, "{context}");
    }
    let all = list(&task["contextId"]);
    assert!(all["totalSize"].as_u64().unwrap() >= 1, "{all}");
    let listed = all["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] == task["id"]);
    assert_eq!(state(listed.unwrap()), "TASK_STATE_COMPLETED");
    assert!(!all.to_string().contains("accessToken"), "{all}");
}

#[test]
fn a_repeated_message_gets_the_task_as_it_stands() {
    let shop = Shop::new();
    let message = json!({"messageId": "once", "parts": [{"data": {"planId": "basic"}}]});
    let task = shop.message(message.clone(), []);
    let mut again = message;
    again["taskId"] = task["id"].clone();
    assert_eq!(shop.message(again, [])["status"], task["status"]);
}

#[test]
fn another_message_with_an_id_that_was_used_is_no_repeated_message() {
    let shop = Shop::new();
    let wish = |id: &str| json!([{"data": {"planId": id}}]);
    let task = shop.message(json!({"messageId": "1", "parts": wish("basic")}), []);
    // A buyer who has made a transfer is not shown the offer again.
    let mut bad = proof(&task);
    bad.as_object_mut().unwrap().remove("txHash");
    let on = |parts: Value| json!({"messageId": "1", "taskId": task["id"], "parts": parts});
    let told = shop.message(on(json!([{"data": bad.clone()}])), []);
    assert!(!offers(&told), "{told}");
    // A buyer who wants another plan gets the offer for that plan, on the task.
    let mut plans = shop.config.catalog.plans().iter();
    let other = plans.find(|plan| plan.id.to_string() != "basic").unwrap();
    let told = shop.message(on(wish(&other.id.to_string())), []);
    assert!(offers(&told), "{told}");
    let text = told["status"]["message"]["parts"][0]["text"].to_string();
    assert!(text.contains(&other.id.to_string()), "{text}");
    // That a proof cannot be read is told once more, though the task keeps all proofs in the same form.
    let told = shop.message(on(json!([{"data": bad}])), []);
    assert!(!offers(&told), "{told}");
}

#[test]
fn a_task_whose_purchase_is_silent_is_not_ended() {
    for act in 0..3 {
        let shop = Shop::new();
        let task = shop.offered();
        shop.pay(&task, &shop.payment(&task), [refused(false)]);
        let reject = json!({"x402.payment.status": "payment-rejected"});
        let (told, code) = match act {
            0 => {
                let told = shop.call("CancelTask", &json!({"id": task["id"]}), []);
                (told["error"].clone(), -32002)
            }
            1 => (
                shop.message(json!({"taskId": task["id"], "metadata": reject}), []),
                -32004,
            ),
            _ => {
                let parts = json!([{"data": {"planId": "nothing"}}]);
                (
                    shop.message(json!({"taskId": task["id"], "parts": parts}), []),
                    -32004,
                )
            }
        };
        assert_eq!(told["code"], code, "{told}");
        assert_eq!(
            state(&shop.get(&task, [granted()])),
            "TASK_STATE_COMPLETED",
            "{act}"
        );
    }
}

#[test]
fn a_task_whose_purchase_says_that_nothing_has_begun_can_be_ended() {
    let shop = Shop::new();
    for is_canceled in [true, false] {
        let task = shop.offered();
        shop.pay(&task, &shop.payment(&task), [refused(false)]);
        let ended = match is_canceled {
            true => {
                let id = json!({"id": task["id"]});
                shop.call("CancelTask", &id, [PayReply::Unbegun])["result"].clone()
            }
            false => {
                let reject = json!({"x402.payment.status": "payment-rejected"});
                let message = json!({"taskId": task["id"], "metadata": reject});
                shop.message(message, [PayReply::Unbegun])
            }
        };
        let end = match is_canceled {
            true => "TASK_STATE_CANCELED",
            false => "TASK_STATE_FAILED",
        };
        assert_eq!(state(&ended), end, "{ended}");
    }
}
