//! The other parameters of a call: how long to wait, how much history to show, which tasks to list.

use serde_json::{Map, Value};

use super::fault::{Fault, Kind};
use crate::doors::whole::whole;
use crate::pauses::Patience;
use crate::types::UnixMillis;

const MAX_PAGE: u64 = 100;
const USUAL_PAGE: u64 = 50;
/// The states of tasks in A2A. Our tasks are only in some of them.
const STATES: [&str; 8] = [
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_AUTH_REQUIRED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
];

type Members = Map<String, Value>;

/// How the client wants a message to be answered.
#[derive(Debug)]
pub(super) struct Manner {
    pub(super) patience: Patience,
    pub(super) history: Option<u64>,
}

impl Manner {
    /// Reads `configuration`.
    pub(super) fn read(params: &Members) -> Result<Self, Fault> {
        let configuration = match params.get("configuration") {
            None | Some(Value::Null) => return Ok(Self::usual()),
            Some(Value::Object(configuration)) => configuration,
            Some(_) => return Err(Fault::bad("params.configuration must be an object.")),
        };
        for name in ["pushNotificationConfig", "taskPushNotificationConfig"] {
            let config = configuration.get(name).and_then(Value::as_object);
            if config.is_some_and(|config| !config.is_empty()) {
                return Err(Fault::new(
                    Kind::NoPush,
                    "Push notifications are not sent here: ask again with the task's id.",
                ));
            }
        }
        let modes = configuration
            .get("acceptedOutputModes")
            .and_then(Value::as_array);
        let mut modes = modes
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .peekable();
        let ours = |mode: &str| {
            ["application/json", "text", "*", "application/*"]
                .iter()
                .any(|ours| mode.starts_with(ours))
        };
        if modes.peek().is_some() && !modes.any(ours) {
            return Err(Fault::new(
                Kind::ContentType,
                "Answers are application/json and text/plain.",
            ));
        }
        let says = |name: &str| configuration.get(name).and_then(Value::as_bool);
        let at_once = says("returnImmediately") == Some(true) || says("blocking") == Some(false);
        Ok(Self {
            patience: if at_once {
                Patience::BEGIN
            } else {
                Patience::REQUEST
            },
            history: history(configuration)?,
        })
    }

    fn usual() -> Self {
        Self {
            patience: Patience::REQUEST,
            history: None,
        }
    }
}

/// How many messages of the history are wanted at most.
pub(super) fn history(members: &Members) -> Result<Option<u64>, Fault> {
    number(members, "historyLength")
}

fn number(members: &Members, name: &str) -> Result<Option<u64>, Fault> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => whole(value)
            .map(Some)
            .ok_or_else(|| Fault::bad(format!("{name} must be a whole number from 0."))),
    }
}

fn text<'m>(members: &'m Members, name: &str) -> Result<Option<&'m str>, Fault> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Fault::bad(format!("{name} must be a text."))),
    }
}

/// The id of the task that a call is about.
pub(super) fn task_id(params: &Members) -> Result<&str, Fault> {
    text(params, "id")?.ok_or_else(|| Fault::bad("id must be the id of a task."))
}

/// Which tasks a caller wants to see.
#[derive(Debug)]
pub(super) struct Wanted<'m> {
    pub(super) context_id: Option<&'m str>,
    pub(super) state: Option<&'m str>,
    pub(super) size: u64,
    pub(super) token: Option<&'m str>,
    pub(super) history: Option<u64>,
    pub(super) since: Option<UnixMillis>,
    pub(super) with_artifacts: bool,
}

impl<'m> Wanted<'m> {
    /// Reads the parameters of `ListTasks`.
    pub(super) fn read(params: &'m Members) -> Result<Self, Fault> {
        let size = number(params, "pageSize")?.unwrap_or(USUAL_PAGE);
        if !(1..=MAX_PAGE).contains(&size) {
            return Err(Fault::bad("pageSize must be 1 to 100."));
        }
        let state = text(params, "status")?.filter(|state| *state != "TASK_STATE_UNSPECIFIED");
        if state.is_some_and(|state| !STATES.contains(&state)) {
            return Err(Fault::bad("status must be the name of a task's state."));
        }
        let since = match text(params, "statusTimestampAfter")? {
            None => None,
            Some(text) => Some(UnixMillis::from_iso(text).ok_or_else(|| {
                Fault::bad("statusTimestampAfter must be a time like 2026-01-02T03:04:05.678Z.")
            })?),
        };
        Ok(Self {
            context_id: text(params, "contextId")?,
            state,
            size,
            token: text(params, "pageToken")?,
            history: history(params)?,
            since,
            with_artifacts: params.get("includeArtifacts").and_then(Value::as_bool) == Some(true),
        })
    }
}
