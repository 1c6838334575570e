//! What the real `Driver` meets outside: the model's storage, chain and network.

use core::cell::RefCell;
use core::future::Future;
use std::rc::Rc;

use alloy_primitives::Address;
use key0_core::backend::authentication::{BackendAnswer, BackendCall};
use key0_core::book::{PayerCommand, PayerReply};
use key0_core::config::Config;
use key0_core::goods::{DeliveryFault, OriginFault};
use key0_core::ledger::{LedgerCommand, LedgerEntry};
use key0_core::meter::{MeterCommand, MeterReply};
use key0_core::offer::CallDigest;
use key0_core::purchase::{
    Arrived, AuditLine, AuditRow, Driver, History, OriginCall, Purchase, PurchaseEnv,
    PurchaseStore, Rest, Shared, Stage, State, StoreFault, Versioned,
};
use key0_core::settlement::facilitator::{FacilitatorAnswer, FacilitatorCall};
use key0_core::settlement::wallet::{WalletCommand, WalletReply};
use key0_core::types::{CallFault, RequestId, UnixMillis};

use super::PurchaseObject;
use crate::actors;
use crate::backend;
use crate::facilitator;
use crate::faults::Fault;
use crate::network::call;
use crate::objects::{Instance, ask_grant, ask_ledger, ask_payer, ask_wallet, instance};
use crate::origin::{self, Body};
use crate::rpc::Rpc;
use crate::rules;
use crate::setting::Version;
use crate::world::World;

const PAYER_DEADLINE_MILLIS: u64 = 5_000;
const GRANT_DEADLINE_MILLIS: u64 = 15_000;
const LEDGER_DEADLINE_MILLIS: u64 = 5_000;
const WALLET_DEADLINE_MILLIS: u64 = 20_000;

/// The purchase's outside world.
pub(super) struct Outside {
    pub(super) world: Rc<World>,
    pub(super) object: Rc<PurchaseObject>,
    pub(super) instance: Rc<Instance<Driver>>,
    pub(super) rpc: Rpc,
    /// A call keeps the settings that it began with.
    pub(super) version: Version,
    shared: Rc<Shared>,
    /// The call that the request brings along.
    brought: Option<CallDigest>,
    /// What becomes of the stored body with the next commit.
    staged: RefCell<Option<Option<Body>>>,
}

impl Outside {
    pub(super) fn new(world: &Rc<World>, object: &Rc<PurchaseObject>) -> Self {
        let instance = instance(&object.instance, object.owner());
        Self {
            world: Rc::clone(world),
            object: Rc::clone(object),
            rpc: Rpc::new(world, &instance.life),
            version: world.version(),
            shared: world.shared.borrow().clone(),
            instance,
            brought: None,
            staged: RefCell::default(),
        }
    }

    pub(super) fn bringing(self, brought: Option<CallDigest>) -> Self {
        Self { brought, ..self }
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

impl PurchaseStore for Outside {
    fn load(&self) -> Result<Option<Versioned>, StoreFault> {
        self.storage("load")?;
        Ok(self.object.stored.borrow().clone())
    }

    fn commit(
        &self,
        expected: Option<u64>,
        record: &Purchase,
        audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> Result<bool, StoreFault> {
        // What was written just before is part of this transaction.
        let staged = self.staged.take();
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
            .history
            .borrow_mut()
            .extend(audit.map(|row| AuditLine {
                at: row.at,
                event: row.event.to_owned(),
                status: row.status.to_owned(),
                transaction: row.transaction,
            }));
        self.object
            .alarm
            .set(&self.world, &self.object.owner(), wake_at);
        if let Some(body) = staged {
            self.object.body.replace(body);
        }
        let before = before.map(|stored| stored.record);
        rules::on_change(&self.world, &self.object, before.as_ref(), record);
        let told = self.rpc.told();
        rules::on_end_without_money(&self.world, &self.object, told, before.as_ref(), record);
        if record.rest == Rest::WithoutHistory {
            self.object.history.borrow_mut().clear();
        }
        let given_up = |record: &Purchase| match &record.state {
            State::RefundFailed { refund, .. } => Some(refund.broadcast.authorization.clone()),
            state => state
                .watch()
                .map(|attempt| attempt.broadcast.authorization.clone()),
        };
        if let Some(signed) = given_up(record)
            && before.is_some_and(|before| given_up(&before).is_none())
        {
            actors::on_given_up(&self.world, &signed);
        }
        if let State::Pending { attempt } = &record.state {
            match attempt.stage {
                Stage::Reserving => actors::on_attempt(&self.world, &self.object.id),
                Stage::Failed { .. } => actors::on_failure(&self.world, &self.object.id),
                _ => {}
            }
        }
        if self.world.is_over(&self.instance.life, "after commit") {
            return Err(StoreFault("the object is gone".to_owned()));
        }
        Ok(true)
    }

    async fn alarm(&self) -> Result<Option<UnixMillis>, StoreFault> {
        self.storage("alarm")?;
        Ok(self.object.alarm.at().map(UnixMillis))
    }

    fn set_alarm(&self, at: UnixMillis) -> Result<(), StoreFault> {
        self.storage("set alarm")?;
        let owner = self.object.owner();
        self.object.alarm.set(&self.world, &owner, Some(at));
        Ok(())
    }

    fn keep_answer(&self, number: u32) -> Result<bool, StoreFault> {
        self.storage("keep an answer")?;
        let bodies = self.object.bodies.borrow();
        let body = bodies.iter().rev().find(|body| body.number == number);
        self.staged.replace(body.cloned().map(Some));
        Ok(body.is_some())
    }

    fn remove_all(&self) -> Result<(), StoreFault> {
        self.storage("before it is removed")?;
        rules::on_removed(&self.world, &self.object);
        self.object.forget();
        let owner = self.object.owner();
        self.object.alarm.set(&self.world, &owner, None);
        self.storage("after it was removed")
    }

    fn remove_answer(&self) -> Result<(), StoreFault> {
        self.storage("remove an answer")?;
        self.staged.replace(Some(None));
        Ok(())
    }
}

impl History for Outside {
    fn history(&self) -> Result<Vec<AuditLine>, StoreFault> {
        self.storage("history")?;
        Ok(self.object.history.borrow().clone())
    }
}

impl PurchaseEnv for Outside {
    type Store = Self;
    type Chain = Rpc;

    fn config(&self) -> &Config {
        self.world.config_of(self.version)
    }

    fn store(&self) -> &Self {
        self
    }

    fn chain(&self) -> &Rpc {
        rules::on_call_elsewhere(&self.world, &self.object, self.version, "the chain");
        &self.rpc
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn now(&self) -> UnixMillis {
        self.world.now()
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> {
        self.world.sleep(millis)
    }

    async fn payer(&self, payer: Address, command: PayerCommand) -> Result<PayerReply, CallFault> {
        rules::on_call_elsewhere(&self.world, &self.object, self.version, "the book");
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

    async fn grant(
        &self,
        grant: &RequestId,
        command: &MeterCommand,
    ) -> Result<MeterReply, CallFault> {
        rules::on_call_elsewhere(&self.world, &self.object, self.version, "a grant");
        let (grant, command) = (grant.clone(), command.clone());
        let callee =
            move |world: &Rc<World>, sender| ask_grant(world, &grant, command.clone(), sender);
        call(
            &self.world,
            &self.instance.life,
            "grant",
            GRANT_DEADLINE_MILLIS,
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
        rules::on_call_elsewhere(&self.world, &self.object, self.version, "the wallet");
        let _alone = rules::on_effect(&self.world, &self.object, "wallet");
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

    async fn facilitator(&self, call: FacilitatorCall<'_>) -> Result<FacilitatorAnswer, CallFault> {
        rules::on_call_elsewhere(&self.world, &self.object, self.version, "a facilitator");
        let _alone = rules::on_effect(&self.world, &self.object, "facilitator");
        let Some(signed) = rules::on_facilitator(&self.world, &self.object, &call) else {
            return Err(CallFault("the facilitator is asked for nothing".to_owned()));
        };
        let answer = facilitator::ask(&self.world, &self.instance.life, call.action, signed).await;
        rules::on_facilitator_answer(&self.object, call.action, answer.as_deref().ok());
        answer
            .map(|body| FacilitatorAnswer { status: 200, body })
            .map_err(CallFault)
    }

    async fn backend(&self, call: BackendCall) -> Result<BackendAnswer, DeliveryFault> {
        rules::on_call_elsewhere(&self.world, &self.object, self.version, "the backend");
        // A notification may be sent while an effect is carried out: nothing waits for it.
        if backend::is_notice(&call) {
            return backend::ask(&self.world, &self.instance.life, call).await;
        }
        let _alone = rules::on_effect(&self.world, &self.object, "issue");
        rules::on_issue(&self.world, &self.object, &call);
        let answer = backend::ask(&self.world, &self.instance.life, call).await;
        if answer.as_ref().is_ok_and(BackendAnswer::is_success) {
            self.world.deliveries.reset();
        }
        answer
    }

    fn call(&self) -> Option<CallDigest> {
        self.brought
    }

    async fn origin(&self, call: OriginCall) -> Result<Arrived, OriginFault> {
        rules::on_call_elsewhere(&self.world, &self.object, self.version, "the API");
        let alone = rules::on_effect(&self.world, &self.object, "call");
        self.object.calling.replace(Rc::downgrade(&alone));
        let Some(what) = self.brought else {
            self.world.violation(
                "called_without_intent",
                &self.object.id,
                "nobody brought it",
            );
            return Err(OriginFault::Unreachable);
        };
        rules::on_call(&self.world, &self.object, &call, what);
        origin::ask(&self.world, &self.instance.life, &self.object, call, what).await
    }

    async fn ledger(&self, entry: LedgerEntry) -> Result<(), CallFault> {
        self.tell_ledger(LedgerCommand::Put(entry)).await
    }

    async fn unlist(&self, entry: LedgerEntry) -> Result<(), CallFault> {
        let request_id = entry.request_id;
        self.tell_ledger(LedgerCommand::Remove { request_id }).await
    }

    fn log(&self, event: &str, detail: &str) {
        self.world
            .trace(|| format!("{} {event}: {detail}", self.object.id));
    }
}

impl Outside {
    async fn tell_ledger(&self, command: LedgerCommand) -> Result<(), CallFault> {
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
}
