//! The tasks of a conversation: the real `execute` over a transaction of the model's storage.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use key0_core::doors::a2a::{
    ContextKey, MAX_COUNTED, MAX_UNPAID, Page, Standing, Task, TaskCommand, TaskId, TaskReply,
    TaskStore, execute,
};
use key0_core::pauses::FAILED_ALARM;
use key0_core::types::UnixMillis;

use super::{Alarm, Instance, instance};
use crate::executor;
use crate::faults::Fault;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::rules;
use crate::world::{Owner, World};

/// The pause before the next alarm, when more tasks are to be removed than one alarm removes.
const NEXT_MILLIS: u64 = 1_000;
/// The most tasks that one alarm removes, few enough to be reached here.
const MAX_REMOVED: usize = 8;

/// A context's object.
#[derive(Debug)]
pub struct ContextObject {
    /// Its name.
    pub key: ContextKey,
    /// The stored tasks.
    pub tasks: RefCell<Tasks>,
    /// Its alarm.
    pub alarm: Alarm,
    pub(super) instance: RefCell<Option<Rc<Instance<()>>>>,
    /// For the rules: the tasks that made room for others while their payment may have been under way.
    pub made_room: RefCell<Vec<String>>,
    /// For the rules: the tasks that were ever kept.
    pub held: RefCell<BTreeSet<String>>,
    /// For the rules: when each task last had something else to say of each offer, or of another one, in milliseconds.
    pub changed: RefCell<BTreeMap<(String, String), u64>>,
}

/// The table of a context's tasks.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// Each task by its id.
    pub rows: RefCell<BTreeMap<String, Task>>,
    /// When the alarm is to ring.
    wake_at: Cell<Option<UnixMillis>>,
}

impl ContextObject {
    pub(super) fn new(key: ContextKey) -> Self {
        Self {
            key,
            tasks: RefCell::default(),
            alarm: Alarm::default(),
            instance: RefCell::default(),
            made_room: RefCell::default(),
            held: RefCell::default(),
            changed: RefCell::default(),
        }
    }

    fn owner(&self) -> Owner {
        Owner::Context(self.key)
    }

    /// The end of a transaction: what it wrote stays, and the alarm with it.
    fn commit(&self, world: &Rc<World>, tasks: Tasks) {
        if tasks.wake_at != self.tasks.borrow().wake_at {
            self.alarm.set(world, &self.owner(), tasks.wake_at.get());
        }
        self.tasks.replace(tasks);
    }
}

impl Tasks {
    fn first_end(&self) -> Option<UnixMillis> {
        let rows = self.rows.borrow();
        rows.values().map(|task| task.until).min()
    }

    fn remove_ended(&self, now: UnixMillis) {
        let mut rows = self.rows.borrow_mut();
        let mut ended: Vec<(UnixMillis, String)> = rows
            .iter()
            .filter(|(_, task)| task.until <= now)
            .map(|(id, task)| (task.until, id.clone()))
            .collect();
        ended.sort();
        for (_, id) in ended.into_iter().take(MAX_REMOVED) {
            rows.remove(&id);
        }
        drop(rows);
        let next = self.first_end().map(|end| end.max(now.plus(NEXT_MILLIS)));
        self.wake_at.set(next);
    }

    /// The tasks of a page, without its limit.
    fn found(&self, page: &Page, now: UnixMillis) -> Vec<Task> {
        let rows = self.rows.borrow();
        let mut found: Vec<Task> = rows
            .values()
            .filter(|task| now < task.until)
            .filter(|task| page.since.is_none_or(|since| task.at > since))
            .filter(|task| {
                let state = page.state.as_deref();
                state.is_none_or(|state| task.stage.state() == state)
            })
            .cloned()
            .collect();
        found.sort_by_key(|task| (core::cmp::Reverse(task.at), task.id.to_string()));
        found
    }
}

impl TaskStore for Tasks {
    type Error = Infallible;

    fn read(&self, id: &TaskId) -> Result<Option<Task>, Infallible> {
        Ok(self.rows.borrow().get(&id.to_string()).cloned())
    }

    fn write(&self, task: &Task) -> Result<(), Infallible> {
        let row = (task.id.to_string(), task.clone());
        self.rows.borrow_mut().extend([row]);
        Ok(())
    }

    fn unpaid(&self) -> Result<usize, Infallible> {
        let rows = self.rows.borrow();
        let unpaid = rows.values().filter(|task| is_unpaid(task));
        Ok(unpaid.take(MAX_UNPAID + 1).count())
    }

    fn make_room(&self) -> Result<(), Infallible> {
        let mut rows = self.rows.borrow_mut();
        let unpaid = rows.iter().filter(|(_, task)| is_unpaid(task));
        let first = unpaid.min_by_key(|(_, task)| (Standing::of(task) as u8, task.at));
        if let Some(id) = first.map(|(id, _)| id.clone()) {
            rows.remove(&id);
        }
        Ok(())
    }

    fn list(&self, page: &Page, now: UnixMillis) -> Result<Vec<Task>, Infallible> {
        let mut found = self.found(page, now);
        if let Some(after) = &page.after {
            let place = (core::cmp::Reverse(after.at), after.id.to_string());
            found.retain(|task| (core::cmp::Reverse(task.at), task.id.to_string()) > place);
        }
        found.truncate(page.limit);
        Ok(found)
    }

    fn count(&self, page: &Page, now: UnixMillis) -> Result<usize, Infallible> {
        Ok(self.found(page, now).len().min(MAX_COUNTED))
    }

    fn set_alarm(&self) -> Result<(), Infallible> {
        self.wake_at.set(self.first_end());
        Ok(())
    }
}

fn is_unpaid(task: &Task) -> bool {
    Standing::of(task) != Standing::Paid
}

/// Asks the object of a context; its answer goes to `sender`.
pub fn ask(
    world: &Rc<World>,
    context: ContextKey,
    command: TaskCommand,
    sender: Sender<Answer<TaskReply>>,
) -> executor::TaskId {
    let object = world.objects.context(context);
    let instance = instance(&object.instance, object.owner());
    let task = Rc::clone(world);
    world.executor.spawn(object.owner(), async move {
        let world = task;
        world.survive(&instance.life, "context before").await;
        if world.strikes(Fault::StoreError) {
            return sender.send(Err("storage fails".to_owned()));
        }
        let before = object.tasks.borrow().clone();
        let tasks = before.clone();
        let Ok(reply) = execute(&tasks, &command, world.now());
        world.trace(|| match &command {
            TaskCommand::Keep(task) | TaskCommand::Restore(task) => {
                format!(
                    "task {} {}: {:?} -> {reply:?}",
                    task.id, task.version, task.stage
                )
            }
            command => format!("tasks of {}: {command:?} -> {reply:?}", context.name()),
        });
        rules::on_tasks(&world, &object, &before, &tasks);
        object.commit(&world, tasks);
        world.survive(&instance.life, "context after").await;
        sender.send(Ok(reply));
    })
}

/// Handles the alarm: removes the tasks whose time is over.
pub(super) fn wake(world: &Rc<World>, object: &Rc<ContextObject>) {
    let instance = instance(&object.instance, object.owner());
    let (then, object) = (Rc::clone(world), Rc::clone(object));
    world.executor.spawn(object.owner(), async move {
        let world = then;
        world.survive(&instance.life, "context alarm before").await;
        let now = world.now();
        if world.strikes(Fault::StoreError) {
            let again = Some(now.plus(FAILED_ALARM));
            object.alarm.set(&world, &object.owner(), again);
        } else {
            let before = object.tasks.borrow().clone();
            let tasks = before.clone();
            tasks.remove_ended(now);
            rules::on_tasks_removed(&world, &object, &before, &tasks);
            object
                .alarm
                .set(&world, &object.owner(), tasks.wake_at.get());
            object.tasks.replace(tasks);
        }
        world.survive(&instance.life, "context alarm after").await;
        object.alarm.done(&world, &object.owner());
    });
}
