//! The two versions of the protocol: which one a request speaks, and how our own form, that of 1.0, is translated to
//! 0.3 and back.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::fault::{Fault, Kind};
use crate::documents::X402_EXTENSIONS;
use crate::json::Put as _;

/// A version of A2A. Only major and minor count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    V0_3,
    V1_0,
}

/// The methods of calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    Send,
    Get,
    List,
    Cancel,
    Stream,
    Push,
    ExtendedCard,
}

const VERSION: &str = "a2a-version";
const METHODS: [(&str, &str, Method); 11] = [
    ("SendMessage", "message/send", Method::Send),
    ("GetTask", "tasks/get", Method::Get),
    ("ListTasks", "", Method::List),
    ("CancelTask", "tasks/cancel", Method::Cancel),
    ("SendStreamingMessage", "message/stream", Method::Stream),
    ("SubscribeToTask", "tasks/resubscribe", Method::Stream),
    (
        "CreateTaskPushNotificationConfig",
        "tasks/pushNotificationConfig/set",
        Method::Push,
    ),
    (
        "GetTaskPushNotificationConfig",
        "tasks/pushNotificationConfig/get",
        Method::Push,
    ),
    (
        "ListTaskPushNotificationConfigs",
        "tasks/pushNotificationConfig/list",
        Method::Push,
    ),
    (
        "DeleteTaskPushNotificationConfig",
        "tasks/pushNotificationConfig/delete",
        Method::Push,
    ),
    (
        "GetExtendedAgentCard",
        "agent/getAuthenticatedExtendedCard",
        Method::ExtendedCard,
    ),
];
const STATES: [(&str, &str); 9] = [
    ("TASK_STATE_SUBMITTED", "submitted"),
    ("TASK_STATE_WORKING", "working"),
    ("TASK_STATE_INPUT_REQUIRED", "input-required"),
    ("TASK_STATE_AUTH_REQUIRED", "auth-required"),
    ("TASK_STATE_COMPLETED", "completed"),
    ("TASK_STATE_FAILED", "failed"),
    ("TASK_STATE_CANCELED", "canceled"),
    ("TASK_STATE_REJECTED", "rejected"),
    ("TASK_STATE_UNSPECIFIED", "unknown"),
];
const ROLES: [(&str, &str); 2] = [("ROLE_USER", "user"), ("ROLE_AGENT", "agent")];

impl Dialect {
    /// The version that a request names in its header, or in its query. A request that names none speaks 0.3.
    pub(super) fn negotiate(headers: &HeaderMap, query: &str) -> Result<Self, Fault> {
        let in_header = headers
            .get(VERSION)
            .map(|value| value.to_str().unwrap_or("?"));
        let in_query = || {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(VERSION))?;
            Some(value)
        };
        let named = in_header.or_else(in_query).unwrap_or_default().trim();
        let mut parts = named.split('.');
        match (parts.next(), parts.next()) {
            (Some(""), None) | (Some("0"), Some("3")) => Ok(Self::V0_3),
            (Some("1"), Some("0")) => Ok(Self::V1_0),
            _ => Err(Fault::new(
                Kind::Version,
                "This A2A-Version is not spoken here: send 1.0 or 0.3.",
            )),
        }
    }

    /// The method with this name.
    pub(super) fn method(self, name: &str) -> Result<Method, Fault> {
        let found = METHODS.iter().find(|(new, old, _)| {
            *name
                == **match self {
                    Self::V1_0 => new,
                    Self::V0_3 => old,
                }
        });
        if let (Some((.., method)), false) = (found, name.is_empty()) {
            return Ok(*method);
        }
        if self == Self::V0_3 && METHODS.iter().any(|(new, ..)| *new == name) {
            return Err(Fault::new(
                Kind::Version,
                "This is a method of A2A 1.0: send it with the header A2A-Version: 1.0.",
            ));
        }
        Err(Fault::new(Kind::NoSuchMethod, "There is no such method."))
    }

    /// The header that says which extensions are used; `None` when none is used.
    pub(super) fn active(self, headers: &HeaderMap) -> Option<(&'static str, String)> {
        let names = ["a2a-extensions", "x-a2a-extensions"];
        // Clients use either of the two header names, or both.
        let requested: Vec<&str> = names
            .into_iter()
            .flat_map(|name| headers.get_all(name))
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let active: Vec<_> = X402_EXTENSIONS
            .into_iter()
            .filter(|uri| requested.contains(uri))
            .collect();
        let name = match self {
            Self::V1_0 => "a2a-extensions",
            Self::V0_3 => "x-a2a-extensions",
        };
        (!active.is_empty()).then(|| (name, active.join(", ")))
    }

    /// A task in the form of this version.
    pub(super) fn task(self, mut task: Value) -> Value {
        if self == Self::V0_3
            && let Some(members) = task.as_object_mut()
        {
            members.put("kind", "task".into());
            if let Some(status) = members.get_mut("status") {
                rename(status, "state", &STATES);
                if let Some(message) = status.get_mut("message") {
                    old_message(message);
                }
            }
            list(members, "history").for_each(old_message);
            list(members, "artifacts").for_each(old_parts);
        }
        task
    }

    /// A message that arrived, in the form of 1.0. Hand-written clients of 0.3 leave out `kind`.
    pub(super) fn arrived(self, message: &Map<String, Value>) -> Map<String, Value> {
        let mut message = message.clone();
        if self == Self::V0_3 {
            message.remove("kind");
            if let Some(role) = message.get_mut("role")
                && let Some((new, _)) = ROLES.iter().find(|(_, old)| role == old)
            {
                *role = (*new).into();
            }
            for part in list(&mut message, "parts") {
                if let Some(part) = part.as_object_mut() {
                    part.remove("kind");
                }
            }
        }
        message
    }
}

fn list<'m>(
    members: &'m mut Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'m mut Value> {
    let items = members.get_mut(name).and_then(Value::as_array_mut);
    items.into_iter().flatten()
}

fn rename(value: &mut Value, member: &str, words: &[(&str, &'static str)]) {
    if let Some(word) = value.get_mut(member)
        && let Some((_, old)) = words.iter().find(|(new, _)| word == new)
    {
        *word = (*old).into();
    }
}

fn old_message(message: &mut Value) {
    rename(message, "role", &ROLES);
    if let Some(members) = message.as_object_mut() {
        members.put("kind", "message".into());
    }
    old_parts(message);
}

fn old_parts(holder: &mut Value) {
    let parts = holder.get_mut("parts").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten() {
        if let Some(part) = part.as_object_mut() {
            let kind = ["text", "data"]
                .into_iter()
                .find(|kind| part.contains_key(*kind));
            part.put("kind", kind.unwrap_or("file").into());
        }
    }
}

#[cfg(test)]
mod tests;
