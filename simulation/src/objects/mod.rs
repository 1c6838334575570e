//! The Durable Objects of the model: storage that survives, memory that does not, alarms that fire at least once.

mod alarm;
mod context;
mod grant;
mod ledger;
mod payer;
mod purchase;
mod wallet;

pub use alarm::Alarm;
pub use context::{ContextObject, Tasks, ask as ask_context};
pub use grant::{GrantObject, ask as ask_grant};
pub use ledger::{LedgerObject, ask as ask_ledger};
pub use payer::{Book, PayerObject, ask as ask_payer};
pub use purchase::{Ended, Passed, PurchaseObject, ask, nudge, operate};
pub use wallet::{WalletObject, ask as ask_wallet};

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use alloy_primitives::Address;
use key0_core::doors::a2a::ContextKey;
use key0_core::types::RequestId;

use crate::world::{Life, Owner, World};

/// What an object keeps in memory during one life.
#[derive(Debug)]
pub struct Instance<M> {
    /// The life.
    pub life: Rc<Life>,
    /// What is in memory. It is lost when the life ends.
    pub memory: M,
}

/// The instance of an object, made when it is needed.
fn instance<M: Default>(slot: &RefCell<Option<Rc<Instance<M>>>>, owner: Owner) -> Rc<Instance<M>> {
    let mut slot = slot.borrow_mut();
    Rc::clone(slot.get_or_insert_with(|| {
        Rc::new(Instance {
            life: Life::new(owner),
            memory: M::default(),
        })
    }))
}

fn end<M>(slot: &RefCell<Option<Rc<Instance<M>>>>) {
    if let Some(instance) = slot.take() {
        instance.life.alive.set(false);
    }
}

/// All objects.
#[derive(Debug, Default)]
pub struct Objects {
    purchases: RefCell<BTreeMap<RequestId, Rc<PurchaseObject>>>,
    payers: RefCell<BTreeMap<Address, Rc<PayerObject>>>,
    grants: RefCell<BTreeMap<RequestId, Rc<GrantObject>>>,
    contexts: RefCell<BTreeMap<String, Rc<ContextObject>>>,
    /// The gas wallet.
    pub wallet: Rc<WalletObject>,
    /// The ledger.
    pub ledger: LedgerObject,
}

impl Objects {
    /// The purchase of this id.
    pub fn purchase(&self, id: &RequestId) -> Rc<PurchaseObject> {
        let mut purchases = self.purchases.borrow_mut();
        let object = purchases
            .entry(id.clone())
            .or_insert_with(|| Rc::new(PurchaseObject::new(id.clone())));
        Rc::clone(object)
    }

    /// The book of this payer.
    pub fn payer(&self, payer: Address) -> Rc<PayerObject> {
        let mut payers = self.payers.borrow_mut();
        let object = payers
            .entry(payer)
            .or_insert_with(|| Rc::new(PayerObject::new(payer)));
        Rc::clone(object)
    }

    /// The meter of this grant.
    pub fn grant(&self, id: &RequestId) -> Rc<GrantObject> {
        let mut grants = self.grants.borrow_mut();
        let object = grants
            .entry(id.clone())
            .or_insert_with(|| Rc::new(GrantObject::new(id.clone())));
        Rc::clone(object)
    }

    /// All grants with a meter.
    pub fn grants(&self) -> Vec<Rc<GrantObject>> {
        self.grants.borrow().values().map(Rc::clone).collect()
    }

    /// The tasks of this conversation.
    pub fn context(&self, key: ContextKey) -> Rc<ContextObject> {
        let mut contexts = self.contexts.borrow_mut();
        let object = contexts
            .entry(key.name())
            .or_insert_with(|| Rc::new(ContextObject::new(key)));
        Rc::clone(object)
    }

    /// All conversations.
    pub fn contexts(&self) -> Vec<Rc<ContextObject>> {
        self.contexts.borrow().values().map(Rc::clone).collect()
    }

    /// All purchases.
    pub fn purchases(&self) -> Vec<Rc<PurchaseObject>> {
        self.purchases.borrow().values().map(Rc::clone).collect()
    }

    /// All books.
    pub fn payers(&self) -> Vec<Rc<PayerObject>> {
        self.payers.borrow().values().map(Rc::clone).collect()
    }

    /// Everybody who can crash.
    pub fn owners(&self) -> Vec<Owner> {
        let purchases = self
            .purchases
            .borrow()
            .keys()
            .cloned()
            .map(Owner::Purchase)
            .collect::<Vec<_>>();
        let payers = self
            .payers
            .borrow()
            .keys()
            .copied()
            .map(Owner::Payer)
            .collect::<Vec<_>>();
        let grants = self.grants();
        let grants = grants.iter().map(|object| Owner::Grant(object.id.clone()));
        let contexts = self.contexts();
        let contexts = contexts.iter().map(|object| Owner::Context(object.key));
        [
            purchases,
            payers,
            grants.collect(),
            contexts.collect(),
            vec![Owner::Wallet],
        ]
        .concat()
    }

    /// Ends an object's life. Its storage stays; an alarm that was being handled fires again.
    pub fn crash(&self, world: &Rc<World>, owner: &Owner) {
        match owner {
            Owner::Purchase(id) => {
                let object = self.purchase(id);
                end(&object.instance);
                object.bodies.borrow_mut().clear();
                object.alarm.crashed(world, owner);
            }
            Owner::Payer(payer) => end(&self.payer(*payer).instance),
            Owner::Grant(id) => end(&self.grant(id).instance),
            Owner::Wallet => {
                end(&self.wallet.instance);
                self.wallet.alarm.crashed(world, owner);
            }
            Owner::Context(key) => {
                let object = self.context(*key);
                end(&object.instance);
                object.alarm.crashed(world, owner);
            }
            Owner::World | Owner::Door => {}
        }
    }
}
