//! The tasks of one context: what their object is asked, and how it answers from its store.

use core::future::Future;

use serde::{Deserialize, Serialize};

use super::ids::{ContextKey, TaskId};
use super::task::Task;
use crate::types::{CallFault, UnixMillis};

/// The most tasks of a context that nobody has paid. Strangers can guess context ids, so one more is not refused: the oldest
/// makes room, and last of all one whose payment may be under way.
pub const MAX_UNPAID: usize = 32;

/// The most tasks that are counted for a list, so that asking for one costs no more after a million purchases.
pub const MAX_COUNTED: usize = 1_000;

/// What the object of a context is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TaskCommand {
    /// Read this task.
    Read {
        /// Its id.
        id: TaskId,
    },
    /// Keep this task, in place of the one of the version before. The first version is 1.
    Keep(Box<Task>),
    /// Keep this task again, which has made room for others or whose time was over, unless it is there.
    Restore(Box<Task>),
    /// Read some tasks, the latest first.
    List(Page),
}

/// Which tasks are wanted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Only those in this state.
    pub state: Option<String>,
    /// Only those that changed later than this.
    pub since: Option<UnixMillis>,
    /// Only those behind this place.
    pub after: Option<Place>,
    /// At most so many.
    pub limit: usize,
}

/// A place in the list of tasks.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// When the task there last changed.
    pub at: UnixMillis,
    /// Its id.
    pub id: TaskId,
}

/// What it answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TaskReply {
    /// The task, if there is one.
    Task(Option<Box<Task>>),
    /// It is kept.
    Kept,
    /// Somebody was faster, or the task is gone.
    Stale,
    /// The tasks.
    Tasks {
        /// At most as many as asked for.
        tasks: Vec<Task>,
        /// Whether there are more behind them.
        more: bool,
        /// How many there are in all, wherever the list begins; at most [`MAX_COUNTED`].
        total: usize,
    },
}

/// The objects of all contexts.
pub trait Conversations {
    /// Asks one of them.
    fn ask(
        &self,
        context: ContextKey,
        command: &TaskCommand,
    ) -> impl Future<Output = Result<TaskReply, CallFault>>;
}

/// Which task makes room: the higher ones last, and the highest never.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Standing {
    /// Nobody has paid it.
    Unpaid = 0,
    /// A transfer was shown that may never have been made.
    Shown = 1,
    /// A payment was signed, and its purchase has not answered yet.
    Signed = 2,
    /// Its purchase has begun, and nobody knows yet whether money will arrive.
    Begun = 3,
    /// Money has arrived.
    Paid = 4,
}

impl Standing {
    /// Where this task stands.
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

/// Where an object keeps its tasks. One command runs inside one transaction.
pub trait TaskStore {
    /// The store's own error.
    type Error;

    /// The task with this id.
    fn read(&self, id: &TaskId) -> Result<Option<Task>, Self::Error>;
    /// Writes a task in place of its former version.
    fn write(&self, task: &Task) -> Result<(), Self::Error>;
    /// How many are not [`Standing::Paid`]; at most one more than [`MAX_UNPAID`] are counted.
    fn unpaid(&self) -> Result<usize, Self::Error>;
    /// Removes the one that makes room: of the lowest standing the oldest.
    fn make_room(&self) -> Result<(), Self::Error>;
    /// Some tasks, the latest change first, then by id; those whose time is over by `now` left out.
    fn list(&self, page: &Page, now: UnixMillis) -> Result<Vec<Task>, Self::Error>;
    /// How many a page without [`Page::after`] and [`Page::limit`] would have; at most [`MAX_COUNTED`].
    fn count(&self, page: &Page, now: UnixMillis) -> Result<usize, Self::Error>;
    /// Has the alarm ring when the first task's time is over; without tasks there is none.
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
            // One whose time is over is gone, though the alarm may be late.
            let before = store.read(&task.id)?.filter(|task| now < task.until);
            let kept = before.as_ref().map_or(0, |task| task.version);
            let is_next = match command {
                TaskCommand::Restore(_) => before.is_none(),
                _ => kept.checked_add(1) == Some(task.version),
            };
            if !is_next {
                return Ok(TaskReply::Stale);
            }
            // Also one whose purchase has come to nothing is unpaid again.
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
