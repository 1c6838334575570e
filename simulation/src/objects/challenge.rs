//! One purchase: the real `Driver` over the model's storage, chain and network.

use core::cell::{Cell, RefCell};
use core::future::Future;
use std::rc::Rc;

use alloy_primitives::{Address, B256};
use key0_core::challenge::{
    Ask, AuditRow, CallFault, ChallengeEnv, ChallengeStore, Driver, Event, IssueFault, PayReply,
    Record, State, StoreFault, Versioned, apply, wake_at,
};
use key0_core::config::Config;
use key0_core::credential::remote::{IssueAnswer, IssueCall};
use key0_core::ledger::{LedgerCommand, LedgerEntry};
use key0_core::payment::SignedAuthorization;
use key0_core::payment::facilitator::FacilitatorCall;
use key0_core::payment::payer::{PayerCommand, PayerReply};
use key0_core::types::{RequestId, UnixMillis};
use key0_core::wallet::{WalletCommand, WalletReply};

use super::{Alarm, Instance, ask_ledger, ask_payer, ask_wallet, instance};
use crate::actors;
use crate::backend;
use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::{Answer, call};
use crate::oneshot::Sender;
use crate::rpc::Rpc;
use crate::rules;
use crate::world::{Owner, World};

/// When an alarm that failed is handled again.
const RETRY_MILLIS: u64 = 10_000;
const PAYER_DEADLINE_MILLIS: u64 = 5_000;
const LEDGER_DEADLINE_MILLIS: u64 = 5_000;
const WALLET_DEADLINE_MILLIS: u64 = 20_000;

/// A purchase's object.
#[derive(Debug)]
pub struct ChallengeObject {
    /// Its name.
    pub id: RequestId,
    /// What is stored.
    pub stored: RefCell<Option<Versioned>>,
    /// Its alarm.
    pub alarm: Alarm,
    pub(super) instance: RefCell<Option<Rc<Instance<Driver>>>>,
    /// For the rules: every authorization that an attempt was made with.
    pub attempts: RefCell<Vec<B256>>,
    /// For the rules: whether the last attempt had failed before the money was found.
    pub had_failed: Cell<bool>,
    /// For the rules: when it was delivered, in milliseconds.
    pub delivered: Cell<Option<u64>>,
    /// For the rules: when it came to an end without money.
    pub ended: Cell<Option<Ended>>,
    /// For the rules: whether the money was found after the end.
    pub was_late: Cell<bool>,
    /// For the rules: the first refund that was signed.
    pub refund: RefCell<Option<SignedAuthorization>>,
    /// For the rules: the first call to the backend.
    pub call: RefCell<Option<IssueCall>>,
}

/// When a purchase came to an end without money.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The newest block then.
    pub block: u64,
}

impl ChallengeObject {
    pub(super) fn new(id: RequestId) -> Self {
        Self {
            id,
            stored: RefCell::default(),
            alarm: Alarm::default(),
            instance: RefCell::default(),
            attempts: RefCell::default(),
            had_failed: Cell::new(false),
            delivered: Cell::new(None),
            ended: Cell::new(None),
            was_late: Cell::new(false),
            refund: RefCell::default(),
            call: RefCell::default(),
        }
    }

    /// The record.
    pub fn record(&self) -> Option<Record> {
        self.stored
            .borrow()
            .as_ref()
            .map(|stored| stored.record.clone())
    }

    fn owner(&self) -> Owner {
        Owner::Challenge(self.id.clone())
    }
}

/// Asks a purchase; its answer goes to `sender`.
pub fn ask(
    world: &Rc<World>,
    id: &RequestId,
    ask: Ask,
    sender: Sender<Answer<PayReply>>,
) -> TaskId {
    let outside = Outside::new(world, &world.objects.challenge(id));
    world.executor.spawn(outside.object.owner(), async move {
        let reply = outside.instance.memory.ask(&outside, &ask).await;
        if let Ok(reply) = &reply {
            rules::on_refusal(
                &outside.world,
                &outside.object,
                outside.rpc.told(),
                &ask,
                reply,
            );
        }
        sender.send(reply.map_err(|fault| fault.0));
    })
}

/// Handles a purchase's alarm.
pub(super) fn wake(world: &Rc<World>, object: &Rc<ChallengeObject>) {
    let outside = Outside::new(world, object);
    world.executor.spawn(object.owner(), async move {
        if let Err(fault) = outside.instance.memory.wake(&outside).await
            && outside.instance.life.alive.get()
        {
            outside.log("alarm_failed", &fault.0);
            let again = outside.world.now().plus(RETRY_MILLIS);
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

/// The operator retries a failed refund, as the worker's own endpoint does it.
pub fn retry_refund(world: &Rc<World>, object: &Rc<ChallengeObject>) {
    let outside = Outside::new(world, object);
    let Ok(Some(stored)) = outside.load() else {
        return;
    };
    let (now, policy) = (world.now(), world.config.policy());
    if let Ok(record) = apply(Some(&stored.record), Event::RefundRetried, now, &policy) {
        // When storage fails the operator comes back later.
        let _ = outside.commit(
            Some(stored.version),
            &record,
            None,
            wake_at(&record, now, &policy),
        );
    }
}

/// The purchase's outside world.
struct Outside {
    world: Rc<World>,
    object: Rc<ChallengeObject>,
    instance: Rc<Instance<Driver>>,
    rpc: Rpc,
}

impl Outside {
    fn new(world: &Rc<World>, object: &Rc<ChallengeObject>) -> Self {
        let instance = instance(&object.instance, object.owner());
        Self {
            world: Rc::clone(world),
            object: Rc::clone(object),
            rpc: Rpc::new(world, &instance.life),
            instance,
        }
    }

    /// Whether storage works now; a crash may happen here.
    fn storage(&self, place: &str) -> Result<(), StoreFault> {
        if self.world.is_over(&self.instance.life, place) {
            return Err(StoreFault("the object is gone".to_owned()));
        }
        if self.world.strikes(Fault::StoreError) {
            self.world
                .trace(|| format!("{} storage fails at {place}", self.object.id));
            return Err(StoreFault("storage fails".to_owned()));
        }
        Ok(())
    }
}

impl ChallengeStore for Outside {
    fn load(&self) -> Result<Option<Versioned>, StoreFault> {
        self.storage("load")?;
        Ok(self.object.stored.borrow().clone())
    }

    fn commit(
        &self,
        expected: Option<u64>,
        record: &Record,
        _audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> Result<bool, StoreFault> {
        self.storage("before commit")?;
        let before = self.object.stored.borrow().clone();
        if before.as_ref().map(|stored| stored.version) != expected {
            return Ok(false);
        }
        self.object.stored.replace(Some(Versioned {
            version: expected.unwrap_or_default() + 1,
            record: record.clone(),
        }));
        self.object
            .alarm
            .set(&self.world, &self.object.owner(), wake_at);
        let before = before.map(|stored| stored.record);
        rules::on_change(&self.world, &self.object, before.as_ref(), record);
        let told = self.rpc.told();
        rules::on_end_without_money(&self.world, &self.object, told, before.as_ref(), record);
        if let State::Expired {
            watch: Some(attempt),
        } = &record.state
            && before.is_some_and(|before| !matches!(before.state, State::Expired { .. }))
        {
            actors::on_given_up(&self.world, &attempt.authorization);
        }
        if self.world.is_over(&self.instance.life, "after commit") {
            return Err(StoreFault("the object is gone".to_owned()));
        }
        Ok(true)
    }
}

impl ChallengeEnv for Outside {
    type Store = Self;
    type Chain = Rpc;

    fn config(&self) -> &Config {
        &self.world.config
    }

    fn store(&self) -> &Self {
        self
    }

    fn chain(&self) -> &Rpc {
        &self.rpc
    }

    fn now(&self) -> UnixMillis {
        self.world.now()
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> {
        self.world.sleep(millis)
    }

    async fn payer(&self, payer: Address, command: PayerCommand) -> Result<PayerReply, CallFault> {
        let callee =
            move |world: &Rc<World>, sender| ask_payer(world, payer, command.clone(), sender);
        call(
            &self.world,
            &self.instance.life,
            "payer",
            PAYER_DEADLINE_MILLIS,
            callee,
        )
        .await
        .map_err(CallFault)
    }

    async fn wallet(
        &self,
        _sender: Address,
        command: WalletCommand,
    ) -> Result<WalletReply, CallFault> {
        let callee = move |world: &Rc<World>, sender| ask_wallet(world, command.clone(), sender);
        call(
            &self.world,
            &self.instance.life,
            "wallet",
            WALLET_DEADLINE_MILLIS,
            callee,
        )
        .await
        .map_err(CallFault)
    }

    async fn facilitator(&self, _call: FacilitatorCall<'_>) -> Result<Vec<u8>, CallFault> {
        Err(CallFault("this world has no facilitator".to_owned()))
    }

    async fn issue(&self, call: IssueCall) -> Result<IssueAnswer, IssueFault> {
        rules::on_issue(&self.world, &self.object, &call);
        backend::issue(&self.world, &self.instance.life, call).await
    }

    async fn ledger(&self, entry: LedgerEntry) -> Result<(), CallFault> {
        let command = LedgerCommand::Put(entry);
        let callee = move |world: &Rc<World>, sender| ask_ledger(world, command.clone(), sender);
        call(
            &self.world,
            &self.instance.life,
            "ledger",
            LEDGER_DEADLINE_MILLIS,
            callee,
        )
        .await
        .map(drop)
        .map_err(CallFault)
    }

    fn log(&self, event: &str, detail: &str) {
        self.world
            .trace(|| format!("{} {event}: {detail}", self.object.id));
    }
}
