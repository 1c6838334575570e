//! One grant's meter: the real `Meter`, `extend` and `withdraw` over the model's storage.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use key0_core::meter::{
    Addition, GrantStore, Granted, Meter, MeterCommand, MeterReply, Stored, extend, withdraw,
};
use key0_core::purchase::granted;
use key0_core::types::RequestId;

use super::{Instance, instance};
use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::world::{Owner, World};

/// What an object has in memory: the meter, from its first command on.
type Memory = RefCell<Option<Meter>>;

/// A grant's object.
#[derive(Debug)]
pub struct GrantObject {
    /// The grant, by the request id of the purchase that founded it.
    pub id: RequestId,
    /// What is stored of it, once it was founded.
    pub stored: RefCell<Option<Stored>>,
    /// What has come of each purchase that adds to it.
    pub additions: RefCell<BTreeMap<RequestId, Addition>>,
    pub(super) instance: RefCell<Option<Rc<Instance<Memory>>>>,
}

impl GrantObject {
    pub(super) fn new(id: RequestId) -> Self {
        Self {
            id,
            stored: RefCell::default(),
            additions: RefCell::default(),
            instance: RefCell::default(),
        }
    }
}

/// Storage that takes every write, or none.
struct Store<'a> {
    object: &'a GrantObject,
    fails: bool,
}

impl GrantStore for Store<'_> {
    type Error = String;

    fn addition(&self, purchase: &RequestId) -> Result<Option<Addition>, String> {
        Ok(self.object.additions.borrow().get(purchase).cloned())
    }

    fn put(
        &self,
        purchase: &RequestId,
        addition: &Addition,
        stored: &Stored,
    ) -> Result<(), String> {
        if self.fails {
            return Err("storage fails".to_owned());
        }
        let row = (purchase.clone(), addition.clone());
        self.object.additions.borrow_mut().extend([row]);
        self.object.stored.replace(Some(stored.clone()));
        Ok(())
    }
}

/// Asks a grant's meter; its answer goes to `sender`.
pub fn ask(
    world: &Rc<World>,
    grant: &RequestId,
    command: MeterCommand,
    sender: Sender<Answer<MeterReply>>,
) -> TaskId {
    let object = world.objects.grant(grant);
    let owner = Owner::Grant(grant.clone());
    let instance = instance(&object.instance, owner.clone());
    let task = Rc::clone(world);
    world.executor.spawn(owner, async move {
        let world = task;
        world.survive(&instance.life, "grant before").await;
        let reply = match world.strikes(Fault::StoreError) {
            true => Err("storage fails".to_owned()),
            false => execute(&world, &object, &instance.memory, &command),
        };
        world.trace(|| format!("grant {}: {command:?} -> {reply:?}", object.id));
        world.survive(&instance.life, "grant after").await;
        sender.send(reply);
    })
}

fn execute(
    world: &World,
    object: &GrantObject,
    memory: &Memory,
    command: &MeterCommand,
) -> Result<MeterReply, String> {
    let now = world.now();
    let mut meter = memory.borrow_mut();
    if meter.is_none() {
        let stored = object.stored.borrow().clone();
        let stored = stored.or_else(|| Some(Stored::new(founded(world, object)?)));
        object.stored.replace(stored.clone());
        let random: [u8; 16] = world.random.bytes();
        let id = random.iter().fold(0, |id, byte| id << 8 | u64::from(*byte));
        *meter = stored.map(|stored| Meter::new(id, stored, now));
    }
    let Some(meter) = meter.as_mut() else {
        return Ok(match command {
            MeterCommand::Withdraw { .. } => MeterReply::Withdrawn,
            _ => MeterReply::NotGranted,
        });
    };
    let store = Store {
        object,
        fails: world.strikes(Fault::StoreError),
    };
    match command {
        MeterCommand::MayExtend(top_up) => Ok(meter
            .bars(top_up)
            .map_or(MeterReply::MayExtend, MeterReply::Barred)),
        MeterCommand::Extend(top_up) => extend(meter, &store, top_up, now),
        MeterCommand::Withdraw { purchase } => withdraw(meter, &store, purchase, now),
        // Nothing else is asked in this model.
        _ => Ok(MeterReply::Heard),
    }
}

/// What the founding purchase has granted. (The model asks it at once; the real object asks through the network.)
fn founded(world: &World, object: &GrantObject) -> Option<Granted> {
    let purchase = world.objects.purchase(&object.id);
    let stored = purchase.stored.borrow();
    granted(&stored.as_ref()?.record, world.config.network)
}
