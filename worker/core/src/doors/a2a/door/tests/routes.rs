//! Calls of routes in a conversation.

use super::*;
use crate::catalog::{Catalog, Route, Settle, testing};
use crate::goods::OriginFault;
use crate::purchase::test_support::{answer as answer_to_call, answered};

const URL: &str = "https://shop.example/api/weather/oslo?days=3";

fn shop() -> Shop {
    let mut shop = Shop::new();
    let routes = vec![
        testing::route("weather", "GET", "/api/weather/:city"),
        Route {
            settle: Settle::Before,
            ..testing::route("note", "POST", "/api/notes")
        },
        Route {
            price: None,
            ..testing::route("status", "GET", "/status")
        },
    ];
    let plans = shop.config.catalog.plans().to_vec();
    shop.config.catalog = Catalog::with_routes(plans, routes);
    shop.body.replace(Some(b"sunny".to_vec()));
    shop
}

fn weather() -> Value {
    json!({"type": "AccessRequest", "routeId": "weather", "resource": {"method": "GET", "path": "/api/weather/oslo?days=3"}})
}

fn ask(shop: &Shop, wish: &Value) -> Value {
    shop.message(json!({"parts": [{"data": wish}]}), [])
}

fn payment(shop: &Shop, task: &Value) -> Value {
    let required = &task["status"]["message"]["metadata"]["x402.payment.required"];
    let extra = &required["accepts"][0]["extra"];
    version2(shop.config.wallets.pay_to, 10_000, extra)
}

fn answer_of(status: u16, is_paid: bool, refund: Option<B256>) -> PayReply {
    PayReply::Granted {
        goods: answered(answer_to_call(1, status), refund),
        receipt: is_paid.then(|| receipt(buyer().address())),
        again: false,
    }
}

fn artifact(task: &Value) -> &Value {
    let artifacts = task["artifacts"].as_array();
    let [artifact] = artifacts.map_or(&[][..], Vec::as_slice) else {
        panic!("{task}");
    };
    assert_eq!(artifact["name"], "resource-response");
    &artifact["parts"][0]["data"]
}

#[test]
fn a_call_is_offered_for_its_own_url_and_no_transfer_pays_for_it() {
    let shop = shop();
    let task = ask(&shop, &weather());
    assert_eq!(state(&task), "TASK_STATE_INPUT_REQUIRED");
    let required = &task["status"]["message"]["metadata"]["x402.payment.required"];
    assert_eq!(required["resource"]["url"], URL);
    assert_eq!(required["accepts"][0]["extra"]["routeId"], "weather");
    assert!(required["accepts"][0]["extra"].get("paymentFlow").is_none());
    let parts = task["status"]["message"]["parts"].as_array().unwrap();
    let text = parts[0]["text"].as_str().unwrap();
    assert!(
        text.contains("A call of route \"weather\" costs $0.01"),
        "{text}"
    );
    let challenge = &parts[1]["data"];
    assert_eq!(challenge["type"], "X402Challenge");
    assert_eq!(challenge["routeId"], "weather");
    assert!(challenge.get("transferInstead").is_none());
    let note = json!({"routeId": "note", "resource": {"path": "/api/notes", "body": {"a": 1.0}}});
    let task = ask(&shop, &note);
    let required = &task["status"]["message"]["metadata"]["x402.payment.required"];
    assert_eq!(required["accepts"][0]["extra"]["paymentFlow"], "upfront");
}

#[test]
fn the_payment_on_the_task_makes_the_call_that_was_asked_for() {
    let shop = shop();
    let task = ask(&shop, &weather());
    let done = shop.pay(&task, &payment(&shop, &task), [answer_of(200, true, None)]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    let brought = shop.brought.take().unwrap();
    assert_eq!(brought.target, "/api/weather/oslo?days=3");
    let metadata = &done["status"]["message"]["metadata"];
    assert_eq!(metadata["x402.payment.status"], "payment-completed");
    assert_eq!(metadata["x402.payment.receipts"][0]["success"], true);
    let response = artifact(&done);
    assert_eq!(response["type"], "ResourceResponse");
    assert_eq!(response["resource"]["status"], 200);
    assert_eq!(response["resource"]["body"], "sunny");
    assert_eq!(done["status"]["message"]["parts"][1]["data"], *response);
    // The task keeps no body: its purchase is asked for it.
    shop.body.take();
    let asked = shop.asked.borrow().len();
    let gone = shop.get(
        &task,
        [PayReply::AnswerGone {
            transaction: B256::ZERO,
        }],
    );
    assert_eq!(state(&gone), "TASK_STATE_COMPLETED");
    assert!(artifact(&gone)["resource"].get("body").is_none());
    assert!(
        artifact(&gone)["note"]
            .as_str()
            .unwrap()
            .contains("no longer kept")
    );
    assert!(matches!(shop.asked.borrow()[asked..], [Ask::Join(_)]));
    shop.body.replace(Some(b"sunny".to_vec()));
    assert_eq!(artifact(&shop.get(&task, []))["resource"]["body"], "sunny");
}

#[test]
fn an_answer_that_is_not_charged_for_fails_the_task_with_the_apis_status_and_no_receipt() {
    for (status, refund) in [(404, None), (500, Some(B256::repeat_byte(9)))] {
        let shop = shop();
        let task = ask(&shop, &weather());
        let done = shop.pay(
            &task,
            &payment(&shop, &task),
            [answer_of(status, false, refund)],
        );
        assert_eq!(state(&done), "TASK_STATE_FAILED", "{done}");
        let metadata = &done["status"]["message"]["metadata"];
        assert_eq!(metadata["x402.payment.status"], "payment-failed");
        assert!(metadata.get("x402.payment.receipts").is_none());
        let response = artifact(&done);
        assert_eq!(response["resource"]["status"], status);
        assert_eq!(response["charged"], false);
        assert_eq!(response.get("refundOf").is_some(), refund.is_some());
        let kept = shop.conversations.tasks.0.borrow()[0].clone();
        assert_eq!(kept.is_paid(), refund.is_some());
    }
}

#[test]
fn a_call_without_an_answer_fails_the_task_with_the_code_of_every_door() {
    for (refund, was_paid) in [(None, false), (Some(B256::repeat_byte(9)), true)] {
        let shop = shop();
        let task = ask(&shop, &weather());
        let fault = OriginFault::Timeout;
        let done = shop.pay(
            &task,
            &payment(&shop, &task),
            [PayReply::Origin { fault, refund }],
        );
        assert_eq!(state(&done), "TASK_STATE_FAILED", "{done}");
        let parts = &done["status"]["message"]["parts"];
        assert_eq!(parts[1]["data"]["code"], "TOKEN_ISSUE_TIMEOUT");
        let stage = shop.stage();
        assert!(matches!(stage, Stage::Failed { was_paid: paid, .. } if paid == was_paid));
    }
}

#[test]
fn who_asks_for_a_task_whose_call_may_be_unmade_brings_the_call_again() {
    let shop = shop();
    let task = ask(&shop, &weather());
    let paying = shop.pay(
        &task,
        &payment(&shop, &task),
        [PayReply::Calling { transaction: None }],
    );
    assert_eq!(state(&paying), "TASK_STATE_WORKING");
    let first = shop.brought.take();
    let done = shop.get(&task, [answer_of(200, true, None)]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert_eq!(shop.brought.take(), first);
    shop.get(&task, []);
    assert_eq!(shop.brought.take(), None, "the task is over");
}

#[test]
fn a_call_too_long_to_be_kept_is_sent_again_beside_its_payment() {
    let shop = shop();
    let note =
        json!({"routeId": "note", "resource": {"path": "/api/notes", "body": "a".repeat(5_000)}});
    let task = ask(&shop, &note);
    assert_eq!(state(&task), "TASK_STATE_INPUT_REQUIRED", "{task}");
    let length = serde_json::to_vec(&shop.conversations.tasks.0.borrow()[0])
        .unwrap()
        .len();
    assert!(length <= MAX_UNPAID_BYTES, "{length}");
    let payment = payment(&shop, &task);
    let refused = shop.pay(&task, &payment, []);
    assert_eq!(refused["code"], -32602, "{refused}");
    assert!(shop.brought.take().is_none() && shop.asked.borrow().is_empty());
    let pay = |wish: &Value, replies: &[PayReply]| {
        let metadata =
            json!({"x402.payment.status": "payment-submitted", "x402.payment.payload": payment});
        let message =
            json!({"taskId": task["id"], "metadata": metadata, "parts": [{"data": wish}]});
        shop.message(message, replies.to_vec())
    };
    // The offer is for the first call, not for another one.
    let other = json!({"routeId": "note", "resource": {"path": "/api/notes", "body": "b"}});
    assert_eq!(pay(&other, &[])["code"], -32602);
    let done = pay(&note, &[answer_of(201, true, None)]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert_eq!(shop.brought.take().unwrap().body.len(), 5_000);
}

#[test]
fn a_task_with_a_call_is_as_short_as_any_other() {
    let shop = shop();
    let path = format!("/api/weather/oslo?{}", "x".repeat(560));
    let wish = json!({"routeId": "weather", "resource": {"path": path}});
    let task = ask(&shop, &wish);
    let payment = payment(&shop, &task);
    shop.pay(&task, &payment, [refused(false)]);
    shop.pay(&task, &payment, [pending()]);
    let tasks = shop.conversations.tasks.0.borrow();
    let length = serde_json::to_vec(&tasks[0]).unwrap().len();
    assert!(tasks[0].call.is_some());
    assert!(length <= MAX_UNPAID_BYTES, "{length}");
}

#[test]
fn a_free_call_is_answered_at_once_and_a_call_that_fits_no_route_fails() {
    let shop = shop();
    let done = ask(
        &shop,
        &json!({"routeId": "status", "resource": {"path": "/status"}}),
    );
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert!(done["status"]["message"].get("metadata").is_none());
    let response = artifact(&done);
    assert_eq!(response["resource"]["body"], "sunny");
    assert!(
        response["challengeId"]
            .as_str()
            .unwrap()
            .starts_with("free-")
    );
    assert!(!shop.conversations.tasks.0.borrow()[0].is_paid());
    for (wish, code) in [
        (
            json!({"routeId": "gone", "resource": {"path": "/"}}),
            "TIER_NOT_FOUND",
        ),
        (
            json!({"routeId": "weather", "resource": {}}),
            "MISSING_RESOURCE_FIELD",
        ),
        (
            json!({"routeId": "weather", "planId": "basic"}),
            "INVALID_REQUEST",
        ),
        (
            json!({"routeId": "weather", "resource": {"path": "/api/notes"}}),
            "INVALID_REQUEST",
        ),
    ] {
        let failed = ask(&shop, &wish);
        assert_eq!(state(&failed), "TASK_STATE_FAILED", "{failed}");
        assert_eq!(
            failed["status"]["message"]["parts"][1]["data"]["code"],
            code
        );
    }
}
