//! What stands behind the doors in their tests, and what buyers send.

use core::cell::RefCell;
use std::collections::VecDeque;

use alloy_primitives::{B256, hex};
use serde_json::{Value, json};

use crate::chain::endpoints::{Http, HttpFault};
use crate::chain::usdc;
use crate::config::{Config, test_config};
use crate::pauses::Patience;
use crate::purchase::{Ask, PayReply, Purchases};
use crate::types::{
    Address, CallFault, Network, RequestId, U256, UnixMillis, UsdcAmount, WalletKey,
};
use crate::x402::Authorization;

const PLAN: &str = "basic";

/// Purchases that answer what they are told, and remember what they were asked.
pub(crate) struct Shop {
    pub(crate) replies: RefCell<VecDeque<PayReply>>,
    pub(crate) asked: RefCell<Vec<(RequestId, Ask)>>,
}

impl Purchases for Shop {
    async fn ask(
        &self,
        request_id: &RequestId,
        ask: &Ask,
        _: Patience,
    ) -> Result<PayReply, CallFault> {
        let question = (request_id.clone(), ask.clone());
        self.asked.borrow_mut().push(question);
        let next = self.replies.borrow_mut().pop_front();
        next.ok_or_else(|| CallFault("no more replies".to_owned()))
    }
}

/// A node that knows no wallet: what no key has signed is not proven. Unless it is down.
pub(crate) struct Node {
    pub(crate) is_down: bool,
}

impl Http for Node {
    async fn post(&self, _: &str, _: Vec<u8>, _: u32) -> Result<Vec<u8>, HttpFault> {
        if self.is_down {
            return Err(HttpFault::NoAnswer("no answer".to_owned()));
        }
        let separator = hex::encode_prefixed(usdc::domain(Network::BaseSepolia).separator());
        let told = json!([
            {"id": 1, "result": "0x14a34"},
            {"id": 2, "result": separator},
            {"id": 3, "result": "0x"},
        ]);
        Ok(told.to_string().into_bytes())
    }
    fn now(&self) -> UnixMillis {
        UnixMillis(1_800_000_010_000)
    }
    fn skipped(&self, _: usize, fault: &str) {
        assert!(self.is_down, "{fault}");
    }
}

pub(crate) fn buyer() -> WalletKey {
    WalletKey::from_hex(&format!("{:064x}", 0xb0b)).unwrap()
}

/// What the seller asks today.
pub(crate) fn price(config: &Config) -> UsdcAmount {
    config.catalog.plan(&PLAN.parse().unwrap()).unwrap().price
}

/// A payment of version 1, to `to` over `units`.
pub(crate) fn version1(to: Address, units: u64) -> Value {
    let authorization = Authorization {
        from: buyer().address(),
        to,
        value: U256::from(units),
        valid_after: U256::ZERO,
        valid_before: U256::from(1_800_000_300u64),
        nonce: B256::repeat_byte(1),
    };
    let digest = usdc::authorization_digest(&authorization, Network::BaseSepolia);
    let signature = buyer().sign(&digest).unwrap().as_bytes();
    json!({
        "x402Version": 1,
        "scheme": "exact",
        "network": "base-sepolia",
        "payload": {
            "signature": hex::encode_prefixed(signature),
            "authorization": {
                "from": authorization.from,
                "to": to,
                "value": units.to_string(),
                "validAfter": "0",
                "validBefore": "1800000300",
                "nonce": authorization.nonce,
            },
        },
    })
}

/// The same in version 2, by a client that sends back this much of the offer it has accepted.
pub(crate) fn version2(to: Address, units: u64, extra: &Value) -> Value {
    let config = test_config();
    let mut payment = version1(to, units);
    payment["x402Version"] = json!(2);
    payment["accepted"] = json!({
        "scheme": "exact",
        "network": config.network.caip2(),
        "amount": units.to_string(),
        "asset": config.network.usdc(),
        "payTo": to,
        "extra": extra,
    });
    payment
}
