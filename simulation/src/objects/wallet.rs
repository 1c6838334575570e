//! The gas wallet: the real `GasWallet` over the model's storage and chain.

use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use alloy_primitives::B256;
use key0_core::pauses::FAILED_ALARM;
use key0_core::settlement::wallet::{
    Change, GasWallet, JobKey, Sent, WalletCommand, WalletEnv, WalletFault, WalletReply,
    WalletStore,
};
use key0_core::types::WalletKey;
use key0_core::types::{Network, UnixMillis};

use super::{Alarm, Instance, instance};
use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::rpc::Rpc;
use crate::rules;
use crate::world::{Owner, World};

/// The gas wallet's object.
#[derive(Debug, Default)]
pub struct WalletObject {
    /// All jobs so far, each as it was last stored. Of finished jobs the wallet itself keeps only the hashes.
    pub jobs: RefCell<BTreeMap<JobKey, Sent>>,
    /// The finished jobs.
    pub done: RefCell<BTreeSet<JobKey>>,
    /// The lowest nonce that may be given out.
    pub floor: Cell<Option<u64>>,
    /// Its alarm.
    pub alarm: Alarm,
    pub(super) instance: RefCell<Option<Rc<Instance<GasWallet>>>>,
}

/// Asks the wallet; its answer goes to `sender`.
pub fn ask(
    world: &Rc<World>,
    command: WalletCommand,
    sender: Sender<Answer<WalletReply>>,
) -> TaskId {
    let outside = Outside::new(world);
    world.executor.spawn(Owner::Wallet, async move {
        let reply = outside.instance.memory.execute(&outside, command).await;
        sender.send(reply.map_err(|fault| fault.0));
    })
}

/// Handles the wallet's alarm.
pub(super) fn wake(world: &Rc<World>) {
    let outside = Outside::new(world);
    world.executor.spawn(Owner::Wallet, async move {
        if let Err(fault) = outside.instance.memory.wake(&outside).await
            && outside.instance.life.alive.get()
        {
            outside.log("alarm_failed", &fault.0);
            let again = outside.world.now().plus(FAILED_ALARM);
            outside
                .object()
                .alarm
                .set(&outside.world, &Owner::Wallet, Some(again));
        }
        outside.object().alarm.done(&outside.world, &Owner::Wallet);
    });
}

/// The wallet's outside world.
struct Outside {
    world: Rc<World>,
    instance: Rc<Instance<GasWallet>>,
    rpc: Rpc,
}

impl Outside {
    fn new(world: &Rc<World>) -> Self {
        let instance = instance(&world.objects.wallet.instance, Owner::Wallet);
        Self {
            world: Rc::clone(world),
            rpc: Rpc::new(world, &instance.life),
            instance,
        }
    }

    fn object(&self) -> &WalletObject {
        &self.world.objects.wallet
    }

    fn storage(&self, place: &str) -> Result<(), WalletFault> {
        if self.world.is_over(&self.instance.life, place) {
            return Err(WalletFault("the object is gone".to_owned()));
        }
        if self.world.strikes(Fault::StoreError) {
            self.world
                .trace(|| format!("wallet storage fails at {place}"));
            return Err(WalletFault("storage fails".to_owned()));
        }
        Ok(())
    }
}

impl WalletStore for Outside {
    fn hashes(&self, key: &JobKey) -> Result<Option<Vec<B256>>, WalletFault> {
        self.storage("hashes")?;
        Ok(self.object().jobs.borrow().get(key).map(Sent::hashes))
    }

    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault> {
        self.storage("job")?;
        let is_open = !self.object().done.borrow().contains(key);
        let jobs = self.object().jobs.borrow();
        Ok(jobs.get(key).filter(|_| is_open).cloned())
    }

    fn open_jobs(&self, after: Option<&JobKey>, limit: usize) -> Result<Vec<Sent>, WalletFault> {
        self.storage("open jobs")?;
        let done = self.object().done.borrow();
        let jobs = self.object().jobs.borrow();
        let open = jobs.values().filter(|sent| !done.contains(&sent.key));
        let open = open.filter(|sent| Some(&sent.key) > after);
        Ok(open.take(limit).cloned().collect())
    }

    fn floor(&self) -> Result<Option<u64>, WalletFault> {
        self.storage("floor")?;
        Ok(self.object().floor.get())
    }

    fn write(&self, change: &Change<'_>) -> Result<(), WalletFault> {
        self.storage("before write")?;
        let object = self.object();
        if let Some(sent) = change.put {
            rules::on_job(&self.world, object, sent);
            let mut jobs = object.jobs.borrow_mut();
            jobs.insert(sent.key.clone(), sent.clone());
        }
        if let Some(sent) = change.close {
            rules::on_job_done(&self.world, sent);
            object.done.borrow_mut().insert(sent.key.clone());
        }
        object.floor.set(change.floor.or(object.floor.get()));
        if change.wake_at.is_some() {
            object
                .alarm
                .set(&self.world, &Owner::Wallet, change.wake_at);
        }
        if self.world.is_over(&self.instance.life, "after write") {
            return Err(WalletFault("the object is gone".to_owned()));
        }
        Ok(())
    }

    /// Finished jobs are kept for longer than a run of the model lasts.
    fn forget(&self, _: UnixMillis, _: usize) -> Result<usize, WalletFault> {
        self.storage("forget").map(|()| 0)
    }

    fn wake_at(&self, at: Option<UnixMillis>) -> Result<(), WalletFault> {
        self.storage("wake at")?;
        self.object().alarm.set(&self.world, &Owner::Wallet, at);
        Ok(())
    }
}

impl WalletEnv for Outside {
    type Store = Self;
    type Chain = Rpc;

    fn store(&self) -> &Self {
        self
    }

    fn chain(&self) -> &Rpc {
        &self.rpc
    }

    fn now(&self) -> UnixMillis {
        self.world.now()
    }

    fn key(&self) -> &WalletKey {
        &self.world.wallet
    }

    fn network(&self) -> Network {
        self.world.config.network
    }

    fn log(&self, event: &str, detail: &str) {
        self.world.trace(|| format!("wallet {event}: {detail}"));
    }
}
