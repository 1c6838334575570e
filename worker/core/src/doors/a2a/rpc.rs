//! JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>), as far as A2A uses it: one call, one answer, always status 200.

use serde_json::{Map, Value};

use crate::json;

use super::dialect::Dialect;
use super::fault::{Fault, Kind};

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Option<Value>,
}

impl Call {
    /// Reads a body. A fault comes with the id to answer to, which is `null` if it cannot be read.
    pub(super) fn read(body: &[u8]) -> Result<Self, (Value, Fault)> {
        let refused = |id, fault: &'static str| Err((id, Fault::new(Kind::NotACall, fault)));
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            let fault = Fault::new(Kind::NotJson, "The body is not JSON.");
            return Err((Value::Null, fault));
        };
        let Value::Object(mut members) = body else {
            return refused(
                Value::Null,
                "The body must be one JSON-RPC 2.0 request; batches are not served.",
            );
        };
        let id = match members.remove("id") {
            None => Value::Null,
            Some(id @ (Value::Null | Value::String(_))) => id,
            Some(Value::Number(id))
                if !id.is_f64() || id.as_f64().is_some_and(|id| id.fract() == 0.0) =>
            {
                Value::Number(id)
            }
            Some(_) => {
                return refused(Value::Null, "id must be a string, a whole number or null.");
            }
        };
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return refused(id, "jsonrpc must be \"2.0\".");
        }
        let Some(Value::String(method)) = members.remove("method") else {
            return refused(id, "method must be a string.");
        };
        Ok(Self {
            id,
            method,
            params: members.remove("params"),
        })
    }

    /// The parameters of a method that needs some.
    pub(super) fn params(&self) -> Result<&Map<String, Value>, Fault> {
        let params = self.params.as_ref().and_then(Value::as_object);
        params.ok_or_else(|| Fault::bad("params must be an object."))
    }
}

/// The answer to a call.
pub(super) fn answer(id: &Value, result: Result<Value, Fault>, dialect: Dialect) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(fault) => {
            json!({"jsonrpc": "2.0", "id": id, "error": fault.body(dialect == Dialect::V1_0)})
        }
    }
}
