//! Tests of the MCP door. The purchases behind it give the replies that a test chooses.

mod calls;
mod mpp;
mod payments;
mod protocol;
mod transport;

use alloy_primitives::B256;
use futures_util::FutureExt as _;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN};
use proptest::prelude::*;

use super::*;
use crate::book::TargetKey;
use crate::chain::endpoints::EndpointMemory;
use crate::chain::rpc::RpcChain;
use crate::checkout::Brought;
use crate::config::{Config, test_config};
use crate::doors::test_support::{EMPTY, buyer, price, version2};
use crate::goods::{AnswerHead, DeliveryFault, OriginFault};
use crate::purchase::test_support::{NOW, granted, receipt};
use crate::purchase::{Ask, Join, NotNow, PayReply, test_offer};
use crate::testing::{ScriptedPurchases, WalletNode, checkout};
use crate::types::{RequestId, Status};
use crate::x402::Refusal;
use crate::x402::header::{PAYMENT_SIGNATURE, X_PAYMENT, encode};

const VERSION: &str = "mcp-protocol-version";

/// A shop, and the headers that a client sends to it.
struct Shop {
    config: Config,
    headers: HeaderMap,
    origin: &'static str,
    wallets_say: Result<&'static str, &'static str>,
    /// What the API answers to a free call.
    free: Result<AnswerHead, OriginFault>,
}

/// The answer that the client got.
struct Told {
    status: StatusCode,
    body: Value,
    counts: bool,
    asked: Vec<(RequestId, Ask)>,
    brought: Option<Brought>,
}

impl Shop {
    fn new() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self {
            config: test_config(),
            headers,
            origin: "https://shop.example",
            wallets_say: EMPTY,
            free: Err(OriginFault::Timeout),
        }
    }

    /// Lets the client send this header, too; an empty value removes the header.
    fn with(mut self, name: impl Into<HeaderName>, value: &str) -> Self {
        let name = name.into();
        match value {
            "" => self.headers.remove(name),
            value => self.headers.insert(name, value.parse().unwrap()),
        };
        self
    }

    fn header(self, name: &'static str, value: &str) -> Self {
        self.with(HeaderName::from_static(name), value)
    }

    fn post(&self, body: &[u8], replies: impl IntoIterator<Item = PayReply>) -> Told {
        let purchases = ScriptedPurchases::new(replies);
        purchases.body.replace(Some(br#"[1]"#.to_vec()));
        purchases.free.replace(Some(self.free.clone()));
        let memory = EndpointMemory::default();
        let node = WalletNode {
            about: "",
            says: Some(self.wallets_say),
            now: NOW,
        };
        let (urls, network) = (&self.config.chain.rpc_urls, self.config.network);
        let chain = RpcChain::new(node, urls, network, &memory);
        let mut checkout = checkout(&self.config, (&purchases, &chain), NOW.to_seconds());
        checkout.origin = self.origin.parse().unwrap();
        let arrival = Arrival {
            headers: &self.headers,
            body,
        };
        let response = answer(&checkout, &arrival).now_or_never().unwrap();
        Told {
            status: response.status(),
            counts: limit::counts(&response),
            body: match response.body().is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(response.body()).unwrap(),
            },
            asked: purchases.asked.into_inner(),
            brought: purchases.brought.into_inner(),
        }
    }

    fn send(&self, method: &str, params: Value) -> Told {
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.post(body.to_string().as_bytes(), [])
    }

    /// Calls the paid tool with this payment and these arguments.
    fn access(
        &self,
        arguments: &Value,
        payment: &Value,
        replies: impl IntoIterator<Item = PayReply>,
    ) -> Told {
        self.access_with(arguments, &json!({"x402/payment": payment}), replies)
    }

    /// Calls the paid tool with these arguments and this `_meta`.
    fn access_with(
        &self,
        arguments: &Value,
        meta: &Value,
        replies: impl IntoIterator<Item = PayReply>,
    ) -> Told {
        let params = json!({"name": "request_access", "arguments": arguments, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        let told = self.post(body.to_string().as_bytes(), replies);
        assert_eq!(told.status, StatusCode::OK, "{}", told.body);
        told
    }

    /// A payment of the current price, by a client that sends the offer back.
    fn payment(&self) -> Value {
        let offer = self.access(&json!({"planId": "basic"}), &Value::Null, []);
        let extra = &offer.result()["structuredContent"]["accepts"][0]["extra"];
        version2(
            self.config.wallets.pay_to,
            price(&self.config).units(),
            extra,
        )
    }

    /// Buys the plan with a payment of the current price. The purchases that are asked give these replies.
    fn buy(&self, replies: impl IntoIterator<Item = PayReply>) -> Told {
        self.access(&basic(), &self.payment(), replies)
    }
}

impl Told {
    fn result(&self) -> &Value {
        assert_eq!(
            (&self.body["jsonrpc"], &self.body["id"]),
            (&json!("2.0"), &json!(7))
        );
        let result = self.body.get("result");
        result.unwrap_or_else(|| panic!("{}", self.body))
    }

    fn code(&self) -> i64 {
        let code = self.body["error"]["code"].as_i64();
        code.unwrap_or_else(|| panic!("{}", self.body))
    }

    /// The texts of a tool's result.
    fn texts(&self) -> Vec<&str> {
        let content = self.result()["content"].as_array().unwrap();
        content
            .iter()
            .map(|item| item["text"].as_str().unwrap())
            .collect()
    }

    /// Whether anything in the answer invites the client to pay.
    fn offers(&self) -> bool {
        let body = self.body.to_string();
        body.contains(r#""accepts""#) || body.contains(r#"\"accepts\""#)
    }

    /// The code of a result that is an error of the catalogue.
    fn fails(&self) -> &str {
        assert_eq!(self.result()["isError"], true, "{}", self.body);
        assert!(!self.offers(), "{}", self.body);
        let code = self.result()["structuredContent"]["code"].as_str();
        code.unwrap_or_else(|| panic!("{}", self.body))
    }

    fn receipt(&self) -> &Value {
        &self.result()["_meta"]["x402/payment-response"]
    }
}

fn basic() -> Value {
    json!({"planId": "basic"})
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
