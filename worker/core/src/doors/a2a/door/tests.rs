//! Tests of the A2A door. The purchases behind it give the replies that a test chooses.

mod calls;
mod led;
mod malformed;
mod networks;
mod offers;
mod one_purchase;
mod other_purchases;
mod payments;
mod races;
mod routes;
mod tasks;
mod texts;
mod transfers;

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
use crate::chain::usdc;
use crate::checkout::Brought;
use crate::config::{Config, test_config};
use crate::doors::test_support::{buyer, node, price, version2};
use crate::goods::Goods;
use crate::offer::Terms;
use crate::purchase::test_support::{claims, receipt};
use crate::purchase::{Ask, Join, NotNow, PayReply, test_offer};
use crate::testing::{ScriptedPurchases, checkout};
use crate::types::{Address, B256, CallFault, Network, RequestId, Status, U256, UsdcAmount};
use crate::x402::{Authorization, Refusal};

const ANOTHER: &str = "09090909-0909-4909-8909-090909090909";

/// A shop, and a client that talks to it.
struct Shop {
    config: Config,
    conversations: MemoryConversations,
    asked: RefCell<Vec<Ask>>,
    calls: RefCell<u8>,
    counted: RefCell<bool>,
    /// How many seconds have passed since [`NOW`].
    later: Cell<u64>,
    /// Whether the chain gives no answer.
    is_deaf: Cell<bool>,
    /// The body of every answer of the API, while it is kept.
    body: RefCell<Option<Vec<u8>>>,
    /// The call that was brought last.
    brought: RefCell<Option<Brought>>,
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
            is_deaf: Cell::new(false),
            body: RefCell::default(),
            brought: RefCell::default(),
        }
    }

    /// The answer to a call. The purchases that are asked give these replies, one after the other.
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
        purchases.body.replace(self.body.borrow().clone());
        let free = crate::purchase::test_support::answer(1, 200);
        purchases.free.replace(Some(Ok(free)));
        let memory = EndpointMemory::default();
        let chain = &self.config.chain;
        let mut node = node();
        if self.is_deaf.get() {
            node.says = Some(Err("down"));
        }
        let chain = RpcChain::new(node, &chain.rpc_urls, self.config.network, &memory);
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
        self.brought.replace(purchases.brought.take());
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

    /// Shows the proof of a transfer on a task.
    fn show(
        &self,
        task: &Value,
        proof: &Value,
        replies: impl IntoIterator<Item = PayReply>,
    ) -> Value {
        let message = json!({"taskId": task["id"], "parts": [{"data": proof}]});
        self.message(message, replies)
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
        receipt: Some(receipt(buyer().address())),
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

fn undelivered() -> PayReply {
    PayReply::Undelivered {
        fault: crate::goods::DeliveryFault::Failed,
        receipt: receipt(buyer().address()),
        refund_at: None,
    }
}

/// The same payment with another nonce.
fn anew(payment: &Value) -> Value {
    nth(payment, 2)
}

/// The same payment, with a nonce made from `at`.
fn nth(payment: &Value, at: u8) -> Value {
    let mut payment = payment.clone();
    let old = payment["payload"]["authorization"].clone();
    let authorization = Authorization {
        from: buyer().address(),
        to: serde_json::from_value(old["to"].clone()).unwrap(),
        value: U256::from(old["value"].as_str().unwrap().parse::<u64>().unwrap()),
        valid_after: U256::ZERO,
        valid_before: U256::from(1_800_000_300_u64),
        nonce: B256::repeat_byte(at),
    };
    let digest = usdc::authorization_digest(&authorization, Network::BaseSepolia);
    let signature = buyer().sign(&digest).unwrap().as_bytes();
    payment["payload"]["signature"] = json!(hex::encode_prefixed(signature));
    payment["payload"]["authorization"]["nonce"] = json!(authorization.nonce);
    payment
}

fn elsewhere(id: &str, by_attempted: bool) -> PayReply {
    let join = json!({"payer": buyer().address(), "target": "plan basic default", "byAttempted": by_attempted});
    serde_json::from_value(json!({"elsewhere": {"requestId": id, "join": join}})).unwrap()
}

/// The task after its client has asked for an offer for another purchase.
fn renewed(shop: &Shop, task: &Value) -> Value {
    let wish = json!({"planId": "basic", "requestId": ANOTHER});
    let message = json!({"parts": [{"data": wish}], "taskId": task["id"]});
    let renewed = shop.message(message, []);
    assert!(offers(&renewed), "{renewed}");
    renewed
}

fn first_asked(shop: &Shop, act: impl FnOnce()) -> Ask {
    let before = shop.asked.borrow().len();
    act();
    shop.asked.borrow()[before].clone()
}
