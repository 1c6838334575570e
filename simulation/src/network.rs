//! Calls between objects: delayed, lost, delivered twice, overtaking each other, or answered when the caller
//! no longer waits.

use core::cell::Cell;
use core::future::pending;
use std::rc::Rc;

use futures_util::future::{Either, select};

use crate::executor::TaskId;
use crate::faults::Fault;
use crate::oneshot::{Sender, oneshot};
use crate::world::{Life, Owner, World};

/// The answer of an object; an error is a text for the log.
pub type Answer<T> = Result<T, String>;

/// Starts the work for one delivery in the object that is called.
pub trait Callee<T>: Fn(&Rc<World>, Sender<Answer<T>>) -> TaskId + 'static {}

impl<T, F: Fn(&Rc<World>, Sender<Answer<T>>) -> TaskId + 'static> Callee<T> for F {}

/// Calls an object and waits for its answer, at most for `deadline` milliseconds.
pub async fn call<T: 'static>(
    world: &Rc<World>,
    caller: &Life,
    name: &'static str,
    deadline: u64,
    callee: impl Callee<T>,
) -> Answer<T> {
    world.survive(caller, name).await;
    let (sender, receiver) = oneshot();
    let task = Rc::new(Cell::new(None));
    let callee = Rc::new(callee);
    let copies = if world.strikes(Fault::CallTwice) {
        2
    } else {
        1
    };
    for _ in 0..copies {
        let delivery = deliver(
            Rc::clone(world),
            name,
            Rc::clone(&callee),
            sender.clone(),
            Rc::clone(&task),
        );
        world.executor.spawn(Owner::World, delivery);
    }
    drop(sender);
    let answer = match select(receiver, world.sleep(deadline)).await {
        Either::Left((Some(answer), _)) => answer,
        Either::Left((None, _)) => Err(format!("{name}: connection lost")),
        Either::Right(_) => {
            if let Some(task) = task.get()
                && world.strikes(Fault::CallCancelled)
            {
                world.trace(|| format!("{name}: the caller takes the call back"));
                world.executor.cancel(task);
            }
            Err(format!("{name}: no answer in time"))
        }
    };
    world.survive(caller, name).await;
    answer
}

/// Delivers one request and its answer. No object owns this task, so it continues after the caller has
/// crashed.
async fn deliver<T: 'static>(
    world: Rc<World>,
    name: &'static str,
    callee: Rc<impl Callee<T>>,
    answers: Sender<Answer<T>>,
    task: Rc<Cell<Option<TaskId>>>,
) {
    travel(&world).await;
    if world.strikes(Fault::RequestLost) {
        world.trace(|| format!("{name}: request lost"));
        return lose(&world, answers).await;
    }
    let (sender, receiver) = oneshot();
    task.set(Some(callee(&world, sender)));
    let answer = receiver.await;
    if world.strikes(Fault::AnswerLost) {
        world.trace(|| format!("{name}: answer lost"));
        return lose(&world, answers).await;
    }
    travel(&world).await;
    if let Some(answer) = answer {
        answers.send(answer);
    }
}

async fn travel(world: &World) {
    if world.strikes(Fault::CallSlow) {
        world.sleep_between(1_000, 45_000).await;
    } else {
        world.sleep_between(0, 20).await;
    }
}

/// The caller learns that the connection broke, or learns nothing at all.
async fn lose<T>(world: &World, answers: Sender<T>) {
    if world.random.chance(500) {
        pending::<()>().await;
    }
    drop(answers);
}
