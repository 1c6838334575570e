//! `GrantObject`, one per grant with a meter, named by the request id of the purchase that founded it: the count of its calls.
//!
//! Stored: `meter` (one row, as JSON: what was sold, the units of the calls that were answered, what is lent to backends, and
//! a revocation), `additions` (what came of each purchase that adds to the grant), and `consumed` (the calls that a backend
//! has named, with the replies, for ten minutes). The first row is made at the grant's first call, or when it is first asked
//! for, after the founding purchase was asked once what it has sold; for what is no delivered purchase with
//! limits, nothing is stored. The row is written after every 20 counted calls, at most 5 seconds after the first one that is not
//! written, and before a caller hears that nothing is left; what a backend has said is written before it hears the reply. An
//! alarm removes everything 35 days after the grant's end. A revocation is written with the intent to report it, before
//! anybody hears of it; the alarm repeats the report to the list of revoked grants until it is heard.
//!
//! Calls: (grant, `MeterCommand`) → `MeterReply`.
//!
//! An addition is one transaction with the row, and its reply is stored, so a repeated message gets the same reply and adds
//! nothing. A withdrawal is stored also when nothing was added: the message that adds may come late.
//!
//! Why no interleaving breaks it: a command runs on the memory without waiting for anything. Only the question to the purchase
//! waits, and no other request enters meanwhile. What memory alone knows are reservations, which end by themselves, and at
//! most 20 counted calls: a crash takes nothing from the buyer. A call that a backend has named is counted in the
//! transaction that stores its reply. The platform gives up an object after ten seconds without a
//! request; so a timer runs for as long as memory knows what storage does not.

mod consumed;

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use key0_core::json;
use key0_core::meter::{
    Addition, GrantStore, Granted, ListCommand, MOST_UNWRITTEN, Meter, MeterCommand, MeterReply,
    Refused, Revoked, Stored, UNWRITTEN_MILLIS, Why, extend, listed, withdraw,
};
use key0_core::pauses::{FAILED_ALARM, SLEEP};
use key0_core::types::{CallFault, RequestId, UnixMillis};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{Objects, alarm_failed, command, reply};
use crate::platform;
use crate::tables::{Schema, Tables};

const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE meter (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        body TEXT NOT NULL
    ) STRICT",
    "CREATE TABLE additions (
        purchase TEXT PRIMARY KEY,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID",
    consumed::TABLE,
]]);

#[durable_object(alarm)]
pub struct GrantObject {
    state: State,
    keeper: AssertUnwindSafe<Rc<Keeper>>,
}

/// The meter, and where it is written.
struct Keeper {
    env: Env,
    tables: Tables,
    /// `None` until the first command, and for what is no grant.
    meter: RefCell<Option<Meter>>,
    /// When the timer last ran that writes what is counted, and keeps the object alive.
    timer_ran: Cell<UnixMillis>,
}

impl DurableObject for GrantObject {
    fn new(state: State, env: Env) -> Self {
        let keeper = Keeper {
            env,
            tables: Tables::new(&state, &SCHEMA),
            meter: RefCell::new(None),
            timer_ran: Cell::new(UnixMillis(0)),
        };
        Self {
            state,
            keeper: AssertUnwindSafe(Rc::new(keeper)),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let (grant, command): (String, MeterCommand) = command(&mut request).await?;
        reply("grant", self.execute(&grant, &command).await)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.keeper.tables.rang();
        match self.keeper.on_alarm().await {
            Ok(()) => Response::empty(),
            Err(fault) => alarm_failed("grant", &self.keeper.tables, &fault.to_string()),
        }
    }
}

impl GrantObject {
    async fn execute(&self, grant: &str, command: &MeterCommand) -> worker::Result<MeterReply> {
        let keeper = &self.keeper;
        let is_known = keeper.load()?;
        if !is_known {
            if let MeterCommand::Tell(_) = command {
                return Ok(MeterReply::Heard);
            }
            let (keeper, grant) = (Rc::clone(keeper), grant.to_owned());
            // An error of what is given to `block_concurrency_while` itself would reset the object.
            let founding = async move { Ok(founded(&keeper, &grant).await) };
            if !self.state.block_concurrency_while(founding).await?? {
                return Ok(match command {
                    MeterCommand::Withdraw { .. } => MeterReply::Withdrawn,
                    _ => MeterReply::NotGranted,
                });
            }
        }
        let reply = keeper.execute(grant, command);
        if let (MeterCommand::Revoke(_), Ok(_)) = (command, &reply) {
            // The alarm is set, and reports if this does not.
            if let Err(fault) = keeper.report().await {
                platform::log(
                    "revocation_not_listed",
                    json!({"detail": fault.to_string()}),
                );
            }
        }
        // A timer that the platform has ended is overdue.
        let now = platform::now();
        let is_timed = now.since(keeper.timer_ran.get()) < 2 * UNWRITTEN_MILLIS;
        if !is_timed && keeper.is_needed(now) {
            keeper.timer_ran.set(now);
            let keeper = Rc::clone(keeper);
            self.state
                .wait_until(async move { keeper.run_timer().await });
        }
        reply
    }
}

/// Asks the founding purchase what it has sold, and stores that. Returns whether that is counted.
async fn founded(keeper: &Keeper, grant: &str) -> worker::Result<bool> {
    // Another request may have founded it meanwhile.
    if keeper.load()? {
        return Ok(true);
    }
    let Ok(request_id) = grant.parse::<RequestId>() else {
        return Ok(false);
    };
    match Objects::new(&keeper.env).granted(&request_id).await {
        Ok(Some(granted)) => keeper.found(granted).map(|()| true),
        Ok(None) => Ok(false),
        Err(CallFault(fault)) => Err(fault.into()),
    }
}

impl Keeper {
    /// Reads what is stored, if memory does not know it. Returns whether there is a meter.
    fn load(&self) -> worker::Result<bool> {
        if self.meter.borrow().is_none() {
            let stored: Option<Stored> = self.tables.body("SELECT body FROM meter", vec![])?;
            let meter = stored.map(meter_of).transpose()?;
            self.meter.replace(meter);
        }
        Ok(self.meter.borrow().is_some())
    }

    fn found(&self, granted: Granted) -> worker::Result<()> {
        let stored = Stored::new(granted);
        self.tables.transaction(|| {
            self.put_meter(&stored)?;
            self.set_alarm(&stored)
        })?;
        self.meter.replace(Some(meter_of(stored)?));
        Ok(())
    }

    /// Writes what is counted, for as long as memory knows what storage does not.
    async fn run_timer(&self) {
        loop {
            platform::sleep(UNWRITTEN_MILLIS).await;
            self.write_or_log();
            let now = platform::now();
            if !self.is_needed(now) {
                self.timer_ran.set(UnixMillis(0));
                return;
            }
            self.timer_ran.set(now);
        }
    }

    /// Whether memory knows what storage does not.
    fn is_needed(&self, now: UnixMillis) -> bool {
        let mut meter = self.meter.borrow_mut();
        let meter = meter.as_mut();
        meter.is_some_and(|meter| meter.unwritten().is_some() || meter.is_busy(now))
    }

    fn execute(&self, grant: &str, command: &MeterCommand) -> worker::Result<MeterReply> {
        let now = platform::now();
        match command {
            MeterCommand::Reserve(ask) => {
                // A storage that takes no writes must not make the seller lose more calls.
                self.write_full()?;
                let reserved = self.with(|meter| meter.reserve(ask, now))?;
                Ok(match reserved {
                    Ok(pass) => MeterReply::Reserved(pass),
                    Err(refused) => {
                        if let Refused {
                            why: Why::UsedUp, ..
                        } = refused
                        {
                            self.write()?;
                        }
                        MeterReply::Refused(refused)
                    }
                })
            }
            MeterCommand::Look => Ok(MeterReply::Stands(self.with(|meter| meter.look(now))?)),
            MeterCommand::Revoke(by) => {
                self.revoke(grant, Revoked { by: *by, at: now })?;
                Ok(MeterReply::Stands(self.with(|meter| meter.look(now))?))
            }
            MeterCommand::Tell(told) => {
                self.with(|meter| meter.tell(told, now))?;
                if let Err(fault) = self.write_full() {
                    not_written(&fault);
                }
                Ok(MeterReply::Heard)
            }
            MeterCommand::MayExtend(top_up) => {
                let bars = self.with(|meter| meter.bars(top_up))?;
                Ok(bars.map_or(MeterReply::MayExtend, MeterReply::Barred))
            }
            MeterCommand::Extend(top_up) => self.with(|meter| extend(meter, self, top_up, now))?,
            MeterCommand::Withdraw { purchase } => {
                self.with(|meter| withdraw(meter, self, purchase, now))?
            }
            MeterCommand::Consume(ask) => {
                if let Some(reply) = consumed::reply(&self.tables, &ask.key)? {
                    return Ok(reply);
                }
                let (reply, stored) = self.with(|meter| meter.consume(ask, now))?;
                let note = || consumed::note(&self.tables, &ask.key, &reply, now);
                self.adopt(stored, note)?;
                Ok(reply)
            }
            MeterCommand::Lease(report) => {
                let (reply, stored) = self.with(|meter| meter.lend(report, now))?;
                self.adopt(stored, || Ok(()))?;
                Ok(reply)
            }
        }
    }

    /// Writes what a backend's message has changed, together with what `note` writes.
    fn adopt(
        &self,
        stored: Option<Stored>,
        note: impl FnOnce() -> worker::Result<()>,
    ) -> worker::Result<()> {
        let Some(stored) = stored else {
            return Ok(());
        };
        self.tables.transaction(|| {
            note()?;
            self.put_meter(&stored)
        })?;
        self.with(|meter| meter.adopt(stored))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Meter) -> T) -> worker::Result<T> {
        let mut meter = self.meter.borrow_mut();
        meter
            .as_mut()
            .map(act)
            .ok_or_else(|| "there is no meter".into())
    }

    /// Writes what is counted if there is as much of it as may be lost.
    fn write_full(&self) -> worker::Result<()> {
        match self.with(|meter| meter.unwritten())? {
            Some((calls, _)) if calls >= MOST_UNWRITTEN => self.write(),
            _ => Ok(()),
        }
    }

    /// Writes what is not written.
    fn write(&self) -> worker::Result<()> {
        self.with(|meter| {
            if meter.unwritten().is_some() {
                self.tables.transaction(|| self.put_meter(meter.stored()))?;
                meter.written();
            }
            Ok(())
        })?
    }

    /// Takes the grant back, unless that was done before, and stores it with all that is not written yet.
    fn revoke(&self, grant: &str, revoked: Revoked) -> worker::Result<()> {
        let mut stored = self.with(|meter| meter.stored().clone())?;
        if stored.revoked.is_some() {
            return Ok(());
        }
        stored.revoked = Some(revoked);
        stored.unlisted = Some(grant.to_owned());
        self.tables.transaction(|| {
            self.put_meter(&stored)?;
            self.set_alarm(&stored)
        })?;
        self.with(|meter| {
            meter.revoke(revoked, grant);
            meter.written();
        })
    }

    /// Tells the list of revoked grants what it has not heard.
    async fn report(&self) -> worker::Result<()> {
        let told = self.with(|meter| {
            let stored = meter.stored();
            let grant = stored.unlisted.as_deref().map(listed);
            grant.map(|grant| (grant, stored.granted.ends_at))
        })?;
        let Some((grant, ends_at)) = told else {
            return Ok(());
        };
        let add = ListCommand::Add { grant, ends_at };
        let heard = Objects::new(&self.env).list(&add).await;
        heard.map_err(|CallFault(fault)| fault)?;
        // Other requests were served meanwhile.
        let mut stored = self.with(|meter| meter.stored().clone())?;
        stored.unlisted = None;
        self.tables.transaction(|| {
            self.put_meter(&stored)?;
            self.set_alarm(&stored)
        })?;
        self.with(|meter| {
            meter.listed();
            meter.written();
        })
    }

    fn write_or_log(&self) {
        if let Err(fault) = self.write() {
            not_written(&fault);
        }
    }

    fn put_meter(&self, stored: &Stored) -> worker::Result<()> {
        let body = serde_json::to_string(stored)?;
        let statement = "INSERT OR REPLACE INTO meter (id, body) VALUES (1, ?)";
        self.tables.write(statement, vec![body.into()])
    }

    fn set_alarm(&self, stored: &Stored) -> worker::Result<()> {
        let now = platform::now();
        let sleep = match stored.unlisted {
            Some(_) => FAILED_ALARM,
            None => SLEEP,
        };
        let mut at = stored.kept_until().min(now.plus(sleep));
        if let Some(next) = consumed::purge(&self.tables, now)? {
            at = at.min(next);
        }
        self.tables.set_alarm(Some(at))
    }

    /// Reports what the list of revoked grants has not heard, and removes what has ended long ago.
    async fn on_alarm(&self) -> worker::Result<()> {
        if !self.load()? {
            return Ok(());
        }
        // In case that this is interrupted.
        self.tables
            .set_alarm(Some(platform::now().plus(FAILED_ALARM)))?;
        self.report().await?;
        let stored = self.with(|meter| meter.stored().clone())?;
        if platform::now() < stored.kept_until() {
            return self.tables.transaction(|| self.set_alarm(&stored));
        }
        self.tables.transaction(|| {
            self.tables
                .drop_all(&["meter", "additions", consumed::NAME])?;
            self.tables.set_alarm(None)
        })?;
        self.meter.replace(None);
        Ok(())
    }
}

impl GrantStore for Keeper {
    type Error = worker::Error;

    fn addition(&self, purchase: &RequestId) -> worker::Result<Option<Addition>> {
        let query = "SELECT body FROM additions WHERE purchase = ?";
        self.tables.body(query, vec![purchase.as_str().into()])
    }

    fn put(
        &self,
        purchase: &RequestId,
        addition: &Addition,
        stored: &Stored,
    ) -> worker::Result<()> {
        let body = serde_json::to_string(addition)?;
        let statement = "INSERT OR REPLACE INTO additions (purchase, body) VALUES (?, ?)";
        self.tables.transaction(|| {
            self.put_meter(stored)?;
            self.tables
                .write(statement, vec![purchase.as_str().into(), body.into()])
        })
    }
}

/// What is not written is in memory still, and is written with what follows.
fn not_written(fault: &worker::Error) {
    platform::log("meter_not_written", json!({"detail": fault.to_string()}));
}

fn meter_of(stored: Stored) -> worker::Result<Meter> {
    let [a, b, c, d, e, f, g, h, ..] = platform::random().map_err(|error| error.to_string())?;
    let id = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    Ok(Meter::new(id, stored, platform::now()))
}
