//! The door in front of purchases that say what the test says.

use core::cell::{Cell, RefCell};

use alloy_primitives::hex;
use futures_util::FutureExt as _;
use http::HeaderValue;
use proptest::prelude::*;

use super::super::ids::{ContextKey, TaskId};
use super::super::task::{MAX_MESSAGE_BYTES, MAX_UNPAID_BYTES, Stage};
use super::super::tasks::TaskCommand;
use super::super::test_support::{Hook, MemoryConversations, NOW};
use super::*;
use crate::book::TargetKey;
use crate::chain::endpoints::EndpointMemory;
use crate::chain::rpc::RpcChain;
use crate::chain::transfer::{ProofFault, text_digest};
use crate::config::{Config, test_config};
use crate::doors::test_support::{buyer, node, price, version2};
use crate::goods::Goods;
use crate::offer::Terms;
use crate::purchase::test_support::{claims, receipt};
use crate::purchase::{Ask, Join, NotNow, PayReply, test_offer};
use crate::testing::{ScriptedPurchases, checkout};
use crate::types::{Address, CallFault, RequestId, Status, UsdcAmount};
use crate::x402::Refusal;

/// A conversation with a shop.
struct Shop {
    config: Config,
    conversations: MemoryConversations,
    asked: RefCell<Vec<Ask>>,
    calls: RefCell<u8>,
    counted: RefCell<bool>,
    /// By how many seconds it is later than [`NOW`].
    later: Cell<u64>,
}

impl Shop {
    fn new() -> Self {
        Self {
            config: test_config(),
            conversations: MemoryConversations::default(),
            asked: RefCell::default(),
            calls: RefCell::new(0),
            counted: RefCell::new(false),
            later: Cell::new(0),
        }
    }

    /// The answer to a call when purchases reply this, one after the other.
    fn call(
        &self,
        method: &str,
        params: &Value,
        replies: impl IntoIterator<Item = PayReply>,
    ) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.send(body.to_string().as_bytes(), replies)
    }

    fn send(&self, body: &[u8], replies: impl IntoIterator<Item = PayReply>) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert("a2a-version", HeaderValue::from_static("1.0"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let arrival = Arrival {
            headers: &headers,
            query: "",
            body,
        };
        let purchases = ScriptedPurchases::new(replies);
        let memory = EndpointMemory::default();
        let chain = &self.config.chain;
        let chain = RpcChain::new(node(), &chain.rpc_urls, self.config.network, &memory);
        let now = NOW.plus(self.later.get() * 1_000);
        let checkout = checkout(&self.config, (&purchases, &chain), now.to_seconds());
        *self.calls.borrow_mut() += 1;
        let number = *self.calls.borrow();
        let desk = Desk {
            checkout: &checkout,
            conversations: &self.conversations,
            random: [[number; 16], [200; 16]],
            now,
        };
        let response = answer(&desk, &arrival).now_or_never().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        *self.counted.borrow_mut() = limit::counts(&response);
        let asked = purchases.asked.into_inner();
        self.asked
            .borrow_mut()
            .extend(asked.into_iter().map(|(_, ask)| ask));
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(answer["jsonrpc"], "2.0");
        answer
    }

    fn message(&self, mut message: Value, replies: impl IntoIterator<Item = PayReply>) -> Value {
        if message["messageId"].is_null() {
            message["messageId"] = json!(format!("m-{}", self.calls.borrow()));
        }
        message["role"] = json!("ROLE_USER");
        if message["parts"].is_null() {
            message["parts"] = json!([{"text": "x"}]);
        }
        let answer = self.call("SendMessage", &json!({"message": message}), replies);
        match answer.get("error") {
            Some(error) => error.clone(),
            None => answer["result"]["task"].clone(),
        }
    }

    fn offered(&self) -> Value {
        let number = *self.calls.borrow();
        let wish = json!({"planId": "basic", "requestId": format!("07070707-0707-4707-8707-{number:012}")});
        let task = self.message(json!({"parts": [{"data": wish}]}), []);
        assert_eq!(state(&task), "TASK_STATE_INPUT_REQUIRED");
        task
    }

    /// A payment of this task's offer.
    fn payment(&self, task: &Value) -> Value {
        let required = &task["status"]["message"]["metadata"]["x402.payment.required"];
        let extra = &required["accepts"][0]["extra"];
        let units = price(&self.config).units();
        version2(self.config.wallets.pay_to, units, extra)
    }

    fn pay(
        &self,
        task: &Value,
        payment: &Value,
        replies: impl IntoIterator<Item = PayReply>,
    ) -> Value {
        let metadata =
            json!({"x402.payment.status": "payment-submitted", "x402.payment.payload": payment});
        self.message(json!({"taskId": task["id"], "metadata": metadata}), replies)
    }

    fn get(&self, task: &Value, replies: impl IntoIterator<Item = PayReply>) -> Value {
        let answer = self.call("GetTask", &json!({"id": task["id"]}), replies);
        answer["result"].clone()
    }

    fn before(&self, hook: Hook) {
        *self.conversations.before.borrow_mut() = Some(hook);
    }

    fn stage(&self) -> Stage {
        let tasks = self.conversations.tasks.0.borrow();
        tasks.last().unwrap().stage.clone()
    }
}

fn state(task: &Value) -> &str {
    task["status"]["state"]
        .as_str()
        .unwrap_or_else(|| panic!("{task}"))
}

fn status(task: &Value) -> &Value {
    &task["status"]["message"]["metadata"]["x402.payment.status"]
}

fn granted() -> PayReply {
    PayReply::Granted {
        goods: Goods::Token { claims: claims() },
        receipt: receipt(buyer().address()),
        again: false,
    }
}

fn pending() -> PayReply {
    PayReply::Pending { transaction: None }
}

fn refused(begun: bool) -> PayReply {
    PayReply::Refused {
        reason: Refusal::InsufficientFunds,
        transaction: None,
        begun,
    }
}

fn offers(task: &Value) -> bool {
    task["status"].to_string().contains("x402.payment.required")
}

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
    // The object that holds the task fails: nobody is asked to settle anything.
    shop.before(|_, command| match command {
        TaskCommand::Keep(_) => Err(CallFault("storage".to_owned())),
        _ => Ok(()),
    });
    let failed = shop.pay(&task, &payment, [granted()]);
    assert_eq!(failed["code"], -32603);
    assert!(shop.asked.borrow().is_empty());
    assert!(matches!(shop.stage(), Stage::Offered { .. }));
    // The process dies when the purchase has been asked: the second write is lost.
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
    // Whoever asks then is not invited to pay again, and learns the truth.
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
fn a_payment_that_fails_beside_another_one_ends_nothing() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    // The same nonce with a signature that is not the payer's; a version that is not spoken.
    let mut forged = payment.clone();
    forged["payload"]["signature"] = json!(format!("0x{}1b", "22".repeat(64)));
    let mut old = payment.clone();
    old["x402Version"] = json!(1);
    for bad in [forged, old] {
        let working = shop.pay(&task, &bad, []);
        assert_eq!(state(&working), "TASK_STATE_WORKING", "{working}");
        assert!(!offers(&working), "{working}");
    }
    for message in [
        json!({"taskId": task["id"], "parts": [{"data": {"planId": "nope"}}]}),
        json!({"taskId": task["id"], "parts": [{"data": {"planId": "basic"}}]}),
        json!({"taskId": task["id"], "metadata": {"x402.payment.status": "payment-rejected"}}),
    ] {
        let working = shop.message(message, [pending()]);
        assert_eq!(state(&working), "TASK_STATE_WORKING", "{working}");
    }
    assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
}

/// A proof of a transfer that pays this task's offer.
fn proof(task: &Value) -> Value {
    let parts = task["status"]["message"]["parts"].as_array().unwrap();
    let challenge = parts
        .iter()
        .find(|part| part["data"]["type"] == "X402Challenge");
    let id = &challenge.unwrap()["data"]["challengeId"];
    let digest = text_digest(id.as_str().unwrap());
    let signature = buyer().sign(&digest).unwrap().as_bytes();
    let hash = format!("0x{}", "77".repeat(32));
    let signature = hex::encode_prefixed(signature);
    json!({"type": "PaymentProof", "challengeId": id, "txHash": hash, "signature": signature})
}

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
fn what_is_said_of_a_payment_alone_takes_no_task_off_the_payment_that_is_under_way() {
    for alive in [pending(), undelivered()] {
        for alone in [
            PayReply::Unavailable,
            PayReply::NamedOtherwise,
            PayReply::NotNow(NotNow::Crowded),
            PayReply::Conflict,
            PayReply::Taken,
            refused(false),
        ] {
            let shop = Shop::new();
            let task = shop.offered();
            let payment = shop.payment(&task);
            let before = shop.pay(&task, &payment, [alive.clone()]);
            let after = shop.pay(&task, &payment, [alone.clone()]);
            assert_eq!(state(&after), "TASK_STATE_WORKING", "{alone:?}");
            assert_eq!(status(&after), status(&before));
            let kept = shop.conversations.tasks.0.borrow()[0].clone();
            assert!(kept.is_paid() || kept.has_begun());
            let id = json!({"id": task["id"]});
            let cancel = shop.call("CancelTask", &id, [alive.clone()]);
            assert_eq!(cancel["error"]["code"], -32002);
            assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
        }
    }
}

fn undelivered() -> PayReply {
    PayReply::Undelivered {
        fault: crate::goods::DeliveryFault::Failed,
        receipt: receipt(buyer().address()),
        refund_at: None,
    }
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
    // Nobody knows whether an identical request has begun it.
    assert_eq!(state(&shop.get(&task, [])), "TASK_STATE_INPUT_REQUIRED");
    let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
    assert_eq!(cancel["error"]["code"], -32002);
    assert_eq!(
        state(&shop.pay(&task, &payment, [granted()])),
        "TASK_STATE_COMPLETED"
    );
}

#[test]
fn an_outcome_is_taken_into_what_a_faster_request_has_left() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // An identical request was refused, and has put the offer back, before this one's outcome is kept.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            let mut tasks = tasks.0.borrow_mut();
            let task = tasks.last_mut().unwrap();
            if task.version == 2 {
                let challenge_id = task.stage.challenge_id().unwrap().to_owned();
                task.stage = Stage::Offered {
                    challenge_id,
                    said: None,
                    again: false,
                    claim: None,
                };
                task.version = 3;
            }
        }
        Ok(())
    });
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    assert_eq!(shop.asked.borrow().len(), 1, "it was not presented again");
}

/// A payment that was led to another purchase, of which a refund has failed.
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
fn a_payment_of_an_offer_that_the_task_has_shown_before_is_answered_by_that_ones_purchase() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let wish = json!({"parts": [{"data": {"planId": "basic"}}], "taskId": task["id"]});
    let renewed = shop.message(wish, []);
    assert!(offers(&renewed), "{renewed}");
    // It was made through another door, and is delivered.
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");

    // Nothing is known of it: it does not pay what the task offers now.
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let wish = json!({"parts": [{"data": {"planId": "basic"}}], "taskId": task["id"]});
    shop.message(wish, []);
    let refused = shop.pay(&task, &payment, [PayReply::Conflict, PayReply::Conflict]);
    assert!(refused.to_string().contains("challengeId"), "{refused}");
    assert!(offers(&refused), "{refused}");
}

#[test]
fn what_became_of_a_payment_is_kept_though_its_task_has_made_room() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // Others need its room while its purchase works.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            tasks.0.borrow_mut().clear();
        }
        Ok(())
    });
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert_eq!(state(&shop.get(&task, [])), "TASK_STATE_COMPLETED");
}

#[test]
fn a_payment_of_which_nothing_is_heard_is_never_called_uncharged() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // Its purchase gives no answer, now or later.
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
fn one_wallet_pays_a_task_at_a_time() {
    let shop = Shop::new();
    let task = shop.offered();
    let mut payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    let asked = shop.asked.borrow().len();
    payment["payload"]["authorization"]["from"] = json!(Address::repeat_byte(5));
    let working = shop.pay(&task, &payment, [pending()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    let asked: Vec<_> = shop.asked.borrow()[asked..].to_vec();
    assert!(matches!(asked.as_slice(), [Ask::Join(join)] if join.payer == buyer().address()));
}

#[test]
fn an_id_that_follows_from_a_payment_is_not_sold_under() {
    let shop = Shop::new();
    let wish = json!({"planId": "basic", "requestId": format!("x402-{}", "ab".repeat(16))});
    let failed = shop.message(json!({"parts": [{"data": wish}]}), []);
    assert_eq!(
        failed["status"]["message"]["parts"][1]["data"]["code"],
        "INVALID_REQUEST"
    );
    let offer = shop.config.offers.keys.seal(Terms {
        request_id: format!("x402-{}", "ab".repeat(16)).parse().unwrap(),
        ..test_offer().terms
    });
    let units = price(&shop.config).units();
    let payment = version2(
        shop.config.wallets.pay_to,
        units,
        &json!({"challengeId": offer.id}),
    );
    let failed = shop.pay(&Value::Null, &payment, [granted()]);
    assert_eq!(state(&failed), "TASK_STATE_FAILED");
    let metadata = &failed["status"]["message"]["metadata"];
    assert_eq!(metadata["x402.payment.receipts"][0]["success"], false);
    assert!(shop.asked.borrow().is_empty());
}

#[test]
fn a_proof_of_another_offer_or_of_none_of_ours_leaves_the_tasks_offer() {
    let shop = Shop::new();
    let (task, other) = (shop.offered(), shop.offered());
    let show = |proof: Value, replies: Vec<PayReply>| {
        shop.message(
            json!({"taskId": task["id"], "parts": [{"data": proof}]}),
            replies,
        )
    };
    let mut long = proof(&task);
    long["challengeId"] = json!("x".repeat(50_000));
    for bad in [proof(&other), long] {
        assert_eq!(
            state(&show(bad.clone(), vec![granted()])),
            "TASK_STATE_INPUT_REQUIRED"
        );
        let alone = shop.message(json!({"parts": [{"data": bad}]}), []);
        assert_ne!(state(&alone), "TASK_STATE_COMPLETED", "{alone}");
    }
    for task in shop.conversations.tasks.0.borrow().iter() {
        assert!(serde_json::to_vec(task).unwrap().len() <= MAX_UNPAID_BYTES);
    }
    // In the form of the other door.
    let done = show(json!({"proof": proof(&task)}), vec![granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn whatever_costs_and_brings_no_money_is_counted() {
    let shop = Shop::new();
    let task = shop.offered();
    assert!(*shop.counted.borrow());
    let proof = json!({"taskId": task["id"], "parts": [{"data": proof(&task)}]});
    shop.message(proof, [PayReply::Unproven(ProofFault::TxUnconfirmed)]);
    assert!(*shop.counted.borrow());
    shop.message(json!({"taskId": shop.offered()["id"]}), []);
    assert!(*shop.counted.borrow());
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [pending()]);
    assert!(!*shop.counted.borrow());
    shop.get(&task, [pending()]);
    assert!(!*shop.counted.borrow());
}

#[test]
fn a_message_of_many_levels_is_not_kept() {
    let shop = Shop::new();
    let deep = (0..33).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(
        shop.message(json!({"parts": [{"data": deep}]}), [])["code"],
        -32602
    );
}

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
fn who_was_faster_decides() {
    // The task is called off when the payer is proven, but not yet noted: nobody settles it.
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.is_paying()) {
            let mut tasks = tasks.0.borrow_mut();
            let task = tasks.last_mut().unwrap();
            task.stage = Stage::Canceled;
            task.version += 1;
        }
        Ok(())
    });
    let over = shop.pay(&task, &shop.payment(&task), [granted()]);
    assert_eq!(over["code"], -32004);
    assert!(shop.asked.borrow().is_empty());
}

#[test]
fn a_write_without_an_answer_is_followed_by_no_other_that_skips_what_was_written_instead() {
    // The note gets no answer, and meanwhile the task is called off.
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        let mut tasks = tasks.0.borrow_mut();
        match (command, tasks.last_mut()) {
            (TaskCommand::Keep(task), Some(kept)) if !kept.stage.is_end() => {
                kept.stage = Stage::Canceled;
                kept.version = task.version;
                Err(CallFault("no answer".to_owned()))
            }
            _ => Ok(()),
        }
    });
    let canceled = shop.pay(&task, &shop.payment(&task), [granted()]);
    assert_eq!(state(&canceled), "TASK_STATE_CANCELED");
    assert!(matches!(shop.stage(), Stage::Canceled));
    assert!(shop.asked.borrow().is_empty());
}

#[test]
fn a_refusal_is_not_kept_while_the_same_payment_is_presented_once_more() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    // Another request presents it between the refusal and the moment when that is kept.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if !task.is_paying()) {
            tasks.0.borrow_mut().last_mut().unwrap().version += 1;
        }
        Ok(())
    });
    let working = shop.pay(&task, &payment, [refused(false), pending()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    assert!(!offers(&working), "{working}");
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
fn a_payment_without_a_task_is_found_by_its_offer() {
    let shop = Shop::new();
    let task = shop.offered();
    let mut payment = shop.payment(&task);
    let done = shop.pay(&Value::Null, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    assert_ne!(done["id"], task["id"]);
    payment["accepted"]["extra"] = json!({});
    let asked = shop.asked.borrow().len();
    let failed = shop.pay(&Value::Null, &payment, [granted()]);
    assert_eq!(state(&failed), "TASK_STATE_FAILED");
    assert_eq!(shop.asked.borrow().len(), asked);
}

#[test]
fn a_payment_for_another_offer_than_the_tasks_is_refused() {
    let shop = Shop::new();
    let (one, other) = (shop.offered(), shop.offered());
    let refused = shop.pay(
        &one,
        &shop.payment(&other),
        [PayReply::Conflict, PayReply::Conflict],
    );
    assert_eq!(status(&refused), "payment-required");
    let error = &refused["status"]["message"]["parts"][1]["data"];
    assert!(
        error["details"]["mismatch"]
            .to_string()
            .contains("challengeId"),
        "{error}"
    );
    // That one's purchase was asked, and has not begun by it.
    let asked = shop.asked.borrow();
    let begins = |ask: &Ask| !matches!(ask, Ask::Pay(pay) if pay.sale.is_none());
    assert!(!asked.is_empty() && !asked.iter().any(begins), "{asked:?}");
}

#[test]
fn a_payment_to_somebody_else_is_refused_unless_the_purchase_has_begun_with_it() {
    let shop = Shop::new();
    let task = shop.offered();
    let extra = shop.payment(&task)["accepted"]["extra"].clone();
    let payment = version2(Address::repeat_byte(9), price(&shop.config).units(), &extra);
    let refused = shop.pay(&task, &payment, [PayReply::Conflict]);
    let metadata = &refused["status"]["message"]["metadata"];
    assert_eq!(metadata["x402.payment.error"], "INVALID_AMOUNT");
    // The purchase has no sale that it could begin.
    let asked = shop.asked.borrow();
    assert!(
        matches!(&asked[..], [Ask::Pay(pay)] if pay.sale.is_none()),
        "{asked:?}"
    );
}

#[test]
fn a_payment_for_an_earlier_offer_of_the_same_purchase_gets_its_outcome() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // The price has changed, and with it the offer of the task.
    let mut tasks = shop.conversations.tasks.0.borrow_mut();
    let Stage::Offered { challenge_id, .. } = &mut tasks[0].stage else {
        panic!("no offer");
    };
    let terms = shop.config.offers.keys.open(challenge_id).unwrap().terms;
    let dearer = Terms {
        amount: UsdcAmount::from_units(terms.amount.units() + 1),
        ..terms
    };
    *challenge_id = shop.config.offers.keys.seal(dearer).id.to_string();
    drop(tasks);
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    let asked = shop.asked.borrow();
    assert!(
        matches!(&asked[..], [Ask::Pay(pay)] if pay.sale.is_none()),
        "{asked:?}"
    );
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
fn a_message_that_is_too_long_is_not_kept() {
    let shop = Shop::new();
    let parts = json!([{"text": "x".repeat(MAX_MESSAGE_BYTES)}]);
    assert_eq!(shop.message(json!({"parts": parts}), [])["code"], -32602);
    assert!(shop.conversations.tasks.0.borrow().is_empty());
    let task = shop.offered();
    let long = json!({"taskId": task["id"], "parts": parts});
    assert_eq!(shop.message(long, [])["code"], -32602);
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
fn only_what_is_a_call_comes_from_the_other_door() {
    assert!(is_call(br#"{"jsonrpc":"2.0","id":1}"#));
    for other in [
        &b""[..],
        b"{}",
        br#"{"planId":"jsonrpc"}"#,
        br#"["jsonrpc"]"#,
        br#"{"jsonrpc""#,
    ] {
        assert!(!is_call(other));
    }
}

#[test]
fn each_fault_has_its_code_and_the_calls_id() {
    let shop = Shop::new();
    for (body, code, id) in [
        ("{", -32700, Value::Null),
        ("[]", -32600, Value::Null),
        (r#"{"id":1,"method":"GetTask"}"#, -32600, json!(1)),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"GetTask"}"#,
            -32600,
            Value::Null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"GetTask"}"#,
            -32600,
            Value::Null,
        ),
        (r#"{"jsonrpc":"2.0","id":"a"}"#, -32600, json!("a")),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"Nope"}"#,
            -32601,
            json!("a"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":2,"method":"GetTask"}"#,
            -32602,
            json!(2),
        ),
        (
            r#"{"jsonrpc":"2.0","id":2,"method":"GetTask","params":[]}"#,
            -32602,
            json!(2),
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"SendStreamingMessage","params":{}}"#,
            -32004,
            Value::Null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"GetTaskPushNotificationConfig"}"#,
            -32003,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"GetExtendedAgentCard"}"#,
            -32004,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"ListTasks","params":{"pageSize":101}}"#,
            -32602,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"ListTasks","params":{"pageToken":"x"}}"#,
            -32602,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"ListTasks","params":{"status":"done"}}"#,
            -32602,
            json!(3),
        ),
    ] {
        let answer = shop.send(body.as_bytes(), []);
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{body}"
        );
        let names: Vec<_> = answer["error"].as_object().unwrap().keys().collect();
        assert!(
            names
                .iter()
                .all(|name| ["code", "message", "data"].contains(&name.as_str()))
        );
    }
}

proptest! {
    #[test]
    fn hostile_bodies_never_panic(body: Vec<u8>) {
        let answer = Shop::new().send(&body, []);
        prop_assert!(answer["error"].is_object());
    }

    #[test]
    fn hostile_messages_never_panic(
        text in ".{0,40}",
        number in any::<f64>(),
        names in proptest::collection::vec("(messageId|role|parts|taskId|contextId|metadata|text|data|planId|txHash|x402\\.payment\\.(status|payload))", 0..8),
    ) {
        let mut message = json!({"messageId": text, "role": "ROLE_USER", "parts": [{"text": text}]});
        for (at, name) in names.iter().enumerate() {
            message[name.as_str()] = match at % 4 {
                0 => json!(text),
                1 => json!(number),
                2 => json!([{name.as_str(): text}]),
                _ => json!({name.as_str(): {"x402Version": number, "payload": text}}),
            };
        }
        let shop = Shop::new();
        let params = json!({"message": message, "configuration": {"historyLength": number}});
        let answer = shop.call("SendMessage", &params, []);
        prop_assert!(answer["error"].is_object() || answer["result"].is_object());
    }
}
