//! Reads the tasks that a call is about, keeps them, and shows them.

use serde_json::Value;

use crate::json;

use super::fault::{Fault, Kind};
use super::ids::{ContextKey, TaskId};
use super::outcome::{BEGINS_SECONDS, offer_end};
use super::params::Wanted;
use super::show::{Extent, show};
use super::task::{Known, Stage, Task};
use super::tasks::{Conversations, Page, Place, TaskCommand, TaskReply};
use crate::checkout::{Checkout, Deployment};
use crate::pauses::Patience;
use crate::types::{CallFault, UnixMillis, UnixSeconds};

/// What the door needs to answer one call.
#[expect(
    missing_debug_implementations,
    reason = "the platform has nothing to show"
)]
pub struct Desk<'a, D, C> {
    /// The way to the purchases.
    pub checkout: &'a Checkout<'a, D>,
    /// The objects that hold the tasks.
    pub conversations: &'a C,
    /// Random bytes that nobody knows: a new task's id is made from the first half, a new context's from the second.
    pub random: [[u8; 16]; 2],
    /// The time.
    pub now: UnixMillis,
}

/// How often a task is read again after another request has changed it.
pub(super) const MAX_ROUNDS: usize = 8;

/// By how much the version of a task grows when the task is stored again after it was removed: by more than one request
/// can have written meanwhile.
const AFTER_ROOM: u32 = 1_000;

/// A change that could not be stored, because another request changed the task first.
pub(super) struct Stale;

impl<D: Deployment, C: Conversations> Desk<'_, D, C> {
    pub(super) async fn shown(&self, task: &Task, history: Option<u64>) -> Result<Value, Fault> {
        let extent = Extent {
            history,
            is_listed: false,
            with_artifacts: true,
        };
        let shown = show(task, extent, self.checkout).await;
        shown.map_err(|_| Fault::internal())
    }

    /// The task with this id, brought up to date.
    pub(super) async fn look(&self, id: &str) -> Result<Task, Fault> {
        for _ in 0..MAX_ROUNDS {
            let task = self.read(id).await?;
            let patience = self.bring_again(&task);
            if let Some(task) = self.looked(task, patience).await? {
                return Ok(task);
            }
        }
        Err(Fault::internal())
    }

    pub(super) async fn cancel(&self, id: &str) -> Result<Task, Fault> {
        for _ in 0..MAX_ROUNDS {
            let task = self.read(id).await?;
            let Some((mut task, is_heard)) = self.heard_of(task, Patience::NONE).await? else {
                continue;
            };
            let is_paying = task.is_paying() && !self.has_lapsed(&task);
            if task.stage.is_end() || is_paying || !is_heard {
                let why = match &task.stage {
                    stage if stage.is_end() => "This task is over.",
                    stage if task.is_paying() && !stage.waits_for_the_same() => {
                        "A payment for this task is under way."
                    }
                    _ => {
                        "A payment that was sent for this task may still count. Send it again to learn what became of it."
                    }
                };
                return Err(Fault::new(Kind::TaskNotCancelable, why).about(id));
            }
            task.let_pass();
            task.go_on(Stage::Canceled, None, self.now);
            if let Ok(task) = self.keep(task).await? {
                return Ok(task);
            }
        }
        Err(Fault::internal())
    }

    /// Whether the offer of a task has ended and no purchase has begun for the task. Only a transfer made in time may
    /// still pay the offer, and its proof needs no task.
    fn has_lapsed(&self, task: &Task) -> bool {
        let end = |id| offer_end(self.checkout, id);
        let end = task.stage.challenge_id().and_then(end);
        let is_over = |end: UnixSeconds| end.plus(BEGINS_SECONDS).to_millis() <= self.now;
        matches!(
            task.stage,
            Stage::Paying {
                known: Known::Again,
                ..
            }
        ) && end.is_none_or(is_over)
    }

    /// The tasks of a context, if we have made the context's id. Other ids can be guessed, and their contexts list no
    /// tasks, since an id in the list opens its task.
    pub(super) async fn list(&self, wanted: &Wanted<'_>) -> Result<Value, Fault> {
        let after = match wanted.token {
            None => None,
            Some(token) => {
                Some(place(token).ok_or_else(|| Fault::bad("pageToken is none of ours."))?)
            }
        };
        let context = wanted
            .context_id
            .filter(|id| self.checkout.config.offers.keys.is_conversation(id));
        let limit = usize::try_from(wanted.size).unwrap_or_default();
        let (tasks, more, total) = match context {
            None => (Vec::new(), false, 0),
            Some(id) => {
                let page = Page {
                    state: wanted.state.map(str::to_owned),
                    since: wanted.since,
                    after,
                    limit,
                };
                let list = TaskCommand::List(page);
                match self.conversations.ask(ContextKey::of(id), &list).await {
                    Ok(TaskReply::Tasks { tasks, more, total }) => (tasks, more, total),
                    _ => return Err(Fault::internal()),
                }
            }
        };
        let extent = Extent {
            history: wanted.history,
            is_listed: true,
            with_artifacts: wanted.with_artifacts,
        };
        let mut shown = Vec::new();
        for task in &tasks {
            let task = show(task, extent, self.checkout).await;
            shown.push(task.map_err(|_| Fault::internal())?);
        }
        let next = match (more, tasks.last()) {
            (true, Some(last)) => format!("{}.{}", last.at.0, last.id),
            _ => String::new(),
        };
        Ok(
            json!({"tasks": shown, "nextPageToken": next, "pageSize": wanted.size, "totalSize": total}),
        )
    }

    pub(super) async fn read(&self, id: &str) -> Result<Task, Fault> {
        let not_found = || Fault::task_not_found(id);
        let id = TaskId::parse(id).ok_or_else(not_found)?;
        self.find(id).await?.ok_or_else(not_found)
    }

    /// The task with this id, if it exists.
    pub(super) async fn find(&self, id: TaskId) -> Result<Option<Task>, Fault> {
        let read = TaskCommand::Read { id };
        match self.conversations.ask(id.context(), &read).await {
            Ok(TaskReply::Task(task)) => Ok(task.map(|task| *task)),
            _ => Err(Fault::internal()),
        }
    }

    pub(super) async fn keep(&self, mut task: Task) -> Result<Result<Task, Stale>, Fault> {
        match self.write(&mut task).await {
            Ok(true) => Ok(Ok(task)),
            Ok(false) => Ok(Err(Stale)),
            Err(_) => Err(Fault::internal()),
        }
    }

    /// Writes the task's next version. Returns false if the stored version is not the one that was read. If the write
    /// gives no answer, `task` stays at the version that was read: the next write is then refused if this one, or
    /// another, was stored after all.
    pub(super) async fn write(&self, task: &mut Task) -> Result<bool, CallFault> {
        self.put(task, TaskCommand::Keep).await
    }

    /// Stores a task again that was removed. Its version jumps ahead, so that a request that has read an earlier
    /// version cannot overwrite it.
    pub(super) async fn restore(&self, task: &mut Task) -> Result<bool, Fault> {
        task.version = task.version.saturating_add(AFTER_ROOM);
        let put = self.put(task, TaskCommand::Restore).await;
        put.map_err(|_| Fault::internal())
    }

    async fn put(
        &self,
        task: &mut Task,
        command: impl FnOnce(Box<Task>) -> TaskCommand,
    ) -> Result<bool, CallFault> {
        let next = Task {
            version: task.version.saturating_add(1),
            ..task.clone()
        };
        let command = command(Box::new(next.clone()));
        let reply = self.conversations.ask(task.id.context(), &command).await?;
        *task = next;
        Ok(reply == TaskReply::Kept)
    }
}

/// The place in the list after which the next page begins.
fn place(token: &str) -> Option<Place> {
    let (at, id) = token.split_once('.')?;
    Some(Place {
        at: UnixMillis(at.parse().ok()?),
        id: TaskId::parse(id)?,
    })
}
