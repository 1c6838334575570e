//! One payer's book: the real `execute` over a transaction of the model's storage.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use std::collections::BTreeMap;
use std::rc::Rc;

use alloy_primitives::{Address, B256};
use key0_core::payment::payer::{
    Booking, PayerCommand, PayerReply, PayerStore, Reverts, TargetKey, execute,
};
use key0_core::types::RequestId;

use super::{Instance, instance};
use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::world::{Owner, World};

/// A payer's object.
#[derive(Debug)]
pub struct PayerObject {
    /// Whose.
    pub payer: Address,
    /// What is stored.
    pub book: RefCell<Book>,
    pub(super) instance: RefCell<Option<Rc<Instance<()>>>>,
}

impl PayerObject {
    pub(super) fn new(payer: Address) -> Self {
        Self {
            payer,
            book: RefCell::default(),
            instance: RefCell::default(),
        }
    }
}

/// The tables of a payer's book.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Each payment, for ever.
    pub bookings: RefCell<BTreeMap<B256, Booking>>,
    /// Each target's purchase that may still be charged.
    pub unresolved: RefCell<BTreeMap<TargetKey, (RequestId, u32)>>,
    /// The payment that each client's name was given to.
    pub names: RefCell<BTreeMap<B256, B256>>,
    /// Its transfers that reverted since the last one that succeeded.
    pub reverts: Cell<Reverts>,
}

impl PayerStore for Book {
    type Error = Infallible;

    fn booking(&self, nonce: B256) -> Result<Option<Booking>, Infallible> {
        Ok(self.bookings.borrow().get(&nonce).cloned())
    }

    fn book(&self, nonce: B256, booking: &Booking) -> Result<(), Infallible> {
        // As the edge's SQL: who presented it first stays.
        let mut bookings = self.bookings.borrow_mut();
        bookings
            .entry(nonce)
            .and_modify(|known| {
                known.owner = booking.owner.clone();
                known.attempt = booking.attempt;
            })
            .or_insert_with(|| booking.clone());
        Ok(())
    }

    fn identified(&self, identifier: B256) -> Result<Option<B256>, Infallible> {
        Ok(self.names.borrow().get(&identifier).copied())
    }

    fn identify(&self, identifier: B256, nonce: B256) -> Result<(), Infallible> {
        self.names.borrow_mut().entry(identifier).or_insert(nonce);
        Ok(())
    }

    fn unresolved(&self, target: &TargetKey) -> Result<Option<RequestId>, Infallible> {
        let unresolved = self.unresolved.borrow();
        Ok(unresolved
            .get(target)
            .map(|(request_id, _)| request_id.clone()))
    }

    fn open(
        &self,
        target: &TargetKey,
        request_id: &RequestId,
        attempt: u32,
    ) -> Result<(), Infallible> {
        let holder = (request_id.clone(), attempt);
        self.unresolved.borrow_mut().insert(target.clone(), holder);
        Ok(())
    }

    fn close(
        &self,
        target: &TargetKey,
        request_id: &RequestId,
        attempt: u32,
    ) -> Result<bool, Infallible> {
        let mut unresolved = self.unresolved.borrow_mut();
        let holds = |(holder, held): &(RequestId, u32)| holder == request_id && *held <= attempt;
        let held = unresolved.get(target).is_some_and(holds);
        if held {
            unresolved.remove(target);
        }
        Ok(held)
    }

    fn reverts(&self) -> Result<Reverts, Infallible> {
        Ok(self.reverts.get())
    }

    fn set_reverts(&self, reverts: Reverts) -> Result<(), Infallible> {
        self.reverts.set(reverts);
        Ok(())
    }
}

/// Asks a payer's book; its answer goes to `sender`.
pub fn ask(
    world: &Rc<World>,
    payer: Address,
    command: PayerCommand,
    sender: Sender<Answer<PayerReply>>,
) -> TaskId {
    let object = world.objects.payer(payer);
    let instance = instance(&object.instance, Owner::Payer(payer));
    let task = Rc::clone(world);
    world.executor.spawn(Owner::Payer(payer), async move {
        let world = task;
        world.survive(&instance.life, "payer before").await;
        if world.strikes(Fault::StoreError) {
            return sender.send(Err("storage fails".to_owned()));
        }
        let book = object.book.borrow().clone();
        let Ok(reply) = execute(&book, &command, world.now());
        world.trace(|| format!("payer {payer}: {command:?} -> {reply:?}"));
        object.book.replace(book);
        world.survive(&instance.life, "payer after").await;
        sender.send(Ok(reply));
    })
}
