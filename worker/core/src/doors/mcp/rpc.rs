//! JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>) as MCP uses it: one message in one body.

use std::borrow::Cow;

use crate::json;
use crate::json::Put as _;
use http::StatusCode;
use serde_json::{Map, Value};

/// From this whole number on, floats cannot tell all whole numbers apart.
const MAX_EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// A message of one of the three kinds.
#[derive(Debug)]
pub(super) enum Message {
    /// A request, which is answered.
    Request(Request),
    /// A notification, which is not answered.
    Notification,
    /// The answer to a request. We never send requests to clients.
    Answer,
}

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    /// `None` when it is neither a text nor a whole number.
    pub(super) id: Option<Value>,
    pub(super) method: String,
    /// An object, `null` or whatever the client wrote instead.
    pub(super) params: Value,
}

/// Why a request is not carried out. A payment that fails is no fault: it is a tool's result.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    code: i32,
    message: Cow<'static, str>,
    data: Option<Value>,
}

impl Fault {
    pub(super) fn new(
        status: StatusCode,
        code: i32,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The body is not a request.
    pub(super) fn not_a_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, -32600, message)
    }

    /// The request has parameters that its method cannot use.
    pub(super) fn bad_params(message: &'static str) -> Self {
        Self::new(StatusCode::OK, -32602, message)
    }

    pub(super) fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

impl Message {
    /// Reads a body. A fault comes with the id to answer to, if the id could be read.
    pub(super) fn read(body: &[u8]) -> Result<Self, (Option<Value>, Fault)> {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            let fault = Fault::new(StatusCode::BAD_REQUEST, -32700, "The body is not JSON.");
            return Err((None, fault));
        };
        let Value::Object(mut members) = body else {
            let why = "The body must be one JSON-RPC 2.0 message; batches are not served.";
            return Err((None, Fault::not_a_request(why)));
        };
        let given = members.remove("id");
        let id = given.clone().filter(is_id);
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err((id, Fault::not_a_request("jsonrpc must be \"2.0\".")));
        }
        let is_answer = members.contains_key("result") || members.contains_key("error");
        match members.remove("method") {
            Some(Value::String(_)) if given.is_none() => Ok(Self::Notification),
            Some(Value::String(method)) => Ok(Self::Request(Request {
                id,
                method,
                params: members.remove("params").unwrap_or_default(),
            })),
            None if is_answer => Ok(Self::Answer),
            _ => Err((id, Fault::not_a_request("method must be a text."))),
        }
    }
}

impl Request {
    /// The parameters as an object; an empty one if there are none.
    pub(super) fn params(&self) -> Result<Cow<'_, Map<String, Value>>, Fault> {
        match &self.params {
            Value::Null => Ok(Cow::Owned(Map::new())),
            Value::Object(params) => Ok(Cow::Borrowed(params)),
            _ => Err(Fault::bad_params("params must be an object.")),
        }
    }
}

/// The members of an answer, except its id.
pub(super) fn answer(result: Result<Value, Fault>) -> Map<String, Value> {
    let (name, value) = match result {
        Ok(result) => ("result", result),
        Err(fault) => {
            let mut error = json!({"code": fault.code, "message": fault.message});
            if let (Some(data), Some(members)) = (fault.data, error.as_object_mut()) {
                members.put("data", data);
            }
            ("error", error)
        }
    };
    Map::from_iter([
        ("jsonrpc".to_owned(), "2.0".into()),
        (name.to_owned(), value),
    ])
}

/// Whether an id can be sent back unchanged. Some clients write all numbers as floats; a number too large for a float
/// would come back as another id.
fn is_id(id: &Value) -> bool {
    let is_exact = |id: f64| id.fract() == 0.0 && id.abs() < MAX_EXACT_FLOAT;
    id.is_string() || id.is_i64() || id.is_u64() || id.as_f64().is_some_and(is_exact)
}
