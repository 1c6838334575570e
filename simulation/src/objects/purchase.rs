//! One purchase: the real `Driver` over the model's storage, chain and network.

mod outside;

use core::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use alloy_primitives::B256;
use key0_core::backend::authentication::BackendCall;
use key0_core::chain::SignedAuthorization;
use key0_core::pauses::{FAILED_ALARM, Patience};
use key0_core::purchase::{
    Ask, AuditLine, Driver, OperatorCommand, PayReply, Purchase, PurchaseEnv, Sold, Versioned,
};
use key0_core::types::RequestId;

use self::outside::Outside;
use super::{Alarm, Instance};
use crate::executor::TaskId;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::rules::{self, Told};
use crate::world::{Owner, World};

/// A purchase's object.
#[derive(Debug)]
pub struct PurchaseObject {
    /// Its name.
    pub id: RequestId,
    /// What is stored.
    pub stored: RefCell<Option<Versioned>>,
    /// The history that is stored with it.
    pub history: RefCell<Vec<AuditLine>>,
    /// Its alarm.
    pub alarm: Alarm,
    pub(super) instance: RefCell<Option<Rc<Instance<Driver>>>>,
    /// For the rules: every authorization that an attempt was made with.
    pub attempts: RefCell<Vec<B256>>,
    /// For the rules: whether the last attempt had failed before the money was found.
    pub had_failed: Cell<bool>,
    /// For the rules: when its last attempt began, in milliseconds.
    pub tried: Cell<u64>,
    /// For the rules: when it was delivered, in milliseconds.
    pub delivered: Cell<Option<u64>>,
    /// For the rules: when it came to an end without money.
    pub ended: Cell<Option<Ended>>,
    /// For the rules: whether the money was found after the end.
    pub was_late: Cell<bool>,
    /// For the rules: the first refund that was signed.
    pub refund: RefCell<Option<SignedAuthorization>>,
    /// For the rules: the first call to the backend.
    pub call: RefCell<Option<BackendCall>>,
    /// For the rules: what the backend is to be told, in order.
    pub news: RefCell<Vec<&'static str>>,
    /// For the rules: when a facilitator was last told to settle, in milliseconds, unless it has declined.
    pub told_to_settle: Cell<Option<u64>>,
    /// For the rules: what the facilitator then named.
    pub claimed: RefCell<Vec<B256>>,
    /// For the rules: what was sold at the beginning.
    pub sold: RefCell<Option<Sold>>,
    /// The transaction in which an operator returns the money by hand.
    pub by_hand: Cell<Option<B256>>,
    /// For the rules: alive while an effect is carried out.
    pub effect: RefCell<Weak<()>>,
}

/// When a purchase came to an end without money.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The newest block then.
    pub block: u64,
}

impl PurchaseObject {
    pub(super) fn new(id: RequestId) -> Self {
        Self {
            id,
            stored: RefCell::default(),
            history: RefCell::default(),
            alarm: Alarm::default(),
            instance: RefCell::default(),
            attempts: RefCell::default(),
            had_failed: Cell::new(false),
            tried: Cell::new(0),
            delivered: Cell::new(None),
            ended: Cell::new(None),
            was_late: Cell::new(false),
            refund: RefCell::default(),
            call: RefCell::default(),
            news: RefCell::default(),
            told_to_settle: Cell::new(None),
            claimed: RefCell::default(),
            sold: RefCell::default(),
            by_hand: Cell::new(None),
            effect: RefCell::default(),
        }
    }

    /// The record.
    pub fn record(&self) -> Option<Purchase> {
        self.stored
            .borrow()
            .as_ref()
            .map(|stored| stored.record.clone())
    }

    fn owner(&self) -> Owner {
        Owner::Purchase(self.id.clone())
    }
}

/// Asks a purchase; its answer goes to `sender`.
pub fn ask(
    world: &Rc<World>,
    id: &RequestId,
    ask: Ask,
    patience: Patience,
    sender: Sender<Answer<PayReply>>,
) -> TaskId {
    let outside = Outside::new(world, &world.objects.purchase(id));
    // Who only looks in is held to what the chain showed then, if he does not ask it.
    let looks_in = matches!(ask, Ask::Join(_)) && patience == Patience::NONE;
    let shown = match looks_in {
        true => Told::now(world),
        false => Told::default(),
    };
    world.executor.spawn(outside.object.owner(), async move {
        let reply = outside.instance.memory.ask(&outside, &ask, patience).await;
        rules::on_answer_elsewhere(&outside.world, &outside.object, outside.version, &reply);
        if let Ok(reply) = &reply {
            let told = Some(outside.rpc.told()).filter(Told::is_any);
            let told = told.unwrap_or(shown);
            rules::on_refusal(&outside.world, &outside.object, told, &ask, reply);
        }
        sender.send(reply.map_err(|fault| fault.0));
    })
}

/// The sweep looks in; the answer goes to `sender`.
pub fn nudge(world: &Rc<World>, id: &RequestId, sender: Sender<Answer<bool>>) -> TaskId {
    let outside = Outside::new(world, &world.objects.purchase(id));
    world.executor.spawn(outside.object.owner(), async move {
        let policy = outside.config().policy();
        let reply = key0_core::purchase::nudge(&outside, outside.now(), &policy).await;
        sender.send(reply.map_err(|fault| fault.0));
    })
}

/// Handles a purchase's alarm.
pub(super) fn wake(world: &Rc<World>, object: &Rc<PurchaseObject>) {
    let outside = Outside::new(world, object);
    world.executor.spawn(object.owner(), async move {
        if let Err(fault) = outside.instance.memory.wake(&outside).await
            && outside.instance.life.alive.get()
        {
            outside.log("alarm_failed", &fault.0);
            let again = outside.world.now().plus(FAILED_ALARM);
            outside
                .object
                .alarm
                .set(&outside.world, &outside.object.owner(), Some(again));
        }
        outside
            .object
            .alarm
            .done(&outside.world, &outside.object.owner());
    });
}

/// The operator gives a purchase a command.
pub fn operate(world: &Rc<World>, object: &Rc<PurchaseObject>, command: OperatorCommand) {
    let outside = Outside::new(world, object);
    let policy = outside.config().policy();
    // When storage fails the operator comes back later.
    let reply = key0_core::purchase::operate(&outside, command, world.now(), &policy);
    world.trace(|| format!("{} the operator: {command:?} -> {reply:?}", object.id));
}
