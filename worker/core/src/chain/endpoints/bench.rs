//! Endpoints for tests: each is a node that gives the answers, and is on the chain, that the test chooses.

use core::cell::{Cell, RefCell};

use crate::json;
use alloy_primitives::hex;
use futures_util::FutureExt as _;
use serde_json::Value;

use super::super::rpc::RpcChain;
use super::super::usdc;
use super::{EndpointMemory, Http, HttpFault};
use crate::types::{HttpUrl, Network, UnixMillis};

/// A node's answer to a question that is not about the chain's identity: a `result` or an `error`.
type Answer = Box<dyn Fn(&Value) -> Value>;

pub(in crate::chain) struct Node {
    pub(in crate::chain) chain_id: Value,
    pub(in crate::chain) separator: Value,
    pub(in crate::chain) knows_batches: bool,
    /// The node's answer to every request, if it does not depend on the question.
    pub(in crate::chain) always: Option<Result<&'static str, HttpFault>>,
    pub(in crate::chain) answer: Answer,
}

impl Node {
    /// A node of our chain.
    pub(in crate::chain) fn new(answer: impl Fn(&Value) -> Value + 'static) -> Self {
        let separator = usdc::domain(Network::BaseSepolia).separator();
        Self {
            chain_id: json!({"result": "0x14a34"}),
            separator: json!({"result": hex::encode_prefixed(separator)}),
            knows_batches: true,
            always: None,
            answer: Box::new(answer),
        }
    }

    /// A node of our chain that answers every question with this result.
    pub(in crate::chain) fn telling(result: Value) -> Self {
        Self::new(move |_| json!({"result": result}))
    }

    /// A node of our chain that answers every question with this error.
    pub(in crate::chain) fn failing(code: i64, message: &'static str) -> Self {
        Self::new(move |_| json!({"error": {"code": code, "message": message}}))
    }

    /// An endpoint that does not answer.
    pub(in crate::chain) fn dead() -> Self {
        Self {
            always: Some(Err(HttpFault::NoAnswer("timeout".to_owned()))),
            ..Self::telling(Value::Null)
        }
    }

    fn one(&self, question: &Value) -> Value {
        let mut answer = match question["method"].as_str().unwrap() {
            "eth_chainId" => self.chain_id.clone(),
            "eth_call" if question["params"][0]["data"] == super::DOMAIN_SEPARATOR => {
                self.separator.clone()
            }
            _ => (self.answer)(question),
        };
        answer["id"] = question["id"].clone();
        answer
    }

    fn all(&self, body: &Value) -> Result<Vec<u8>, HttpFault> {
        if let Some(always) = &self.always {
            return always.clone().map(|text| text.as_bytes().to_vec());
        }
        let answer = match body {
            // The answers come in another order than the questions, as JSON-RPC allows.
            Value::Array(questions) if self.knows_batches => {
                questions.iter().rev().map(|each| self.one(each)).collect()
            }
            Value::Array(_) => json!({"error": {"code": -32600, "message": "no batches"}}),
            question => self.one(question),
        };
        Ok(answer.to_string().into_bytes())
    }
}

/// One request that was sent to an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chain) struct Post {
    pub(in crate::chain) to: usize,
    pub(in crate::chain) methods: Vec<String>,
    pub(in crate::chain) body: Value,
    pub(in crate::chain) deadline_millis: u32,
}

pub(in crate::chain) struct Bench {
    pub(in crate::chain) nodes: RefCell<Vec<Node>>,
    pub(in crate::chain) posts: RefCell<Vec<Post>>,
    pub(in crate::chain) skipped: RefCell<Vec<(usize, String)>>,
    pub(in crate::chain) now: Cell<UnixMillis>,
    urls: Vec<HttpUrl>,
    pub(in crate::chain) memory: EndpointMemory,
}

impl Bench {
    pub(in crate::chain) fn new(nodes: impl Into<Vec<Node>>) -> Self {
        let nodes = nodes.into();
        let url = |at| format!("http://rpc{at}.example").parse().unwrap();
        Self {
            urls: (0..nodes.len()).map(url).collect(),
            nodes: RefCell::new(nodes),
            posts: RefCell::default(),
            skipped: RefCell::default(),
            now: Cell::new(UnixMillis(1_800_000_000_000)),
            memory: EndpointMemory::default(),
        }
    }

    /// Asks the chain behind these nodes a question, as one isolate.
    pub(in crate::chain) fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&RpcChain<'_, &Self>) -> T,
    ) -> T {
        let chain = RpcChain::new(self, &self.urls, Network::BaseSepolia, &self.memory);
        question(&chain).now_or_never().unwrap()
    }

    /// The endpoints that were asked since the last call of this method, in order.
    pub(in crate::chain) fn asked(&self) -> Vec<usize> {
        self.posts.take().iter().map(|post| post.to).collect()
    }

    pub(in crate::chain) fn pass(&self, millis: u64) {
        self.now.set(self.now.get().plus(millis));
    }
}

impl Http for &Bench {
    async fn post(
        &self,
        url: &str,
        body: Vec<u8>,
        deadline_millis: u32,
    ) -> Result<Vec<u8>, HttpFault> {
        let to = self.urls.iter().position(|known| known.as_str() == url);
        let to = to.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let questions = body
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![body.clone()]);
        let name = |question: &Value| question["method"].as_str().unwrap().to_owned();
        let answer = self.nodes.borrow()[to].all(&body);
        self.posts.borrow_mut().push(Post {
            to,
            methods: questions.iter().map(name).collect(),
            body,
            deadline_millis,
        });
        answer
    }

    fn now(&self) -> UnixMillis {
        self.now.get()
    }

    fn skipped(&self, endpoint: usize, fault: &str) {
        self.skipped.borrow_mut().push((endpoint, fault.to_owned()));
    }
}
