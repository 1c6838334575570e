//! A request to the worker and its way through the door to the purchases.

use core::future::Future;
use std::rc::Rc;

use key0_core::book::TargetKey;
use key0_core::purchase::{Ask, PayReply, Purchase, Purchases, Sold, purchase};
use key0_core::types::{CallFault, RequestId};

use super::payment::Payment;
use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::{Answer, call};
use crate::objects;
use crate::oneshot::Sender;
use crate::world::{Life, Owner, World};

const PURCHASE_DEADLINE_MILLIS: u64 = 60_000;
const BUYER_DEADLINE_MILLIS: u64 = 60_000;

/// Presents a payment. `None`: no answer arrived.
pub async fn request(world: &Rc<World>, pay: &Payment) -> Option<PayReply> {
    // The seller has changed the price meanwhile, and the client does not bring its offer: nothing begins by it.
    let id = &pay.offer.terms.request_id;
    let is_its = |record: &Purchase| record.terms.pay_to == pay.authorization.authorization().to;
    let record = world.objects.purchase(id).record();
    let is_known = record.as_ref().is_some_and(is_its);
    let sold = Sold::today(&pay.offer.terms.target, world.config_now());
    let sold = sold.filter(|_| !(world.random.chance(100) && is_known));
    // Nor by one for what is not in the catalog.
    if sold.is_none() && !is_known {
        return None;
    }
    // What pays another wallet or amount than the offer's can be the payment of an earlier one, and begins nothing.
    let authorization = pay.authorization.authorization();
    let terms = &pay.offer.terms;
    let is_of_the_offer =
        authorization.to == terms.pay_to && authorization.value == terms.amount.to_u256();
    if !is_of_the_offer && sold.is_some() {
        return None;
    }
    // Some clients name the resource as well, some only the plan, and some nothing: their body is empty.
    let target = match world.random.range(0, 3) {
        0 => TargetKey::of_any_plan(None),
        1 => TargetKey::of_any_resource(&terms.target),
        _ => TargetKey::new(&terms.target, &terms.resource),
    };
    let payment = pay.hand_over(target, sold);
    ask_door(world, id, move |door| {
        let payment = payment.clone();
        async move { purchase(&door, payment).await }
    })
    .await
}

/// Has the door do something. `None`: no answer arrived.
pub(super) async fn ask_door<F>(
    world: &Rc<World>,
    id: &RequestId,
    work: impl Fn(Door) -> F + Clone + 'static,
) -> Option<PayReply>
where
    F: Future<Output = Result<PayReply, CallFault>> + 'static,
{
    if world.strikes(Fault::BuyerOffline) {
        world.sleep_between(100, 5_000).await;
        return None;
    }
    let nobody = Life::new(Owner::World);
    let callee = move |world: &Rc<World>, sender| door(world, work.clone(), sender);
    let reply = call(world, &nobody, "door", BUYER_DEADLINE_MILLIS, callee).await;
    world.trace(|| format!("{id} answers {reply:?}"));
    reply.ok().filter(|_| !world.strikes(Fault::BuyerOffline))
}

fn door<F>(
    world: &Rc<World>,
    work: impl Fn(Door) -> F + 'static,
    sender: Sender<Answer<PayReply>>,
) -> TaskId
where
    F: Future<Output = Result<PayReply, CallFault>> + 'static,
{
    let door = Door {
        world: Rc::clone(world),
        life: Rc::clone(&world.door.borrow()),
    };
    world.executor.spawn(Owner::Door, async move {
        let reply = work(door).await;
        sender.send(reply.map_err(|fault| fault.0));
    })
}

/// The worker that takes a request.
pub(super) struct Door {
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
            PURCHASE_DEADLINE_MILLIS,
            callee,
        )
        .await
        .map_err(CallFault)
    }
}
