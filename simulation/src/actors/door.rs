//! A request to the worker and its way through the door to the purchases.

use std::rc::Rc;

use key0_core::challenge::{Ask, CallFault, Pay, PayReply, Purchases, purchase};
use key0_core::types::RequestId;

use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::{Answer, call};
use crate::objects;
use crate::oneshot::Sender;
use crate::world::{Life, Owner, World};

const CHALLENGE_DEADLINE_MILLIS: u64 = 60_000;
const BUYER_DEADLINE_MILLIS: u64 = 60_000;

/// Presents a payment. `None`: no answer arrived.
pub async fn request(world: &Rc<World>, pay: &Pay) -> Option<PayReply> {
    if world.strikes(Fault::BuyerOffline) {
        world.sleep_between(100, 5_000).await;
        return None;
    }
    let nobody = Life::new(Owner::World);
    let payment = pay.clone();
    let callee = move |world: &Rc<World>, sender| door(world, payment.clone(), sender);
    let reply = call(world, &nobody, "door", BUYER_DEADLINE_MILLIS, callee).await;
    world.trace(|| format!("{} answers {reply:?}", pay.challenge.terms.request_id));
    reply.ok().filter(|_| !world.strikes(Fault::BuyerOffline))
}

fn door(world: &Rc<World>, pay: Pay, sender: Sender<Answer<PayReply>>) -> TaskId {
    let door = Door {
        world: Rc::clone(world),
        life: Rc::clone(&world.door.borrow()),
    };
    world.executor.spawn(Owner::Door, async move {
        let reply = purchase(&door, pay).await;
        sender.send(reply.map_err(|fault| fault.0));
    })
}

struct Door {
    world: Rc<World>,
    life: Rc<Life>,
}

impl Purchases for Door {
    async fn ask(&self, request_id: &RequestId, ask: &Ask) -> Result<PayReply, CallFault> {
        let (id, ask) = (request_id.clone(), ask.clone());
        let callee = move |world: &Rc<World>, sender| objects::ask(world, &id, ask.clone(), sender);
        call(
            &self.world,
            &self.life,
            "purchase",
            CHALLENGE_DEADLINE_MILLIS,
            callee,
        )
        .await
        .map_err(CallFault)
    }
}
