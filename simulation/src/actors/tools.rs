//! Buyers with tools: they call the real MCP door with real bytes, in either generation of the protocol.

use std::cell::RefCell;
use std::rc::Rc;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use key0_core::types::RequestId;
use key0_core::x402::header::encode;
use serde_json::{Value, json};

use super::buyer::{derived, new_offer, offer_as};
use super::conversation::payload;
use super::door::send_tool;
use super::{Buyer, Payment, on_payment};
use crate::rules;
use crate::setting::PLANS;
use crate::world::World;

const MAX_ROUNDS: u64 = 12;
const MODERN: &str = "2026-07-28";

/// One MCP client, and the plan that it wants.
struct Tools {
    world: Rc<World>,
    buyer: Buyer,
    plan: usize,
    /// Whether each request carries the protocol's version and the client's capabilities, as MCP
    /// 2026-07-28 requires.
    is_modern: bool,
    /// Whether it signs anew for each call, as clients do that wrap a tool.
    signs_anew: bool,
    /// Whether it calls again under the request id that an answer has named.
    heeds: bool,
    named: RefCell<Option<RequestId>>,
}

/// Buys one plan with tools, or tries to. The client pays again only when it is told that nothing was charged, or when
/// it signs each call anew anyway.
pub async fn shop_with_tools(world: Rc<World>, buyer: Buyer, plan: usize) {
    let tools = Tools {
        is_modern: world.random.chance(500),
        signs_anew: world.random.chance(500),
        heeds: world.random.chance(500),
        named: RefCell::default(),
        world,
        buyer,
        plan,
    };
    let random = &tools.world.random;
    tools.world.sleep_between(0, 3_000).await;
    let mut last: Option<(Payment, Value)> = None;
    for _ in 0..MAX_ROUNDS {
        if last.is_none() || tools.signs_anew {
            last = tools.signed().await.or(last);
        }
        let Some((pay, accepts)) = &last else {
            return;
        };
        let told = tools.pay(pay, accepts).await;
        let has_grant = told.as_ref().is_some_and(|told| told["isError"] == false);
        let is_offered = told
            .as_ref()
            .is_some_and(|told| told["structuredContent"]["accepts"].is_array());
        tools.heed(told.as_ref(), is_offered);
        match (has_grant, is_offered) {
            // Some clients ask once more.
            (true, _) if random.chance(700) => return,
            (_, true) if random.chance(300) => return,
            (_, true) => last = None,
            _ => {}
        }
        match random.chance(100) {
            true => tools.world.sleep_between(60_000, 1_200_000).await,
            false => tools.world.sleep_between(0, 8_000).await,
        }
    }
}

impl Tools {
    /// Keeps the request id of a purchase that is not over, or is to be signed for anew.
    fn heed(&self, told: Option<&Value>, is_offered: bool) {
        let named =
            told.and_then(|told| told["structuredContent"]["details"]["requestId"].as_str());
        let mut kept = self.named.borrow_mut();
        match (named.and_then(|id| id.parse().ok()), is_offered) {
            (_, true) => *kept = None,
            (Some(id), false) if self.heeds => *kept = Some(id),
            _ => {}
        }
    }

    /// Asks for the price, and signs a payment. `None`: no answer arrived, or it is not sold.
    async fn signed(&self) -> Option<(Payment, Value)> {
        let told = self.call(None).await?;
        rules::on_tool_offer(&self.world, &told);
        let accepts = told["structuredContent"]["accepts"].get(0)?.clone();
        let mut pay = self
            .buyer
            .pay(&self.world, new_offer(&self.world, self.plan)?)?;
        let id = match self.named.borrow().clone() {
            Some(named) => named,
            None => derived(&self.world, &pay.authorization)?,
        };
        pay.offer = offer_as(&self.world, self.plan, id)?;
        Some((pay, accepts))
    }

    /// Calls with a payment.
    async fn pay(&self, pay: &Payment, accepts: &Value) -> Option<Value> {
        let world = &self.world;
        world.market.presented.borrow_mut().push(pay.clone());
        world.trace(|| {
            format!(
                "{} payer {} calls a tool with {:?}",
                pay.offer.terms.request_id,
                pay.authorization.payer(),
                pay.authorization.authorization().nonce,
            )
        });
        on_payment(world, pay);
        let head = world.chain.borrow().head().number;
        let payment = payload(pay, accepts);
        let payment = match world.random.range(0, 2) {
            0 => payment,
            1 => json!(payment.to_string()),
            _ => json!(encode(&payment)),
        };
        let told = self.call(Some(payment)).await?;
        rules::on_tool(world, pay, head, &told);
        Some(told)
    }

    /// Calls the tool that sells. The result; `None`: no answer arrived.
    async fn call(&self, payment: Option<Value>) -> Option<Value> {
        let (id, _) = PLANS[self.plan % PLANS.len()];
        let mut meta = json!({});
        if let Some(payment) = payment {
            meta["x402/payment"] = payment;
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.is_modern {
            meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
            for (name, value) in [
                ("mcp-protocol-version", MODERN),
                ("mcp-method", "tools/call"),
                ("mcp-name", "request_access"),
            ] {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
        }
        let arguments = json!({"planId": id, "requestId": *self.named.borrow()});
        let params = json!({"name": "request_access", "arguments": arguments, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let answer = send_tool(&self.world, headers, body.to_string().into_bytes()).await?;
        rules::on_tool_answer(&self.world, &answer)
    }
}
