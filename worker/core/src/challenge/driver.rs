//! The shell around the lifecycle: stores each change before the effect it asks for, and drives a purchase on.
//!
//! Many callers may be here at once (identical requests, the alarm); they are told apart by nothing. One of them at a
//! time carries effects out, the others watch the record. Which one it is lives in memory only: losing that costs
//! nothing, because every change is a compare-and-swap on the stored version and every effect may be repeated.

use core::cell::Cell;
use core::future::Future;

use alloy_primitives::U256;
use futures_util::future;

use super::effects;
use super::facilitated;
use super::lifecycle::{Event, apply};
use super::purchase::{Ask, Next, Pay, PayReply};
use super::record::{AuditRow, IssueFault, Record, Stage, State};
use super::schedule::{Effect, next_effect, wake_at};
use crate::config::Config;
use crate::credential::remote::{IssueAnswer, IssueCall};
use crate::ledger::LedgerEntry;
use crate::payment::chain::{Chain, ChainError, Simulation};
use crate::payment::facilitator::FacilitatorCall;
use crate::payment::payer::{PayerCommand, PayerReply, Reservation, TargetKey};
use crate::payment::usdc::payment_fingerprint;
use crate::payment::{Refusal, Route, SignedAuthorization};
use crate::types::{Address, RequestId, UnixMillis};
use crate::wallet::{WalletCommand, WalletKey, WalletReply};

/// How long a buyer's request is kept waiting for the chain before it is told to come back.
const PATIENCE_MILLIS: u64 = 20_000;
const FIRST_PAUSE_MILLIS: u64 = 100;
const MAX_PAUSE_MILLIS: u64 = 1_000;

/// A record with the number of its version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Versioned {
    /// Counts the changes.
    pub version: u64,
    /// The record.
    pub record: Record,
}

/// The storage failed. The text is for the log only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreFault(pub String);

/// Another object gave no answer. The text is for the log only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallFault(pub String);

/// Where one purchase is stored.
pub trait ChallengeStore {
    /// The record, if the purchase exists. Creates nothing.
    fn load(&self) -> Result<Option<Versioned>, StoreFault>;

    /// Writes record, history line and alarm in one transaction, if the stored version is still `expected` (`None`: if
    /// nothing is stored). Answers whether it was. With a record that is without history ([`Rest`](super::Rest)) the lines
    /// that were written before are removed in the same transaction.
    fn commit(
        &self,
        expected: Option<u64>,
        record: &Record,
        audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> Result<bool, StoreFault>;
}

/// What a purchase needs from outside.
pub trait ChallengeEnv {
    /// Its storage.
    type Store: ChallengeStore;
    /// The chain.
    type Chain: Chain;

    /// The settings.
    fn config(&self) -> &Config;
    /// The storage.
    fn store(&self) -> &Self::Store;
    /// The chain.
    fn chain(&self) -> &Self::Chain;
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// Waits.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()>;
    /// Asks a payer's book.
    fn payer(
        &self,
        payer: Address,
        command: PayerCommand,
    ) -> impl Future<Output = Result<PayerReply, CallFault>>;
    /// Asks a wallet of ours.
    fn wallet(
        &self,
        sender: Address,
        command: WalletCommand,
    ) -> impl Future<Output = Result<WalletReply, CallFault>>;
    /// Asks a facilitator, and returns the answer's body, whatever its status. Follows no redirect.
    fn facilitator(
        &self,
        call: FacilitatorCall<'_>,
    ) -> impl Future<Output = Result<Vec<u8>, CallFault>>;
    /// Asks the backend for a credential. Repeating it is safe: the call carries an idempotency key.
    fn issue(&self, call: IssueCall) -> impl Future<Output = Result<IssueAnswer, IssueFault>>;
    /// Tells the ledger what the record says. Repeating it changes nothing.
    fn ledger(&self, entry: LedgerEntry) -> impl Future<Output = Result<(), CallFault>>;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// Why an effect got no further. Trying again is safe.
pub(super) enum Stuck {
    /// Nothing is wrong; it takes time.
    Waiting,
    /// Something outside failed.
    Fault(String),
}

impl From<ChainError> for Stuck {
    fn from(error: ChainError) -> Self {
        Self::Fault(error.0)
    }
}

impl From<CallFault> for Stuck {
    fn from(fault: CallFault) -> Self {
        Self::Fault(fault.0)
    }
}

/// Drives one purchase. What it keeps in memory may be lost at any time.
#[derive(Debug, Default)]
pub struct Driver {
    busy: Cell<bool>,
    memory: Memory,
}

/// What spaces out questions to others.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When it was last asked what became of a transaction without a receipt.
    pub(super) last_asked: Cell<Option<UnixMillis>>,
    /// When the last one of the routes was found to be of no use.
    pub(super) routes_failed: Cell<Option<UnixMillis>>,
}

/// The right to carry effects out; given back when dropped, also when the request is cancelled.
struct Turn<'a>(&'a Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Driver {
    fn turn(&self) -> Option<Turn<'_>> {
        (!self.busy.replace(true)).then(|| Turn(&self.busy))
    }

    /// Answers a question with the purchase's outcome, or that it is not known yet. Begins the purchase when a payment is
    /// presented for the first time.
    pub async fn ask<E: ChallengeEnv>(&self, env: &E, ask: &Ask) -> Result<PayReply, StoreFault> {
        let began = env.now();
        let mut pause = FIRST_PAUSE_MILLIS;
        let mut involved = false;
        if let (Some(stored), Ask::Pay(pay)) = (env.store().load()?, ask)
            && Ask::needs_fresh_signature(&stored.record)
            && let Some(reply) = prove_unseen(env, pay).await
        {
            return Ok(reply);
        }
        loop {
            let stored = env.store().load()?;
            let record = stored.as_ref().map(|stored| &stored.record);
            let next = ask.answer(record, env.now(), &env.config().policy());
            if let Next::Answer(reply) = next {
                return Ok(reply);
            }
            if env.now().since(began) >= PATIENCE_MILLIS {
                return Ok(PayReply::Pending {
                    transaction: record.and_then(|record| record.state.transaction()),
                });
            }
            // What failed while this question was asked is its answer. Asked again, it is tried again.
            if involved && let Some(reply) = record.and_then(Ask::failure) {
                return Ok(reply);
            }
            let moved = match (next, ask) {
                (Next::Begin, Ask::Pay(pay)) => match self.begin(env, pay, stored).await? {
                    Begun::Refused(reply) => return Ok(reply),
                    Begun::LookAgain => true,
                    Begun::Now => {
                        involved = true;
                        true
                    }
                },
                _ => {
                    involved = true;
                    self.drive(env).await?
                }
            };
            if moved {
                pause = FIRST_PAUSE_MILLIS;
            } else {
                env.sleep(pause).await;
                pause = (pause * 3 / 2).min(MAX_PAUSE_MILLIS);
            }
        }
    }

    /// The alarm. Carries on until the purchase rests or must wait.
    pub async fn wake<E: ChallengeEnv>(&self, env: &E) -> Result<(), StoreFault> {
        // Armed first: whatever happens below, there is a next time.
        let Some(stored) = env.store().load()? else {
            return Ok(());
        };
        let effect = next_effect(&stored.record, env.now(), &env.config().policy());
        let event = match (effect, stored.record.unreported) {
            (Effect::Rest, None) => return Ok(()),
            // Too early for anything else: the alarm is for the ledger.
            (Effect::Rest | Effect::WaitUntil(_), Some(_)) => Event::ReportTried,
            _ => Event::Tried,
        };
        commit(env, Some(&stored), event)?;
        while self.drive(env).await? {}
        // Last, and without a say in what happens: no purchase waits for the ledger.
        report(env).await
    }

    /// Carries out the next effect. Whether that changed the record.
    async fn drive<E: ChallengeEnv>(&self, env: &E) -> Result<bool, StoreFault> {
        let Some(_turn) = self.turn() else {
            return Ok(false);
        };
        let Some(stored) = env.store().load()? else {
            return Ok(false);
        };
        let outcome = effects::run(env, &stored.record, &self.memory).await;
        let moved = record_outcome(env, &stored, &outcome)?;
        if moved && let Ok(Event::Asked) = outcome {
            // The intent is stored, by us. Nobody else may do this, and we may do it only now.
            self.settle(env).await?;
        }
        Ok(moved)
    }

    /// Tells the facilitator to settle, directly after the intent was stored.
    async fn settle<E: ChallengeEnv>(&self, env: &E) -> Result<(), StoreFault> {
        let Some(stored) = env.store().load()? else {
            return Ok(());
        };
        if let State::Pending { attempt } = &stored.record.state
            && let Stage::Asked { .. } = attempt.stage
            && let Route::Facilitator(facilitator) = env.config().settlement.route(attempt.via)
        {
            let record = &stored.record;
            let outcome =
                facilitated::settle(env, record, attempt, facilitator, &self.memory).await;
            record_outcome(env, &stored, &outcome)?;
        }
        Ok(())
    }

    /// Everything that must hold before the first write: the payer's book and the chain.
    async fn begin<E: ChallengeEnv>(
        &self,
        env: &E,
        pay: &Pay,
        stored: Option<Versioned>,
    ) -> Result<Begun, StoreFault> {
        let signed = &pay.authorization;
        let check = PayerCommand::Check(Reservation {
            nonce: signed.authorization().nonce,
            request_id: pay.challenge.terms.request_id.clone(),
            attempt: match stored.as_ref().map(|stored| &stored.record.state) {
                Some(State::Pending { attempt }) => attempt.number.saturating_add(1),
                _ => 1,
            },
            target: TargetKey::new(&pay.challenge.terms.target, &pay.challenge.terms.resource),
        });
        let settlement = &env.config().settlement;
        // Anybody may send the transfer; a facilitator's own address is not known.
        let sender = settlement
            .gas_wallet()
            .map_or(env.config().pay_to, WalletKey::address);
        let gas_money = async {
            match settlement.only_gas_wallet() {
                Some(wallet) => env.chain().ether_balance(wallet).await,
                None => Ok(U256::MAX),
            }
        };
        let (book, simulation, head, gas_money) = future::join4(
            env.payer(signed.payer(), check),
            env.chain().simulate(signed, sender),
            env.chain().head(),
            gas_money,
        )
        .await;
        // The book comes first: a payment that counts elsewhere must not be judged by the chain's state of today.
        match book {
            Ok(PayerReply::Taken) => return Ok(Begun::Refused(PayReply::Taken)),
            Ok(PayerReply::Superseded { by }) => {
                // Only who made the second authorization may learn what became of the first.
                let reply = match prove_fresh(env, signed).await {
                    None => PayReply::Elsewhere { request_id: by },
                    Some(PayReply::NeedsFreshSignature) => PayReply::Taken,
                    Some(reply) => reply,
                };
                return Ok(Begun::Refused(reply));
            }
            Ok(PayerReply::Reserved | PayerReply::Released) => {}
            Err(fault) => return Ok(unavailable(env, &fault.0)),
        }
        let (gas, head) = match (simulation, head) {
            (Ok(Simulation::Succeeds { gas }), Ok(head)) => (gas, head),
            (Ok(Simulation::Reverts(text)), Ok(head)) => {
                return self.refuse(env, signed, &text, head.number, stored).await;
            }
            (Err(error), _) | (_, Err(error)) => return Ok(unavailable(env, &error.0)),
        };
        let gas_limit = effects::gas_limit(gas);
        match gas_money {
            Ok(wei) if wei < U256::from(gas_limit).saturating_mul(U256::from(head.base_fee)) => {
                return Ok(unavailable(
                    env,
                    "the gas wallet is empty: send ether to it",
                ));
            }
            Ok(_) => {}
            Err(error) => return Ok(unavailable(env, &error.0)),
        }
        let event = Event::Attempted {
            challenge: pay.challenge.clone(),
            issuer: pay.issuer.clone(),
            authorization: signed.clone(),
            gas_limit,
            from_block: head.number,
        };
        // Losing against an identical request is no failure: the caller reads the winner's record.
        Ok(match commit(env, stored.as_ref(), event)? {
            true => Begun::Now,
            false => Begun::LookAgain,
        })
    }

    /// The chain would refuse the transfer. Says why, unless an identical request was faster and that is the reason.
    async fn refuse<E: ChallengeEnv>(
        &self,
        env: &E,
        signed: &SignedAuthorization,
        text: &str,
        head: u64,
        stored: Option<Versioned>,
    ) -> Result<Begun, StoreFault> {
        let reason = if let Some(before) = &stored
            && let State::Pending { attempt } = &before.record.state
        {
            // A failed attempt may have been paid after all. Never ask for a second payment before that is known.
            match effects::refused(env, &before.record, attempt, text, head).await {
                Ok(Event::AttemptFailed { reason, .. }) => Ok(reason),
                Ok(event) => {
                    record_fact(env, before, &event)?;
                    return Ok(Begun::LookAgain);
                }
                Err(stuck) => Err(stuck),
            }
        } else {
            diagnose(env, signed, text).await.map_err(Stuck::from)
        };
        let version = |stored: &Versioned| stored.version;
        if env.store().load()?.as_ref().map(version) != stored.as_ref().map(version) {
            return Ok(Begun::LookAgain);
        }
        Ok(match reason {
            // An authorization that was attempted is public: the node that refuses may know a use that no other node shows yet.
            Ok(Refusal::InvalidExactEvmTransactionSimulationFailed) if stored.is_some() => {
                unavailable(env, text)
            }
            Ok(reason) => Begun::Refused(PayReply::Refused {
                reason,
                transaction: None,
                begun: stored.is_some(),
            }),
            Err(Stuck::Waiting) => {
                unavailable(env, "a use of the authorization is not visible yet")
            }
            Err(Stuck::Fault(fault)) => unavailable(env, &fault),
        })
    }
}

/// What came of trying to begin.
enum Begun {
    /// The outcome is known.
    Refused(PayReply),
    /// An attempt has begun.
    Now,
    /// The record has changed.
    LookAgain,
}

fn unavailable<E: ChallengeEnv>(env: &E, fault: &str) -> Begun {
    env.log("check_failed", fault);
    Begun::Refused(PayReply::Unavailable)
}

/// Tells the ledger what the record says, if it does not know.
async fn report<E: ChallengeEnv>(env: &E) -> Result<(), StoreFault> {
    let Some(stored) = env.store().load()? else {
        return Ok(());
    };
    if stored.record.unreported.is_none() {
        return Ok(());
    }
    let entry = LedgerEntry::of(&stored.record, stored.version);
    match env.ledger(entry).await {
        Ok(()) => record_fact(env, &stored, &Event::Reported).map(drop),
        Err(fault) => {
            env.log("report_failed", &fault.0);
            Ok(())
        }
    }
}

/// The same for an authorization that opens what was delivered. A transaction shows it to everybody also when it reverts,
/// and then the chain does not remember: but the payer's book knows every authorization that was ever attempted.
async fn prove_unseen<E: ChallengeEnv>(env: &E, pay: &Pay) -> Option<PayReply> {
    let signed = &pay.authorization;
    let terms = &pay.challenge.terms;
    let nonce = signed.authorization().nonce;
    let fingerprint = payment_fingerprint(terms.network, signed.payer(), nonce);
    if terms.request_id == RequestId::derived(&fingerprint) {
        return Some(PayReply::NeedsFreshSignature);
    }
    let check = PayerCommand::Check(Reservation {
        nonce,
        request_id: terms.request_id.clone(),
        attempt: 1,
        target: TargetKey::new(&terms.target, &terms.resource),
    });
    match env.payer(signed.payer(), check).await {
        Ok(PayerReply::Taken) => Some(PayReply::NeedsFreshSignature),
        Ok(_) => prove_fresh(env, signed).await,
        Err(fault) => {
            env.log("check_failed", &fault.0);
            Some(PayReply::Unavailable)
        }
    }
}

/// An authorization that the chain has not seen comes from the payer itself. `Some` is the refusal of any other.
async fn prove_fresh<E: ChallengeEnv>(env: &E, signed: &SignedAuthorization) -> Option<PayReply> {
    let authorization = signed.authorization();
    match env
        .chain()
        .authorization_used(authorization.from, authorization.nonce, None)
        .await
    {
        Ok(false) => None,
        Ok(true) => Some(PayReply::NeedsFreshSignature),
        Err(error) => {
            env.log("check_failed", &error.0);
            Some(PayReply::Unavailable)
        }
    }
}

/// Why the chain would refuse a transfer, in the reference's order (x402 sheet, section 4.4, step 10).
pub(super) async fn diagnose<E: ChallengeEnv>(
    env: &E,
    signed: &SignedAuthorization,
    text: &str,
) -> Result<Refusal, ChainError> {
    let authorization = signed.authorization();
    let (used, balance) = future::join(
        env.chain()
            .authorization_used(authorization.from, authorization.nonce, None),
        env.chain().usdc_balance(authorization.from),
    )
    .await;
    if used? {
        return Ok(Refusal::InvalidExactEvmNonceAlreadyUsed);
    }
    if balance? < authorization.value {
        return Ok(Refusal::InsufficientFunds);
    }
    env.log("simulation_failed", text);
    Ok(Refusal::InvalidExactEvmTransactionSimulationFailed)
}

/// Applies an event to what was read and stores the result. `false` when somebody else was first or the event does not
/// fit.
fn commit<E: ChallengeEnv>(
    env: &E,
    stored: Option<&Versioned>,
    event: Event,
) -> Result<bool, StoreFault> {
    let now = env.now();
    let policy = env.config().policy();
    let Ok(record) = apply(
        stored.map(|stored| &stored.record),
        event.clone(),
        now,
        &policy,
    ) else {
        return Ok(false);
    };
    let audit = event.audit(&record, now);
    env.store().commit(
        stored.map(|stored| stored.version),
        &record,
        audit.as_ref(),
        wake_at(&record, now, &policy),
    )
}

/// Stores what an effect has found out, if it has. Whether that changed the record.
fn record_outcome<E: ChallengeEnv>(
    env: &E,
    before: &Versioned,
    outcome: &Result<Event, Stuck>,
) -> Result<bool, StoreFault> {
    match outcome {
        Ok(event) => record_fact(env, before, event),
        Err(Stuck::Waiting) => Ok(false),
        Err(Stuck::Fault(fault)) => {
            env.log("effect_failed", fault);
            Ok(false)
        }
    }
}

/// Stores what an effect has found out. The alarm may have counted a try meanwhile; a fact stays true as long as the
/// state that it was found out for is still the same.
fn record_fact<E: ChallengeEnv>(
    env: &E,
    before: &Versioned,
    event: &Event,
) -> Result<bool, StoreFault> {
    if commit(env, Some(before), event.clone())? {
        return Ok(true);
    }
    match env.store().load()? {
        Some(current) if current.record.state == before.record.state => {
            commit(env, Some(&current), event.clone())
        }
        _ => Ok(false),
    }
}
