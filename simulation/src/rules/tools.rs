//! Rules for the answers to MCP clients.

use std::rc::Rc;

use key0_core::book::PayerStore as _;
use serde_json::Value;

use super::conversations::on_grant_shown;
use super::replies::Asker;
use crate::actors::Payment;
use crate::rpc::MAX_LAG;
use crate::world::World;

/// Checks that the answer to a call of a tool has a result, and returns the result.
pub fn on_tool_answer(world: &World, answer: &Value) -> Option<Value> {
    let result = answer.get("result");
    if result.is_none() {
        world.violation("tool_fault", "", answer.to_string());
    }
    result.cloned()
}

/// Checks the answer to a question for the price: the offer is the same each time, so it must name
/// no purchase.
pub fn on_tool_offer(world: &World, told: &Value) {
    let extra = &told["structuredContent"]["accepts"][0]["extra"];
    if extra.get("challengeId").is_some() || extra.get("requestId").is_some() {
        world.violation("offered_otherwise", "", extra.to_string());
    }
    if told["isError"] != true {
        world.violation("grant_without_money", "", told.to_string());
    }
}

/// Checks the answer to a payment. `head` was the newest block when the payment was sent.
pub fn on_tool(world: &Rc<World>, pay: &Payment, head: u64, told: &Value) {
    let id = &pay.offer.terms.request_id;
    let said = &told["structuredContent"];
    let receipt = &told["_meta"]["x402/payment-response"];
    if told["isError"] == false {
        let mut grant = said.clone();
        if let Some(members) = grant.as_object_mut() {
            members.remove("status");
        }
        let payer = Some(pay.authorization.payer());
        on_grant_shown(world, Asker::Payer, payer, &grant);
        if receipt["success"] != true || receipt["transaction"] != grant["txHash"] {
            world.violation("receipt_differs", id, told.to_string());
        }
        return;
    }
    let is_offered = told.to_string().contains("accepts\"");
    if is_offered != said["accepts"].is_array() || (is_offered && receipt["success"] != false) {
        world.violation("offered_otherwise", id, told.to_string());
    }
    // A deployment on one network cannot know what was charged on the seller's other network.
    let is_here = said["accepts"][0]["network"] == world.config.network.caip2();
    if is_offered && is_here && is_charged(world, pay, head) {
        let detail = format!("{said}, though it was executed");
        world.violation("charge_denied", id, detail);
    }
}

/// Whether the payment was executed, and everybody could know it.
fn is_charged(world: &World, pay: &Payment, head: u64) -> bool {
    let authorization = pay.authorization.authorization();
    let key = (authorization.from, authorization.nonce);
    let payer = world.objects.payer(authorization.from);
    let booked = payer.book.borrow().booking(authorization.nonce);
    let is_its = matches!(booked, Ok(Some(booking)) if booking.owner == pay.offer.terms.request_id);
    let chain = world.chain.borrow();
    let transfer = chain.ledger().transfer(&key);
    is_its && transfer.is_some_and(|transfer| transfer.block + MAX_LAG <= head)
}
