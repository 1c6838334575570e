//! How a facilitator's answers are read. The body decides; a status says nothing that the body does not, but it tells the
//! operator what is wrong.

use alloy_primitives::B256;
use serde_json::Value;

use crate::types::Network;
use crate::x402::Refusal;
use crate::x402::objects::X402_VERSION;

const MAX_LOGGED_CHARS: usize = 100;
/// Tokens and keys are longer than this, and words are not. An answer may repeat what authenticated the request.
const MAX_LOGGED_WORD: usize = 40;
/// Where facilitators and the gateways in front of them say what is wrong.
const REASONS: [&str; 8] = [
    "invalidReason",
    "errorReason",
    "errorMessage",
    "invalidMessage",
    "message",
    "error_description",
    "errorType",
    "error",
];

/// What a facilitator answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FacilitatorAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl FacilitatorAnswer {
    /// Whether it does not accept the key that the request was authenticated with, or wants one.
    pub const fn refuses_key(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// The status and what the body gives as the reason: for the operator, short and printable.
    pub fn summary(&self) -> String {
        let said = match serde_json::from_slice::<Value>(&self.body) {
            Ok(answer) => REASONS.iter().find_map(|name| {
                let member = answer.get(name)?;
                let text = member
                    .as_str()
                    .or_else(|| member.get("message")?.as_str())?;
                Some(printable(text)).filter(|text| !text.is_empty())
            }),
            Err(_) => Some("no JSON".to_owned()),
        };
        match said {
            Some(said) => format!("status {}: {said}", self.status),
            None => format!("status {}", self.status),
        }
    }
}

/// What a facilitator says to `verify`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verification {
    /// It would settle.
    Valid,
    /// It would not, whoever asked.
    Invalid {
        /// Why, in our words.
        reason: Refusal,
        /// Why, in its own; for the log.
        said: String,
    },
    /// It does not say: it has trouble of its own, or a reason that nobody knows. For the log: what it said.
    Unclear(String),
}

impl Verification {
    /// Reads a body. Only a reason that is known to be about the payment is a refusal: who is refused signs anew or goes
    /// away, so a facilitator's own trouble must not pass for one.
    pub fn parse(body: &[u8]) -> Self {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else {
            return Self::Unclear("no JSON".to_owned());
        };
        match answer.get("isValid").and_then(Value::as_bool) {
            Some(true) => Self::Valid,
            Some(false) => {
                let said = reason(&answer, "invalidReason", "invalid_reason");
                match Refusal::of_facilitator(said) {
                    Some(reason) => Self::Invalid {
                        reason,
                        said: printable(said),
                    },
                    None => Self::Unclear(format!("isValid false: {}", printable(said))),
                }
            }
            None => Self::Unclear("no member `isValid`".to_owned()),
        }
    }
}

/// What a facilitator says to `settle`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settled {
    /// It names a transaction; whether that one succeeded is for the chain to say.
    Named(B256),
    /// It has broadcast nothing, or nothing that moved money, and will not.
    Declined {
        /// Why, in our words.
        reason: Refusal,
        /// Why, in its own; for the log.
        said: String,
    },
    /// Whether it has broadcast anything is not known. For the log: what it said.
    Unclear(String),
}

impl Settled {
    /// Reads a body. The status says nothing that the body does not.
    pub fn parse(body: &[u8]) -> Self {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else {
            return Self::Unclear("no JSON".to_owned());
        };
        let Some(success) = answer.get("success").and_then(Value::as_bool) else {
            return Self::Unclear("no member `success`".to_owned());
        };
        if let Some(hash) = answer.get("transaction").and_then(transaction_hash) {
            return Self::Named(hash);
        }
        if success {
            return Self::Unclear("success without a transaction".to_owned());
        }
        let said = reason(&answer, "errorReason", "error_reason");
        match Refusal::of_facilitator(said) {
            Some(reason) => Self::Declined {
                reason,
                said: printable(said),
            },
            // It may mean "I gave up waiting for what I have broadcast".
            None => Self::Unclear(printable(said)),
        }
    }
}

/// Whether a facilitator says that it settles `exact` payments of x402 version 2 on this network. `None` for what is no such
/// answer.
pub fn supports(body: &[u8], network: Network) -> Option<bool> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let kinds = answer.get("kinds")?.as_array()?;
    Some(kinds.iter().any(|kind| {
        let is = |name: &str, value: &str| kind.get(name).and_then(Value::as_str) == Some(value);
        kind.get("x402Version").and_then(Value::as_u64) == Some(u64::from(X402_VERSION))
            && is("scheme", "exact")
            && (is("network", network.caip2()) || is("network", "eip155:*"))
    }))
}

fn reason<'a>(answer: &'a Value, name: &str, snake: &str) -> &'a str {
    let member = |name| answer.get(name).and_then(Value::as_str);
    member(name).or_else(|| member(snake)).unwrap_or_default()
}

/// A facilitator's own words, short and printable, without anything that may be a key.
pub(super) fn printable(said: &str) -> String {
    let words: Vec<String> = said
        .split_whitespace()
        .map(|word| {
            word.chars()
                .filter(char::is_ascii_graphic)
                .collect::<String>()
        })
        .map(
            |word| match word.len() > MAX_LOGGED_WORD && !is_code(&word) {
                true => "…".to_owned(),
                false => word,
            },
        )
        .collect();
    words.join(" ").chars().take(MAX_LOGGED_CHARS).collect()
}

/// Whether this is a code such as `invalid_exact_evm_payload_authorization_valid_before`.
fn is_code(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

fn transaction_hash(value: &Value) -> Option<B256> {
    let text = value.as_str()?;
    let hash: B256 = text.starts_with("0x").then(|| text.parse().ok())??;
    (!hash.is_zero()).then_some(hash)
}
