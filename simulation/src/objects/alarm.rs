//! An object's one alarm: part of its storage, handled at least once, never twice at a time.

use core::cell::Cell;
use std::rc::Rc;

use key0_core::types::UnixMillis;

use super::{context, purchase, wallet};
use crate::faults::Fault;
use crate::world::{Owner, World};

/// An alarm.
#[derive(Debug, Default)]
pub struct Alarm {
    at: Cell<Option<u64>>,
    is_handled: Cell<bool>,
}

impl Alarm {
    /// Sets the alarm, or removes it.
    pub fn set(&self, world: &Rc<World>, owner: &Owner, at: Option<UnixMillis>) {
        self.at.set(at.map(|at| at.0));
        // Only a purchase that a sweep can find may lose its alarm: the sweep searches the wallet that is paid now.
        let is_swept = world.setting.moves.0.is_none() && matches!(owner, Owner::Purchase(_));
        if at.is_some() && is_swept && world.strikes(Fault::AlarmLost) {
            world.trace(|| format!("{owner:?} loses its alarm"));
            self.at.set(None);
            return;
        }
        if let Some(UnixMillis(at)) = at {
            let late = if world.strikes(Fault::AlarmLate) {
                world.random.range(1_000, 60_000)
            } else {
                world.random.range(0, 50)
            };
            watch(world, owner, at + late);
        }
    }

    /// When the alarm fires.
    pub fn at(&self) -> Option<u64> {
        self.at.get()
    }

    /// The object crashed: an alarm that was being handled fires again, unless the handler had set the next one.
    pub fn crashed(&self, world: &Rc<World>, owner: &Owner) {
        if self.is_handled.replace(false) {
            let at = self
                .at
                .get()
                .unwrap_or(world.now().0 + world.random.range(0, 5_000));
            self.set(world, owner, Some(UnixMillis(at)));
        }
    }

    /// Begins to handle the alarm if it is due.
    fn begin(&self, now: u64) -> bool {
        let due = self.at.get().is_some_and(|at| at <= now) && !self.is_handled.get();
        if due {
            self.at.set(None);
            self.is_handled.set(true);
        }
        due
    }

    /// Notes that the alarm was handled.
    pub(super) fn done(&self, world: &Rc<World>, owner: &Owner) {
        self.is_handled.set(false);
        if world.strikes(Fault::AlarmTwice) && self.at.get().is_none() {
            self.at.set(Some(world.now().0));
        }
        // The next alarm may have become due meanwhile.
        if let Some(at) = self.at.get() {
            watch(world, owner, at);
        }
    }
}

/// Fires an alarm at a moment, if it is still due then.
fn watch(world: &Rc<World>, owner: &Owner, at: u64) {
    let (world_then, owner) = (Rc::clone(world), owner.clone());
    world.executor.spawn(Owner::World, async move {
        let world = world_then;
        world.executor.sleep_until(at).await;
        match &owner {
            Owner::Purchase(id) => {
                let object = world.objects.purchase(id);
                if object.alarm.begin(world.now().0) {
                    purchase::wake(&world, &object);
                }
            }
            Owner::Wallet => {
                if world.objects.wallet.alarm.begin(world.now().0) {
                    wallet::wake(&world);
                }
            }
            Owner::Context(key) => {
                let object = world.objects.context(*key);
                if object.alarm.begin(world.now().0) {
                    context::wake(&world, &object);
                }
            }
            Owner::World | Owner::Door | Owner::Payer(_) | Owner::Grant(_) => {}
        }
    });
}
