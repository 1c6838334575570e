//! One payer's book: the real `execute` over a transaction of the model's storage.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use std::collections::BTreeMap;
use std::rc::Rc;

use alloy_primitives::{Address, B256};
use key0_core::book::{
    BOUND_MILLIS, Booking, BoughtGrant, HOLD_MILLIS, LISTED_SECONDS, MAX_FOUND, NO_ATTEMPT, Open,
    PayerCommand, PayerReply, PayerStore, RECENT_MILLIS, Recent, Standing, TargetKey, UnderWay,
    execute,
};
use key0_core::types::{RequestId, UnixMillis, UnixSeconds};

use super::{Instance, instance};
use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::rules;
use crate::world::{Owner, World};

/// A payer's object.
#[derive(Debug)]
pub struct PayerObject {
    /// The payer.
    pub payer: Address,
    /// The stored book.
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
    /// Each payment, and when it was booked.
    pub bookings: RefCell<BTreeMap<B256, (Booking, UnixMillis)>>,
    /// Each purchase under way.
    pub open: RefCell<BTreeMap<RequestId, Open>>,
    /// What was delivered lately, and when.
    pub recent: RefCell<BTreeMap<RequestId, (UnixMillis, Recent)>>,
    /// The payment that each client's name was given to.
    pub names: RefCell<BTreeMap<B256, B256>>,
    /// The grants whose calls are counted.
    pub grants: RefCell<BTreeMap<RequestId, BoughtGrant>>,
    /// The nonces that the payer has signed, and until when they are remembered.
    pub used: RefCell<BTreeMap<String, UnixSeconds>>,
    /// The standing that the payer has earned by its transfers.
    pub standing: Cell<Standing>,
}

impl PayerStore for Book {
    type Error = Infallible;

    fn booking(&self, nonce: B256) -> Result<Option<Booking>, Infallible> {
        let bookings = self.bookings.borrow();
        Ok(bookings.get(&nonce).map(|(booking, _)| booking.clone()))
    }

    fn book(&self, nonce: B256, booking: &Booking, now: UnixMillis) -> Result<(), Infallible> {
        let row = (booking.clone(), now);
        self.bookings.borrow_mut().insert(nonce, row);
        Ok(())
    }

    fn identified(&self, identifier: B256) -> Result<Option<B256>, Infallible> {
        Ok(self.names.borrow().get(&identifier).copied())
    }

    fn identify(&self, identifier: B256, nonce: B256) -> Result<(), Infallible> {
        self.names.borrow_mut().entry(identifier).or_insert(nonce);
        Ok(())
    }

    fn unidentify(&self, identifier: B256) -> Result<(), Infallible> {
        self.names.borrow_mut().remove(&identifier);
        Ok(())
    }
    fn unbook(&self, nonce: B256) -> Result<(), Infallible> {
        self.bookings.borrow_mut().remove(&nonce);
        Ok(())
    }
    fn opened(&self, request_id: &RequestId) -> Result<Option<Open>, Infallible> {
        Ok(self.open.borrow().get(request_id).cloned())
    }

    fn holder(
        &self,
        target: &TargetKey,
        other_than: &RequestId,
    ) -> Result<Option<Open>, Infallible> {
        let open = self.open.borrow();
        let mut others: Vec<&Open> = open
            .values()
            .filter(|open| open.target == *target && open.request_id != *other_than)
            .collect();
        others.sort_by_key(|open| (open.held == NO_ATTEMPT, open.at));
        Ok(others.first().copied().cloned())
    }

    fn under_way(&self, except: &RequestId, since: UnixMillis) -> Result<UnderWay, Infallible> {
        let open = self.open.borrow();
        let open = open.values().filter(|open| open.request_id != *except);
        let mut sum = open.fold(UnderWay::default(), |sum, open| UnderWay {
            purchases: sum.purchases + u32::from(open.amount.units() > 0),
            amount: sum.amount + open.amount.units(),
        });
        let recent = self.recent.borrow();
        let recent = recent.values().filter(|(at, _)| *at >= since);
        sum.amount += recent.map(|(_, recent)| recent.amount.units()).sum::<u64>();
        Ok(sum)
    }

    fn open(&self, open: &Open) -> Result<(), Infallible> {
        let row = (open.request_id.clone(), open.clone());
        self.open.borrow_mut().extend([row]);
        Ok(())
    }

    fn close(&self, request_id: &RequestId) -> Result<(), Infallible> {
        self.open.borrow_mut().remove(request_id);
        Ok(())
    }

    fn recent(
        &self,
        target: &TargetKey,
        after: UnixMillis,
    ) -> Result<Option<RequestId>, Infallible> {
        let recent = self.recent.borrow();
        let its = recent
            .values()
            .filter(|(at, recent)| *at > after && recent.target == *target);
        let newest = its.max_by_key(|(at, _)| *at);
        Ok(newest.map(|(_, recent)| recent.request_id.clone()))
    }

    fn delivered(&self, recent: &Recent, now: UnixMillis) -> Result<(), Infallible> {
        let mut all = self.recent.borrow_mut();
        all.retain(|_, (at, _)| at.plus(RECENT_MILLIS) > now);
        all.insert(recent.request_id.clone(), (now, recent.clone()));
        Ok(())
    }

    fn forget(&self, now: UnixMillis) -> Result<(), Infallible> {
        let is_held = |open: &Open| open.held != NO_ATTEMPT || open.at.plus(HOLD_MILLIS) > now;
        self.open.borrow_mut().retain(|_, open| is_held(open));
        // (The model never reaches the limit at which the oldest bookings are forgotten.)
        self.bookings.borrow_mut().retain(|_, (booking, at)| {
            booking.attempt != NO_ATTEMPT || at.plus(BOUND_MILLIS) > now
        });
        Ok(())
    }

    fn forget_stranger(&self) -> Result<(), Infallible> {
        let mut bookings = self.bookings.borrow_mut();
        let mut attempts = bookings.values().map(|(booking, _)| booking.attempt);
        if self.open.borrow().is_empty() && attempts.all(|attempt| attempt == NO_ATTEMPT) {
            bookings.clear();
        }
        Ok(())
    }

    fn add_grant(&self, grant: &BoughtGrant, now: UnixSeconds) -> Result<(), Infallible> {
        let mut grants = self.grants.borrow_mut();
        grants.retain(|_, grant| grant.ends_at.plus(LISTED_SECONDS) > now);
        let row = grants
            .entry(grant.id.clone())
            .or_insert_with(|| grant.clone());
        row.ends_at = row.ends_at.max(grant.ends_at);
        Ok(())
    }
    fn grants(&self, since: UnixSeconds) -> Result<(Vec<BoughtGrant>, usize), Infallible> {
        let grants = self.grants.borrow();
        let mut all: Vec<_> = grants
            .values()
            .filter(|grant| grant.ends_at > since)
            .cloned()
            .collect();
        all.sort_by_key(|grant| core::cmp::Reverse(grant.ends_at));
        let count = all.len();
        all.truncate(MAX_FOUND);
        Ok((all, count))
    }
    fn grant(&self, id: &RequestId) -> Result<Option<BoughtGrant>, Infallible> {
        Ok(self.grants.borrow().get(id).cloned())
    }
    fn use_nonce(
        &self,
        nonce: &str,
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<bool, Infallible> {
        let mut used = self.used.borrow_mut();
        used.retain(|_, until| *until > now);
        Ok(used.insert(nonce.to_owned(), until).is_none())
    }

    fn standing(&self) -> Result<Standing, Infallible> {
        Ok(self.standing.get())
    }

    fn set_standing(&self, standing: Standing) -> Result<(), Infallible> {
        self.standing.set(standing);
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
        let before = object.book.borrow().clone();
        let book = before.clone();
        let Ok(reply) = execute(&book, &command, world.now());
        world.trace(|| format!("payer {payer}: {command:?} -> {reply:?}"));
        rules::on_book(&world, payer, &command, &reply, &before, &book);
        object.book.replace(book);
        world.survive(&instance.life, "payer after").await;
        sender.send(Ok(reply));
    })
}
