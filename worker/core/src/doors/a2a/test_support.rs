//! Conversations in memory, for tests.

use core::cell::RefCell;
use core::convert::Infallible;

use crate::json;

use super::ids::{ContextKey, TaskId};
use super::task::{Known, Stage, Task};
use super::tasks::{
    Conversations, MAX_UNPAID, Page, Standing, TaskCommand, TaskReply, TaskStore, execute,
};
use crate::checkout::Claim;
use crate::types::{CallFault, UnixMillis};

pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_010_000);

/// The tasks of one context.
#[derive(Debug, Default)]
pub(super) struct MemoryTasks(pub(super) RefCell<Vec<Task>>);

impl TaskStore for MemoryTasks {
    type Error = Infallible;

    fn read(&self, id: &TaskId) -> Result<Option<Task>, Infallible> {
        Ok(self.0.borrow().iter().find(|task| task.id == *id).cloned())
    }
    fn write(&self, task: &Task) -> Result<(), Infallible> {
        let mut tasks = self.0.borrow_mut();
        tasks.retain(|old| old.id != task.id);
        tasks.push(task.clone());
        Ok(())
    }
    fn unpaid(&self) -> Result<usize, Infallible> {
        let tasks = self.0.borrow();
        let unpaid = tasks.iter().filter(|task| !task.is_paid());
        Ok(unpaid.take(MAX_UNPAID + 1).count())
    }
    fn make_room(&self) -> Result<(), Infallible> {
        let mut tasks = self.0.borrow_mut();
        let unpaid = tasks.iter().filter(|task| !task.is_paid());
        let first = unpaid.min_by_key(|task| (Standing::of(task) as u8, task.at));
        if let Some(id) = first.map(|task| task.id) {
            tasks.retain(|task| task.id != id);
        }
        Ok(())
    }
    fn list(&self, page: &Page, now: UnixMillis) -> Result<Vec<Task>, Infallible> {
        let tasks = self.0.borrow();
        let mut found: Vec<_> = tasks
            .iter()
            .filter(|task| fits(task, page, now))
            .cloned()
            .collect();
        let order = |at: UnixMillis, id: &TaskId| (core::cmp::Reverse(at), id.to_string());
        found.sort_by_key(|task| order(task.at, &task.id));
        let place = page.after.as_ref().map(|place| order(place.at, &place.id));
        found.retain(|task| {
            place
                .as_ref()
                .is_none_or(|place| order(task.at, &task.id) > *place)
        });
        found.truncate(page.limit);
        Ok(found)
    }
    fn count(&self, page: &Page, now: UnixMillis) -> Result<usize, Infallible> {
        let tasks = self.0.borrow();
        Ok(tasks.iter().filter(|task| fits(task, page, now)).count())
    }
    fn set_alarm(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn fits(task: &Task, page: &Page, now: UnixMillis) -> bool {
    now < task.until
        && page.since.is_none_or(|since| since < task.at)
        && page
            .state
            .as_ref()
            .is_none_or(|state| state == task.stage.state())
}

/// The tasks of all contexts in one store: a task's id names its context anyway.
#[derive(Debug, Default)]
pub(super) struct MemoryConversations {
    pub(super) tasks: MemoryTasks,
    /// A hook that runs before each command, with the kept tasks.
    pub(super) before: RefCell<Option<Hook>>,
}

pub(super) type Hook = fn(&MemoryTasks, &TaskCommand) -> Result<(), CallFault>;

impl Conversations for MemoryConversations {
    async fn ask(
        &self,
        context: ContextKey,
        command: &TaskCommand,
    ) -> Result<TaskReply, CallFault> {
        let hook = *self.before.borrow();
        if let Some(hook) = hook {
            hook(&self.tasks, command)?;
        }
        if let TaskCommand::Read { id } = command {
            assert_eq!(id.context(), context);
        }
        Ok(execute(&self.tasks, command, NOW).unwrap_or_else(|never| match never {}))
    }
}

fn task(number: u8, at: UnixMillis, stage: Stage) -> Task {
    let id = TaskId::new(ContextKey::of("c"), [number; 16]);
    let mut task = Task::new(id, "c".to_owned(), at);
    task.version = 1;
    task.go_on(stage, None, at);
    task
}

pub(super) fn offered(number: u8, at: UnixMillis) -> Task {
    let challenge_id = "id".to_owned();
    task(
        number,
        at,
        Stage::Offered {
            challenge_id,
            said: None,
            again: false,
            claim: None,
        },
    )
}

pub(super) fn paying(number: u8, at: UnixMillis, claim: Option<Claim>, known: Known) -> Task {
    task(
        number,
        at,
        Stage::Paying {
            challenge_id: "id".to_owned(),
            claim,
            by: None,
            said: None,
            known,
        },
    )
}

pub(super) fn claim() -> Claim {
    let claim = json!({
        "requestId": "07070707-0707-4707-8707-070707070707",
        "payer": format!("0x{}", "11".repeat(20)),
        "target": "plan basic default",
    });
    serde_json::from_value(claim).unwrap()
}
