//! The tasks of one context: the commands for their object, and how it answers them from its store.

use core::future::Future;

use serde::{Deserialize, Serialize};

use super::ids::{ContextKey, TaskId};
use super::task::Task;
use crate::types::{CallFault, UnixMillis};

/// The most tasks of a context that nobody has paid. Strangers can guess context ids, so a further task is not refused:
/// the oldest task is removed. Tasks whose payment may be under way are removed last.
pub const MAX_UNPAID: usize = 32;

/// The most tasks that are counted for a list, so that a list costs no more after a million purchases.
pub const MAX_COUNTED: usize = 1_000;

/// A command for the object of a context.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TaskCommand {
    /// Read this task.
    Read {
        /// The id of the task.
        id: TaskId,
    },
    /// Keep this task, in place of its version before. The first version is 1.
    Keep(Box<Task>),
    /// Keep this task again, after it was removed to make room for others or because its time was over. Does nothing if
    /// the task exists.
    Restore(Box<Task>),
    /// Read some tasks, the latest first.
    List(Page),
}

/// Which tasks a list shall have.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Only tasks in this state.
    pub state: Option<String>,
    /// Only tasks that changed later than this.
    pub since: Option<UnixMillis>,
    /// Only tasks after this place in the list.
    pub after: Option<Place>,
    /// The most tasks that the list may have.
    pub limit: usize,
}

/// A place in the list of tasks.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// When the task there last changed.
    pub at: UnixMillis,
    /// The id of that task.
    pub id: TaskId,
}

/// The object's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TaskReply {
    /// The task, if there is one.
    Task(Option<Box<Task>>),
    /// The task was kept.
    Kept,
    /// Another request has changed the task first, or the task is gone.
    Stale,
    /// The tasks.
    Tasks {
        /// The tasks of the page, at most as many as it allows.
        tasks: Vec<Task>,
        /// Whether more tasks follow in the list.
        more: bool,
        /// How many tasks there are in all, wherever the list begins; at most [`MAX_COUNTED`].
        total: usize,
    },
}

/// The objects of all contexts.
pub trait Conversations {
    /// Sends a command to one of the objects.
    fn ask(
        &self,
        context: ContextKey,
        command: &TaskCommand,
    ) -> impl Future<Output = Result<TaskReply, CallFault>>;
}

/// How late a task is removed to make room: those of the lowest standing first, those of the highest never.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Standing {
    /// Nobody has paid for the task.
    Unpaid = 0,
    /// A transfer was shown that may never have been made.
    Shown = 1,
    /// A payment was signed, and the task's purchase has not answered yet.
    Signed = 2,
    /// The task's purchase has begun, and nobody knows yet whether money will arrive.
    Begun = 3,
    /// Money has arrived.
    Paid = 4,
}

impl Standing {
    /// The standing of this task.
    pub fn of(task: &Task) -> Self {
        match (task.is_paying(), task.stage.claim()) {
            _ if task.is_paid() => Self::Paid,
            _ if task.has_begun() => Self::Begun,
            (true, Some(_)) => Self::Signed,
            (true, None) => Self::Shown,
            (false, _) => Self::Unpaid,
        }
    }
}

/// The storage of one context's tasks. Each command runs in one transaction.
pub trait TaskStore {
    /// The store's own error.
    type Error;

    /// The task with this id.
    fn read(&self, id: &TaskId) -> Result<Option<Task>, Self::Error>;
    /// Writes a task in place of its former version.
    fn write(&self, task: &Task) -> Result<(), Self::Error>;
    /// The number of tasks that are not [`Standing::Paid`]. The count stops at one more than [`MAX_UNPAID`].
    fn unpaid(&self) -> Result<usize, Self::Error>;
    /// Removes one task to make room: the oldest of those with the lowest standing.
    fn make_room(&self) -> Result<(), Self::Error>;
    /// Some tasks, without those whose time is over by `now`. The latest change comes first; tasks of the same time are
    /// in the order of their ids.
    fn list(&self, page: &Page, now: UnixMillis) -> Result<Vec<Task>, Self::Error>;
    /// How many tasks a page without [`Page::after`] and [`Page::limit`] would have; at most [`MAX_COUNTED`].
    fn count(&self, page: &Page, now: UnixMillis) -> Result<usize, Self::Error>;
    /// Sets the alarm to the time when the first task's time is over; without tasks, removes the alarm.
    fn set_alarm(&self) -> Result<(), Self::Error>;
}

/// Carries out one command.
pub fn execute<S: TaskStore>(
    store: &S,
    command: &TaskCommand,
    now: UnixMillis,
) -> Result<TaskReply, S::Error> {
    Ok(match command {
        TaskCommand::Read { id } => {
            let task = store.read(id)?.filter(|task| now < task.until);
            TaskReply::Task(task.map(Box::new))
        }
        TaskCommand::Keep(task) | TaskCommand::Restore(task) => {
            // A task whose time is over counts as gone, even when the alarm is late.
            let before = store.read(&task.id)?.filter(|task| now < task.until);
            let kept = before.as_ref().map_or(0, |task| task.version);
            let is_next = match command {
                TaskCommand::Restore(_) => before.is_none(),
                _ => kept.checked_add(1) == Some(task.version),
            };
            if !is_next {
                return Ok(TaskReply::Stale);
            }
            // A task whose purchase has come to nothing is unpaid again, so it counts, too.
            let is_counted = |task: &Task| Standing::of(task) != Standing::Paid;
            let is_another = is_counted(task) && !before.as_ref().is_some_and(is_counted);
            if is_another && store.unpaid()? >= MAX_UNPAID {
                store.make_room()?;
            }
            store.write(task)?;
            store.set_alarm()?;
            TaskReply::Kept
        }
        TaskCommand::List(page) => {
            let more_than = Page {
                limit: page.limit.saturating_add(1),
                ..page.clone()
            };
            let mut tasks = store.list(&more_than, now)?;
            let more = tasks.len() > page.limit;
            tasks.truncate(page.limit);
            TaskReply::Tasks {
                tasks,
                more,
                total: store.count(page, now)?,
            }
        }
    })
}

#[cfg(test)]
mod tests;
