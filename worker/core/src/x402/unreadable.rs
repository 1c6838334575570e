//! Why a payment cannot be read, by its member.

use std::borrow::Cow;

use serde_json::Value;

use super::refusal::Refusal;

/// Why a payment header is no payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreadable {
    /// The code for programs.
    pub refusal: Refusal,
    /// The member that is wrong, when the header is an object at all.
    pub member: Option<&'static str>,
    /// A sentence for people: what is wrong and what is expected. Repeats nothing of the header.
    pub message: Cow<'static, str>,
}

impl From<Refusal> for Unreadable {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            member: None,
            message: refusal.message().into(),
        }
    }
}

impl Unreadable {
    /// The member does not hold what belongs there; `expected` continues "must be".
    pub(super) fn member(member: &'static str, found: Option<&Value>, expected: &str) -> Self {
        let found = match found {
            None => "is missing",
            Some(Value::Null) => "is null",
            Some(Value::Bool(_)) => "is a boolean",
            Some(Value::Number(_)) => "is a number",
            Some(Value::String(_)) => "is a text of another form",
            Some(Value::Array(_)) => "is a list",
            Some(Value::Object(_)) => "is an object",
        };
        Self {
            refusal: Refusal::InvalidPayload,
            member: Some(member),
            message: format!("The payment's member `{member}` {found}: it must be {expected}. Nothing was charged for this request.")
                .into(),
        }
    }
}
