//! Why a credential cannot be read.

use std::borrow::Cow;

use super::names::{INTENT, METHOD};
use super::problem::Problem;
use crate::x402::Unreadable;

/// Why a credential cannot be read. Repeats nothing of the credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The problem's type.
    pub problem: Problem,
    /// The member that is wrong, if the credential is an object.
    pub member: Option<&'static str>,
    /// What is wrong, and what is expected.
    pub message: Cow<'static, str>,
}

impl Fault {
    /// The credential is no object.
    pub(super) const fn no_object() -> Self {
        Self {
            problem: Problem::MalformedCredential,
            member: None,
            message: Cow::Borrowed(
                "The credential must be base64url of one JSON object, at most 16 KiB long. Nothing was charged for this request.",
            ),
        }
    }

    /// A member is missing, or is of another type.
    pub(super) fn malformed(member: &'static str) -> Self {
        Self {
            problem: Problem::MalformedCredential,
            member: Some(member),
            message: format!(
                "The credential's member `{member}` is missing or has another type. Nothing was charged for this request."
            )
            .into(),
        }
    }

    /// The credential is for another method or intent.
    pub(super) fn foreign(member: &'static str) -> Self {
        Self {
            problem: Problem::MethodUnsupported,
            member: Some(member),
            message: format!(
                "Only the method \"{METHOD}\" with the intent \"{INTENT}\" is taken here. Nothing was charged for this request."
            )
            .into(),
        }
    }

    /// The payment has another form.
    pub(super) const fn other_type() -> Self {
        Self {
            problem: Problem::InvalidPayload,
            member: Some("payload.type"),
            message: Cow::Borrowed(
                "The only type of payment that is taken here is \"authorization\" (EIP-3009). Nothing was charged for this request.",
            ),
        }
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self {
            problem: Problem::InvalidPayload,
            member: unreadable.member,
            message: unreadable.message,
        }
    }
}
