//! The end of a run, when no fault is injected any more: each client polls the tasks on which it has paid until they are over.

use std::rc::Rc;

use super::shopping::last_words;
use super::wire::{Call, View};
use super::{Known, Talk, say};
use crate::rules;
use crate::world::{Owner, World};

/// Number and length of the pauses between polls: frequent at first, then rare.
const LOOKS: [(u64, u64); 2] = [(12, 5_000), (20, 300_000)];

fn everybody(world: &Rc<World>) -> Vec<(Rc<Talk>, Rc<Known>)> {
    let talks = world.market.talks.borrow();
    let tasks = talks.iter().flat_map(|talk| {
        let tasks = talk.tasks.borrow().clone();
        tasks.into_iter().map(|known| (Rc::clone(talk), known))
    });
    tasks
        .filter(|(_, known)| !known.offers().is_empty())
        .collect()
}

/// Polls every task on which something was paid, until it is over.
pub fn last_looks(world: &Rc<World>) {
    for (talk, known) in everybody(world) {
        let then = Rc::clone(world);
        world.executor.spawn(Owner::World, async move {
            for (looks, pause) in LOOKS {
                for _ in 0..looks {
                    let view = look(&then, &talk, &known).await;
                    if view.is_some_and(|view| view.is_end()) {
                        return;
                    }
                    then.sleep(pause).await;
                }
            }
        });
    }
}

/// Polls a task once, and follows what it says.
async fn look(world: &Rc<World>, talk: &Talk, known: &Known) -> Option<View> {
    let call = Call::Get(known.id.clone());
    let (_, view) = say(world, talk, Some(known), &call).await?;
    if !must_be_repeated(known, &view) {
        return Some(view);
    }
    let call = talk.message(world, Some(known), &last_words(talk, known)?);
    let (_, view) = say(world, talk, Some(known), &call).await?;
    Some(view)
}

/// Whether the client must send its payment or proof again: because it is told to, or because it has shown a transfer
/// and the task may not be able to poll the transfer's purchase.
fn must_be_repeated(known: &Known, view: &View) -> bool {
    let is_waiting = match view.state.as_str() {
        "input-required" => !view.asks_to_pay(),
        "working" => !known.shown.borrow().is_empty(),
        _ => false,
    };
    is_waiting && view.payment.is_some()
}

/// Checks, once nothing changes any more, that each task says what became of its purchase.
pub fn last_truths(world: &Rc<World>) {
    for (talk, known) in everybody(world) {
        let then = Rc::clone(world);
        world.executor.spawn(Owner::World, async move {
            let view = look(&then, &talk, &known).await;
            rules::at_rest(&then, &talk, &known, view.as_ref());
        });
    }
}

/// Checks, long afterwards, that each finished task is unchanged or removed.
pub fn look_again(world: &Rc<World>) {
    for (talk, known) in everybody(world) {
        let then = Rc::clone(world);
        world.executor.spawn(Owner::World, async move {
            let call = Call::Get(known.id.clone());
            say(&then, &talk, Some(&*known), &call).await;
        });
    }
}
