//! JSON-RPC errors: which of them tell what the chain does with a call, and which only tell that a node cannot answer.
//!
//! Nodes do not agree on codes: `-32000` is a revert at one node, and "header not found" or "too many requests" at
//! another. So an error counts as the chain's answer only when it says what happened in the EVM.

use serde_json::Value;

const MAX_TEXT_CHARS: usize = 300;
/// The code that Geth uses for "execution reverted", and for nothing else.
const REVERTED: i64 = 3;
/// The codes with which other nodes return a revert's data.
const WITH_DATA: [i64; 2] = [-32000, -32015];
/// The shortest data of a revert with a reason: a selector of four bytes.
const MIN_DATA_BYTES: usize = 4;
/// How nodes name what the EVM did, in lower case and without spaces: a revert, or a halt at which every node would
/// arrive.
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
    /// The error's code, if there is one.
    pub code: Option<i64>,
    /// The error's text, cut to the length for a log line.
    pub message: String,
    /// The error's data, if that is a text.
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

    /// Whether every node would say this of the call: the EVM executed it, and it reverted or came to a halt. Any other
    /// error may be due to one node, and another node may have an answer.
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
