//! The rules for the tasks of conversations as they are stored.

use key0_core::doors::a2a::{Known, Presented, Stage, Task};

use crate::objects::{ContextObject, Tasks};
use crate::world::World;

/// The most unpaid tasks that a context may hold.
const MAX_UNPAID: usize = 32;
/// The most bytes of an unpaid task.
const MAX_BYTES: usize = 2_048;
const HOUR_MILLIS: u64 = 3_600_000;
/// Offers are accepted a little longer than they promise.
const WINDOW_MILLIS: u64 = 60_000;
/// How late an alarm may be.
const LATE_MILLIS: u64 = 600_000;

/// Checks the tasks of a context before and after a command.
pub fn on_tasks(world: &World, object: &ContextObject, before: &Tasks, after: &Tasks) {
    let (before, after) = (before.rows.borrow(), after.rows.borrow());
    for (id, old) in before.iter() {
        match after.get(id) {
            Some(new) => changed(world, object, id, old, new),
            None => made_room(world, object, id, old, before.values()),
        }
    }
    for (id, new) in after.iter().filter(|(id, _)| !before.contains_key(*id)) {
        note_change(world, object, id, [None, Some(&new.stage)]);
        // A task that made room while its purchase was under way continues from its last state.
        let is_first = object.held.borrow_mut().insert(id.clone());
        if is_first && new.version != 1 {
            world.violation("task_overwritten", id, "it begins in the middle");
        }
    }
    for (id, task) in after.iter() {
        let is_open =
            |payment: &Presented| matches!(payment, Presented::Shown(_) | Presented::Unread);
        let is_offered = matches!(task.stage, Stage::Offered { again: false, .. });
        if is_offered && task.payments.iter().any(is_open) {
            let detail = format!("{:?} beside {:?}", task.stage, task.payments);
            world.violation("offered_beside_transfer", id, detail);
        }
    }
    let unpaid: Vec<&Task> = after.values().filter(|task| !is_paid(task)).collect();
    if unpaid.len() > MAX_UNPAID {
        let detail = format!("{} unpaid tasks", unpaid.len());
        world.violation("too_many_tasks", object.key.name(), detail);
    }
    for task in unpaid {
        let id = task.id.to_string();
        let bytes = serde_json::to_vec(task).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_BYTES {
            world.violation("task_too_long", &id, format!("{bytes} bytes"));
        }
        let latest = world.now().0 + world.setting.ttl * 1_000 + WINDOW_MILLIS + HOUR_MILLIS;
        // A task whose purchase has begun may be paid while no client asks about it.
        if task.until.0 > latest && !task.has_begun() {
            let detail = format!("until {}, {:?}", task.until.0, task.stage);
            world.violation("task_kept_too_long", &id, detail);
        }
    }
}

fn changed(world: &World, object: &ContextObject, id: &str, old: &Task, new: &Task) {
    if old == new {
        return;
    }
    if new.version != old.version + 1 {
        let detail = format!("version {} after {}", new.version, old.version);
        world.violation("task_overwritten", id, detail);
    }
    if old.stage != new.stage {
        note_change(world, object, id, [Some(&old.stage), Some(&new.stage)]);
        if old.stage.is_end() {
            let detail = format!("{:?} became {:?}", old.stage, new.stage);
            world.violation("task_left_its_end", id, detail);
        }
    }
}

/// Notes that from now on the task says something else about the offers of these stages: the stage
/// before and the stage now.
fn note_change(world: &World, object: &ContextObject, id: &str, stages: [Option<&Stage>; 2]) {
    for stage in stages.into_iter().flatten() {
        if let Some(offer) = stage.challenge_id() {
            let (about, now) = ((id.to_owned(), offer.to_owned()), world.now().0);
            object.changed.borrow_mut().insert(about, now);
        }
    }
}

/// Rule: only unpaid tasks make room, and tasks whose payment is under way are the last to do so.
fn made_room<'t>(
    world: &World,
    object: &ContextObject,
    id: &str,
    task: &Task,
    mut all: impl Iterator<Item = &'t Task>,
) {
    let is_waiting = |task: &Task| !is_paid(task) && !is_paying(task);
    if is_paid(task) {
        world.violation("task_dropped", id, format!("{:?}", task.stage));
    } else if is_paying(task) {
        if all.any(is_waiting) {
            world.violation("task_dropped", id, "before those that only wait");
        }
        object.made_room.borrow_mut().push(id.to_owned());
    }
}

const fn is_paying(task: &Task) -> bool {
    matches!(task.stage, Stage::Paying { .. })
}

/// Whether money has moved for the task, as far as its purchase has said.
fn is_paid(task: &Task) -> bool {
    match &task.stage {
        Stage::Delivered { .. } => true,
        Stage::Paying { known, .. } => *known == Known::Arrived,
        Stage::Failed { was_paid, .. } => *was_paid,
        _ => false,
    }
}

/// Rule: the alarm removes no task before its time is over.
pub fn on_tasks_removed(world: &World, _: &ContextObject, before: &Tasks, after: &Tasks) {
    let (before, after) = (before.rows.borrow(), after.rows.borrow());
    for (id, task) in before.iter().filter(|(id, _)| !after.contains_key(*id)) {
        if world.now() < task.until {
            world.violation("task_removed_early", id, format!("until {}", task.until.0));
        }
    }
}

/// Rule: long after the end, tasks that are over are gone, and an object without tasks has no
/// alarm.
pub fn all_gone(world: &World) {
    for object in world.objects.contexts() {
        let tasks = object.tasks.borrow();
        let rows = tasks.rows.borrow();
        for (id, task) in rows.iter() {
            if task.until.plus(LATE_MILLIS) < world.now() {
                let detail = format!("until {}, {:?}", task.until.0, task.stage);
                world.violation("task_kept_too_long", id, detail);
            }
        }
        if let (true, Some(at)) = (rows.is_empty(), object.alarm.at()) {
            let detail = format!("an alarm at {at}, and no tasks");
            world.violation("never_at_rest", object.key.name(), detail);
        }
    }
}
