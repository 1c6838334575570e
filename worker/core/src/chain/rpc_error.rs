//! JSON-RPC errors: which of them are the chain's own word on a call, and which only say that a node cannot tell.
//!
//! There is no code for that which all nodes keep to: `-32000` is a revert in one place, "header not found" or "too many
//! requests" in another. So an error counts as the chain's word only when it says what happened in the EVM.

use serde_json::Value;

const MAX_TEXT_CHARS: usize = 300;
/// "Execution reverted", as Geth numbers it; nothing else has this code.
const REVERTED: i64 = 3;
/// The codes under which nodes also return a revert's data.
const WITH_DATA: [i64; 2] = [-32000, -32015];
/// The shortest data of a revert with a reason: a selector.
const MIN_DATA_BYTES: usize = 4;
/// How clients name what the EVM does, without spaces and in small letters: a revert, or a halt that every node comes to.
const EVM_OUTCOMES: [&str; 9] = [
    "executionreverted",
    "transactionreverted",
    "outofgas",
    "gasrequiredexceeds",
    "invalidopcode",
    "invalidfeopcode",
    "opcodenotfound",
    "invalidjump",
    "stackunderflow",
];

/// A JSON-RPC error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RpcError {
    /// Its number, if there is one.
    pub code: Option<i64>,
    /// Its text, cut to what a log line holds.
    pub message: String,
    /// Its data, if that is a text.
    pub data: String,
}

impl RpcError {
    /// Reads the `error` member of an answer.
    pub fn read(error: &Value) -> Self {
        let text = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
        Self {
            code: error.get("code").and_then(Value::as_i64),
            message: text("message").chars().take(MAX_TEXT_CHARS).collect(),
            data: text("data").to_owned(),
        }
    }

    /// Whether every node would say this of the call: it was executed, and reverted or came to a halt. Anything else may be one
    /// node's trouble, and another node may know better.
    pub fn is_chains_word(&self) -> bool {
        let Some(code) = self.code else {
            return false;
        };
        let has_reason = || {
            let digits = self.data.strip_prefix("0x").unwrap_or_default();
            let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            (is_hex && digits.len() >= 2 * MIN_DATA_BYTES) || self.data.starts_with("Reverted")
        };
        let names_outcome = || {
            let squeezed: String = self
                .message
                .chars()
                .filter(|char| !char.is_whitespace())
                .map(|char| char.to_ascii_lowercase())
                .collect();
            EVM_OUTCOMES
                .iter()
                .any(|outcome| squeezed.contains(outcome))
        };
        code == REVERTED || (WITH_DATA.contains(&code) && has_reason()) || names_outcome()
    }
}
