//! What is wrong with a call, as errors of JSON-RPC and A2A
//! (<https://a2a-protocol.org/latest/specification/#332-error-handling>). A payment that fails is no fault: its task
//! tells the failure.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::json;
use crate::json::Put as _;

use super::ids::TaskId;

/// The reply to a payment or a proof on a task that does not exist.
pub(super) const GONE: &str = "Task not found. Nothing was done with this message. If you have paid on this task, send the same payment or proof without \
                    taskId; do not pay anew before that.";
/// The reply to a payment or a proof on a task that ended without it.
pub(super) const CLOSED: &str = "This task is over. Nothing was done with this message. If it was sent before, it may have been charged: send it without \
                      taskId to learn that, and do not pay anew before. Without taskId it pays the offer that it names, if that is \
                      still unpaid.";
/// The reply to a request for something else on a task on which a payment or a proof was presented.
pub(super) const TRIED: &str = "A payment or a proof was presented on this task, which is about that one purchase. Nothing was done with this message: \
                     GetTask tells how far it is. To buy something else, or at another price, send the AccessRequest without taskId.";
/// The reply to a payment or a proof that belongs to another purchase than the task's.
pub(super) const ELSEWHERE: &str = "This is for another offer than this task's, and nothing was done with it here. Send it without taskId: there \
                         the purchase of its own offer answers, also if it was charged already. Do not pay anew before that.";
/// The reply to a further payment or transfer on a task that has had as many as it takes.
pub(super) const FULL: &str = "This task has had as many payments as it takes. Nothing was done with this message, and nothing was charged by it: send it \
                    in a message without taskId, where the purchase of its own offer answers. GetTask tells what became of the \
                    others.";

/// The reply to a payment for a call that neither the message nor the task describes.
pub(super) const CALL_MISSING: &str = "This offer is for a call, and neither this message nor the task describes that call. Nothing was done with this message: send \
             the same payment again, with the AccessRequest (routeId and resource, as for the offer) in a data part beside it.";

/// The reply to a message that would discard or replace something that may have been paid.
pub(super) const UNANSWERED: &str = "A payment that was sent for this task may still count, and its purchase gives no answer at the moment. Nothing was \
             done with this message: send it again in a few seconds, or the same payment to learn what became of it.";

/// Why a call cannot be carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    kind: Kind,
    message: Cow<'static, str>,
    /// The task that the fault is about.
    task: Option<String>,
}

/// An error code, of JSON-RPC or of A2A.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    NotJson,
    NotACall,
    NoSuchMethod,
    BadParams,
    Internal,
    TaskNotFound,
    TaskNotCancelable,
    NoPush,
    Unsupported,
    ContentType,
    Version,
}

impl Kind {
    const fn code(self) -> i32 {
        match self {
            Self::NotJson => -32700,
            Self::NotACall => -32600,
            Self::NoSuchMethod => -32601,
            Self::BadParams => -32602,
            Self::Internal => -32603,
            Self::TaskNotFound => -32001,
            Self::TaskNotCancelable => -32002,
            Self::NoPush => -32003,
            Self::Unsupported => -32004,
            Self::ContentType => -32005,
            Self::Version => -32009,
        }
    }

    /// The name that A2A 1.0 gives to its own error codes; `None` for JSON-RPC's.
    const fn reason(self) -> Option<&'static str> {
        Some(match self {
            Self::TaskNotFound => "TASK_NOT_FOUND",
            Self::TaskNotCancelable => "TASK_NOT_CANCELABLE",
            Self::NoPush => "PUSH_NOTIFICATION_NOT_SUPPORTED",
            Self::Unsupported => "UNSUPPORTED_OPERATION",
            Self::ContentType => "CONTENT_TYPE_NOT_SUPPORTED",
            Self::Version => "VERSION_NOT_SUPPORTED",
            _ => return None,
        })
    }
}

impl Fault {
    pub(super) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            task: None,
        }
    }

    pub(super) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::BadParams, message)
    }

    pub(super) fn internal() -> Self {
        Self::new(
            Kind::Internal,
            "Something went wrong on our side. Repeating the same request is safe.",
        )
    }

    /// The same fault whether the task never existed, was removed, or belongs to another caller.
    pub(super) fn task_not_found(id: &str) -> Self {
        Self::new(Kind::TaskNotFound, "Task not found").about(id)
    }

    /// The task does not accept this message, and stays as it is.
    pub(super) fn not_here(id: &TaskId, why: &'static str) -> Self {
        Self::new(Kind::Unsupported, why).about(&id.to_string())
    }

    /// The same fault with another text.
    pub(super) fn saying(mut self, message: &'static str) -> Self {
        self.message = message.into();
        self
    }

    /// Whether the fault says that the task does not exist.
    pub(super) fn is_of_no_task(&self) -> bool {
        self.kind == Kind::TaskNotFound
    }

    pub(super) fn about(mut self, id: &str) -> Self {
        self.task = Some(id.chars().take(64).collect());
        self
    }

    /// The `error` member of the answer. `with_reasons`: whether it names the reason, as only version 1.0 does.
    pub(super) fn body(&self, with_reasons: bool) -> Value {
        let mut body = json!({"code": self.kind.code(), "message": self.message});
        if let (true, Some(reason), Some(members)) =
            (with_reasons, self.kind.reason(), body.as_object_mut())
        {
            let mut info = json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "a2a-protocol.org",
            });
            if let (Some(task), Some(info)) = (&self.task, info.as_object_mut()) {
                let about = Map::from_iter([("taskId".to_owned(), json!(task))]);
                info.put("metadata", Value::Object(about));
            }
            members.put("data", json!([info]));
        }
        body
    }
}
