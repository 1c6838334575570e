//! Reads a facilitator's answers. Only the body decides what an answer means; the HTTP status is kept for the operator, as a hint
//! at what is wrong.

use alloy_primitives::B256;
use serde_json::Value;

use crate::types::Network;
use crate::x402::Refusal;
use crate::x402::objects::X402_VERSION;

const MAX_LOGGED_CHARS: usize = 100;
/// A longer word may be a token or a key, and is not logged: an answer may repeat what authenticated the request.
const MAX_LOGGED_WORD: usize = 40;
/// The members in which facilitators, and the gateways in front of them, say what is wrong.
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
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl FacilitatorAnswer {
    /// Whether the facilitator does not accept the key of the request, or requires one.
    pub const fn refuses_key(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// The status and the reason that the body gives: for the operator, short and printable.
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

/// A facilitator's answer to `verify`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verification {
    /// The facilitator would settle.
    Valid,
    /// The facilitator would not settle this payment for anyone.
    Invalid {
        /// The reason, as one of our codes.
        reason: Refusal,
        /// The reason in the facilitator's words; for the log.
        said: String,
    },
    /// Unclear: the facilitator has trouble of its own, or gives an unknown reason. Its words are for the log.
    Unclear(String),
}

impl Verification {
    /// Reads the body of an answer. Only a reason that is known to be about the payment counts as a refusal: a refused
    /// client signs anew or goes away, so a facilitator's own trouble must not look like a refusal.
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

/// A facilitator's answer to `settle`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settled {
    /// The facilitator names a transaction. Only the chain tells whether that transaction succeeded.
    Named(B256),
    /// The facilitator has moved no money with this payment, and will not.
    Declined {
        /// The reason, as one of our codes.
        reason: Refusal,
        /// The reason in the facilitator's words; for the log.
        said: String,
    },
    /// It is not known whether the facilitator has broadcast anything. Its words are for the log.
    Unclear(String),
}

impl Settled {
    /// Reads the body of an answer. The HTTP status adds nothing to the body.
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
            // The reason is unknown. It may mean "I gave up waiting for the transaction that I have broadcast".
            None => Self::Unclear(printable(said)),
        }
    }
}

/// Whether the answer says that the facilitator settles `exact` payments of x402 version 2 on this network. `None` if
/// it is no answer to `supported`.
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

/// Whether a word is a code such as `invalid_exact_evm_payload_authorization_valid_before`.
fn is_code(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

fn transaction_hash(value: &Value) -> Option<B256> {
    let text = value.as_str()?;
    let hash: B256 = text.starts_with("0x").then(|| text.parse().ok())??;
    (!hash.is_zero()).then_some(hash)
}
