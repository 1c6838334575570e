//! What an A2A client sends and reads, in either version of the protocol.

use alloy_primitives::hex;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use key0_core::purchase::Prove;
use serde_json::{Map, Value, json};

use crate::actors::door::signature;
use crate::actors::{Buyer, Payment};
use crate::random::Random;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    V0_3,
    V1_0,
}

/// What a call asks for.
#[derive(Clone, Debug)]
pub(super) enum Call {
    /// Sends a message, and waits for its outcome or not.
    Send { message: Value, at_once: bool },
    /// Asks for a task.
    Get(String),
    /// Cancels a task.
    Cancel(String),
    /// Asks for the tasks of a context. (There is no such method in 0.3.)
    List(String),
}

/// What a message says.
#[derive(Clone, Debug)]
pub(super) enum Words {
    /// A text that the worker does not understand.
    Chatter,
    /// The client does not want to pay.
    Reject,
    /// A data part.
    Data(Value),
    /// A payment.
    Pay(Value),
}

/// What the answer to a call was.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// A task.
    Task(Box<View>),
    /// A JSON-RPC error, with this code.
    Fault(i64),
    /// A list of tasks, or anything else.
    Other,
}

/// A task as a client sees it.
#[derive(Clone, Debug)]
pub struct View {
    /// Its id.
    pub task: String,
    /// Its context.
    pub context: String,
    /// Its state, in the words of 0.3.
    pub state: String,
    /// `x402.payment.status`.
    pub payment: Option<String>,
    /// `x402.payment.error`: why the last payment was refused.
    pub error: Option<String>,
    /// The entry of `accepts`, when it shows an offer.
    pub accepts: Option<Value>,
    /// The grant.
    pub grant: Option<Value>,
}

impl View {
    /// The id of the offer that it shows.
    pub fn offer(&self) -> Option<&str> {
        self.accepts.as_ref()?["extra"]["challengeId"].as_str()
    }

    /// Whether this state is final.
    pub fn is_end(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed" | "canceled")
    }

    /// Whether it asks for another payment.
    pub fn asks_to_pay(&self) -> bool {
        self.state == "input-required" && self.offer().is_some()
    }

    fn read(task: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let status = &task["status"];
        let state = text(&status["state"])?;
        let state = state.trim_start_matches("TASK_STATE_").to_lowercase();
        let message = &status["message"];
        let parts = message["parts"].as_array();
        let data = parts
            .into_iter()
            .flatten()
            .map(|part| &part["data"])
            .find(|data| data["type"] == "AccessGrant");
        let metadata = &message["metadata"];
        let accepts = &metadata["x402.payment.required"]["accepts"][0];
        Some(Self {
            task: text(&task["id"])?,
            context: text(&task["contextId"])?,
            state: state.replace('_', "-"),
            payment: text(&metadata["x402.payment.status"]),
            error: text(&metadata["x402.payment.error"]),
            accepts: accepts.is_object().then(|| accepts.clone()),
            grant: data.cloned(),
        })
    }
}

impl Version {
    /// The headers of a call.
    pub(super) fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        if self == Self::V1_0 {
            let name = HeaderName::from_static("a2a-version");
            headers.insert(name, HeaderValue::from_static("1.0"));
        }
        headers
    }

    /// The bytes of a call.
    pub(super) fn body(self, call: &Call) -> Vec<u8> {
        let (new, old, params) = match call {
            Call::Send { message, at_once } => {
                let configuration = match self {
                    Self::V1_0 => json!({"returnImmediately": at_once}),
                    Self::V0_3 => json!({"blocking": !at_once}),
                };
                let params = json!({"message": message, "configuration": configuration});
                ("SendMessage", "message/send", params)
            }
            Call::Get(id) => ("GetTask", "tasks/get", json!({"id": id})),
            Call::Cancel(id) => ("CancelTask", "tasks/cancel", json!({"id": id})),
            Call::List(context) => (
                "ListTasks",
                "",
                json!({"contextId": context, "includeArtifacts": true}),
            ),
        };
        let method = match self {
            Self::V1_0 => new,
            Self::V0_3 => old,
        };
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        call.to_string().into_bytes()
    }

    /// A message. `task` and `context` are left out where the client names none.
    pub(super) fn message(
        self,
        random: &Random,
        context: Option<&str>,
        task: Option<&str>,
        words: &Words,
    ) -> Value {
        let (part, metadata) = match words {
            Words::Chatter => (json!({"text": "How do you do?"}), None),
            Words::Data(data) => (json!({"data": data}), None),
            Words::Reject => (
                json!({"text": "No, thanks."}),
                Some(json!({"x402.payment.status": "payment-rejected"})),
            ),
            Words::Pay(payload) => (
                json!({"text": "Here you are."}),
                Some(json!({
                    "x402.payment.status": "payment-submitted",
                    "x402.payment.payload": payload,
                })),
            ),
        };
        let mut message = Map::new();
        let mut set = |name: &str, value: Value| message.insert(name.to_owned(), value);
        let part = match self {
            Self::V1_0 => {
                set("role", json!("ROLE_USER"));
                part
            }
            Self::V0_3 => {
                set("role", json!("user"));
                set("kind", json!("message"));
                let mut part = part;
                part["kind"] = json!(if part["text"].is_string() {
                    "text"
                } else {
                    "data"
                });
                part
            }
        };
        let id: [u8; 16] = random.bytes();
        set("messageId", json!(hex::encode(id)));
        set("parts", json!([part]));
        if let Some(metadata) = metadata {
            set("metadata", metadata);
        }
        if let Some(context) = context {
            set("contextId", json!(context));
        }
        if let Some(task) = task {
            set("taskId", json!(task));
        }
        Value::Object(message)
    }

    /// Reads an answer.
    pub(super) fn read(self, call: &Call, answer: &Value) -> Answer {
        if let Some(code) = answer["error"]["code"].as_i64() {
            return Answer::Fault(code);
        }
        let result = &answer["result"];
        let task = match (self, call) {
            (Self::V1_0, Call::Send { .. }) => &result["task"],
            _ => result,
        };
        View::read(task).map_or(Answer::Other, |view| Answer::Task(Box::new(view)))
    }
}

/// A payment as x402's `PaymentPayload`.
pub(in crate::actors) fn payload(pay: &Payment, accepts: &Value) -> Value {
    let signed = pay.authorization.authorization();
    json!({
        "x402Version": 2,
        "accepted": accepts,
        "payload": {
            "signature": hex::encode_prefixed(signature(&pay.authorization)),
            "authorization": {
                "from": signed.from,
                "to": signed.to,
                "value": signed.value.to_string(),
                "validAfter": signed.valid_after.to_string(),
                "validBefore": signed.valid_before.to_string(),
                "nonce": signed.nonce,
            },
        },
    })
}

/// The proof of a transfer. `None` when no key in the model can sign for this payer.
pub(super) fn proof(prove: &Prove, buyer: &Buyer) -> Option<Value> {
    let mut proof = json!({
        "type": "PaymentProof",
        "challengeId": prove.offer.id,
        "txHash": prove.transaction,
    });
    if let Some(payer) = prove.payer {
        let signature = buyer.sign_text(prove.offer.id.as_str())?;
        proof["payer"] = json!(payer);
        proof["signature"] = json!(hex::encode_prefixed(signature));
    }
    Some(proof)
}
