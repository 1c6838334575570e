//! One purchase: the real `Driver` over the model's storage, chain and network.

mod outside;
mod passing;

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use alloy_primitives::B256;
use key0_core::backend::authentication::BackendCall;
use key0_core::chain::SignedAuthorization;
use key0_core::offer::CallDigest;
use key0_core::pauses::{FAILED_ALARM, Patience};
use key0_core::purchase::{
    Ask, AuditLine, Driver, OperatorCommand, PayReply, Purchase, PurchaseEnv, Sold, Versioned,
};
use key0_core::types::RequestId;

use self::outside::Outside;
pub use self::passing::Passed;
use super::{Alarm, Instance};
use crate::executor::TaskId;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::origin::Body;
use crate::rules::{self, Told};
use crate::world::{Owner, World};

/// A purchase's object.
#[derive(Debug)]
pub struct PurchaseObject {
    /// Its name.
    pub id: RequestId,
    /// The stored record.
    pub stored: RefCell<Option<Versioned>>,
    /// The body of an answer that is stored with the record.
    pub body: RefCell<Option<Body>>,
    /// The bodies of answers in its memory.
    pub bodies: RefCell<Vec<Body>>,
    /// For the rules: alive while the seller's API is called.
    pub calling: RefCell<Weak<()>>,
    /// For the rules: the answers that were passed on while they arrived, each under the number of its call.
    pub passed: RefCell<BTreeMap<u32, Passed>>,
    /// For the rules: whether a buyer heard that nothing was charged, since the purchase last began.
    pub was_denied: Cell<bool>,
    /// The history that is stored with the record.
    pub history: RefCell<Vec<AuditLine>>,
    /// Its alarm.
    pub alarm: Alarm,
    pub(super) instance: RefCell<Option<Rc<Instance<Driver>>>>,
    /// For the rules: every authorization that an attempt was made with.
    pub attempts: RefCell<Vec<B256>>,
    /// For the rules: whether the last attempt had failed before the money was found.
    pub had_failed: Cell<bool>,
    /// For the rules: when the last attempt began, in milliseconds.
    pub tried: Cell<u64>,
    /// For the rules: when the purchase was delivered, in milliseconds.
    pub delivered: Cell<Option<u64>>,
    /// For the rules: when the purchase ended without money.
    pub ended: Cell<Option<Ended>>,
    /// For the rules: whether the money was found after the end.
    pub was_late: Cell<bool>,
    /// For the rules: the first refund that was signed.
    pub refund: RefCell<Option<SignedAuthorization>>,
    /// For the rules: the first call to the backend.
    pub call: RefCell<Option<BackendCall>>,
    /// For the rules: what the backend is to be notified of, in order.
    pub news: RefCell<Vec<&'static str>>,
    /// For the rules: when a facilitator was last told to settle, in milliseconds, unless it has declined.
    pub told_to_settle: Cell<Option<u64>>,
    /// For the rules: the transactions that a facilitator has named since it was last told to settle.
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
            body: RefCell::default(),
            bodies: RefCell::default(),
            calling: RefCell::default(),
            passed: RefCell::default(),
            was_denied: Cell::new(false),
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

    /// Everything of it is removed.
    fn forget(&self) {
        self.stored.take();
        self.body.take();
        self.history.take();
        self.was_denied.take();
        self.attempts.take();
        self.had_failed.take();
        self.delivered.take();
        self.ended.take();
        self.was_late.take();
        self.refund.take();
        self.news.take();
        self.told_to_settle.take();
        self.claimed.take();
        self.sold.take();
        self.by_hand.take();
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
    brought: Option<CallDigest>,
    sender: Sender<Answer<PayReply>>,
) -> TaskId {
    let outside = Outside::new(world, &world.objects.purchase(id)).bringing(brought);
    // The reply to a question that does not wait may come without asking the chain. Then the reply must be true as of
    // the newest block at the time of the question.
    let looks_in = matches!(ask, Ask::Join(_)) && patience == Patience::NONE;
    let shown = match looks_in {
        true => Told::now(world),
        false => Told::default(),
    };
    world.executor.spawn(outside.object.owner(), async move {
        let reply = outside.instance.memory.ask(&outside, &ask, patience).await;
        rules::on_answer_elsewhere(&outside.world, &outside.object, outside.version, &reply);
        if let Ok(PayReply::Streaming { goods, .. }) = &reply {
            let number = goods.answer().map_or(0, |head| head.number);
            passing::begin(&outside.world, &outside.object, number);
        }
        if let Ok(reply) = &reply {
            rules::on_call_reply(&outside.world, &outside.object, reply);
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
