//! Why a payment cannot be read, and which of its members is wrong.

use std::borrow::Cow;

use serde_json::Value;

use super::refusal::Refusal;

/// Why the content of a payment header cannot be read as a payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreadable {
    /// The code for programs.
    pub refusal: Refusal,
    /// The member that is wrong, if the header is an object.
    pub member: Option<&'static str>,
    /// A sentence for people: what is wrong and what is expected. It repeats nothing of the header.
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
    /// The error for a member that does not hold what belongs there. `expected` continues the words "must be".
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
        Self::wrong(member, found, expected)
    }

    /// The error for a member whose value cannot be meant. `found` says what the value is, and `expected` continues the
    /// words "must be".
    pub(super) fn wrong(member: &'static str, found: &str, expected: &str) -> Self {
        Self {
            refusal: Refusal::InvalidPayload,
            member: Some(member),
            message: format!("The payment's member `{member}` {found}: it must be {expected}. Nothing was charged for this request.")
                .into(),
        }
    }
}
