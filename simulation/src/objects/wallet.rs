//! The gas wallet: the real `GasWallet` over the model's storage and chain.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use key0_core::types::{Network, UnixMillis};
use key0_core::wallet::{
    GasWallet, JobKey, Sent, WalletCommand, WalletEnv, WalletFault, WalletKey, WalletReply,
    WalletStore,
};

use super::{Alarm, Instance, instance};
use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::Answer;
use crate::oneshot::Sender;
use crate::rpc::Rpc;
use crate::rules;
use crate::world::{Owner, World};

/// When an alarm that failed is handled again.
const RETRY_MILLIS: u64 = 10_000;

/// The gas wallet's object.
#[derive(Debug, Default)]
pub struct WalletObject {
    /// The jobs.
    pub jobs: RefCell<BTreeMap<JobKey, Sent>>,
    /// The next nonce.
    pub next_nonce: Cell<Option<u64>>,
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
            let again = outside.world.now().plus(RETRY_MILLIS);
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
    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault> {
        self.storage("job")?;
        Ok(self.object().jobs.borrow().get(key).cloned())
    }

    fn open_jobs(&self, limit: usize) -> Result<Vec<Sent>, WalletFault> {
        self.storage("open jobs")?;
        let jobs = self.object().jobs.borrow();
        let mut open: Vec<Sent> = jobs.values().filter(|job| !job.done).cloned().collect();
        open.sort_by_key(Sent::first_nonce);
        open.truncate(limit);
        Ok(open)
    }

    fn next_nonce(&self) -> Result<Option<u64>, WalletFault> {
        self.storage("next nonce")?;
        Ok(self.object().next_nonce.get())
    }

    fn put(
        &self,
        sent: &Sent,
        next_nonce: Option<u64>,
        wake_at: UnixMillis,
    ) -> Result<(), WalletFault> {
        self.storage("before put")?;
        rules::on_job(&self.world, self.object(), sent);
        self.object()
            .jobs
            .borrow_mut()
            .insert(sent.key.clone(), sent.clone());
        if next_nonce.is_some() {
            self.object().next_nonce.set(next_nonce);
        }
        self.object()
            .alarm
            .set(&self.world, &Owner::Wallet, Some(wake_at));
        if self.world.is_over(&self.instance.life, "after put") {
            return Err(WalletFault("the object is gone".to_owned()));
        }
        Ok(())
    }

    fn wake_at(&self, at: UnixMillis) -> Result<(), WalletFault> {
        self.storage("wake at")?;
        self.object()
            .alarm
            .set(&self.world, &Owner::Wallet, Some(at));
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
