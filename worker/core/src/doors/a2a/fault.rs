//! What is wrong with a call, in the words of JSON-RPC and A2A
//! (<https://a2a-protocol.org/latest/specification/#332-error-handling>). A payment that fails is no fault: it is a task.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

/// Why a call is not carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    kind: Kind,
    message: Cow<'static, str>,
    /// The task that it is about.
    task: Option<String>,
}

/// An entry of the two lists of codes.
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

    /// The name that version 1.0 gives to A2A's own codes.
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

    /// The same for what never was, what is gone, and what is not this caller's.
    pub(super) fn task_not_found(id: &str) -> Self {
        Self::new(Kind::TaskNotFound, "Task not found").about(id)
    }

    /// What would end or replace what may have been paid has to wait for that one's purchase.
    pub(super) fn unanswered(id: &str) -> Self {
        Self::new(
            Kind::Unsupported,
            "A payment that was sent for this task may still count, and its purchase gives no answer at the moment. Nothing was done \
             with this message: send it again in a few seconds, or the same payment to learn what became of it.",
        )
        .about(id)
    }

    /// The same in other words.
    pub(super) fn saying(mut self, message: &'static str) -> Self {
        self.message = message.into();
        self
    }

    /// Whether it says that there is no such task.
    pub(super) fn is_of_no_task(&self) -> bool {
        self.kind == Kind::TaskNotFound
    }

    pub(super) fn about(mut self, id: &str) -> Self {
        self.task = Some(id.chars().take(64).collect());
        self
    }

    /// The error member of the answer; with the reasons, which only version 1.0 has.
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
                info.insert("metadata".to_owned(), Value::Object(about));
            }
            members.insert("data".to_owned(), json!([info]));
        }
        body
    }
}
