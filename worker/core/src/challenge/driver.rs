//! The shell around the lifecycle: stores each change before the effect it asks for, and drives a purchase on.
//!
//! Many callers may be here at once (identical requests, the alarm); they are told apart by nothing. One of them at a
//! time carries effects out, the others watch the record. Which one it is lives in memory only: losing that costs
//! nothing, because every change is a compare-and-swap on the stored version and every effect may be repeated.

use core::cell::Cell;
use core::future::Future;

use alloy_primitives::{B256, U256};
use futures_util::future;

use super::lifecycle::{Effect, Event, LAPSE_MARGIN_SECONDS, apply, next_effect, wake_at};
use super::purchase::{Ask, Next, Pay, PayReply};
use super::record::{Attempt, AuditRow, Payment, Record, Stage, State};
use crate::config::Config;
use crate::payment::authorization::MIN_REMAINING_SECONDS;
use crate::payment::chain::{Chain, ChainError, Receipt, Simulation};
use crate::payment::confirm::{Verdict, verdict};
use crate::payment::payer::{PayerCommand, PayerReply, Reservation, TargetKey};
use crate::payment::{Refusal, SignedAuthorization};
use crate::types::{Address, UnixMillis, UnixSeconds};
use crate::wallet::{Job, JobKey, WalletCommand, WalletReply};

/// How long a buyer's request is kept waiting for the chain before it is told to come back.
const PATIENCE_MILLIS: u64 = 20_000;
const FIRST_PAUSE_MILLIS: u64 = 100;
const MAX_PAUSE_MILLIS: u64 = 1_000;
/// Without a receipt for this long the gas wallet is asked whether it sends under other hashes by now.
const ASK_WALLET_MILLIS: u64 = 5_000;
/// How far before an attempt began its events are looked for.
const LOG_MARGIN_BLOCKS: u64 = 150;

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
    /// nothing is stored). Answers whether it was.
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
    /// Asks the gas wallet.
    fn wallet(
        &self,
        command: WalletCommand,
    ) -> impl Future<Output = Result<WalletReply, CallFault>>;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// Why an effect got no further. Trying again is safe.
enum Stuck {
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
    wallet_asked: Cell<Option<UnixMillis>>,
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
        if let Some(stored) = env.store().load()?
            && ask.is_public(&stored.record)
        {
            return Ok(PayReply::NeedsFreshSignature);
        }
        loop {
            let stored = env.store().load()?;
            let record = stored.as_ref().map(|stored| &stored.record);
            let next = ask.answer(record, env.now());
            if let Next::Answer(reply) = next {
                return Ok(reply);
            }
            if env.now().since(began) >= PATIENCE_MILLIS {
                return Ok(PayReply::Pending {
                    transaction: record.and_then(|record| record.state.transaction()),
                });
            }
            let moved = match (next, ask) {
                (Next::Begin, Ask::Pay(pay)) => match self.begin(env, pay, stored).await? {
                    Begun::Refused(reply) => return Ok(reply),
                    Begun::LookAgain => true,
                },
                _ => self.drive(env).await?,
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
        if matches!(next_effect(&stored.record), Effect::Rest) {
            return Ok(());
        }
        commit(env, Some(&stored), Event::Tried)?;
        while self.drive(env).await? {}
        Ok(())
    }

    /// Carries out the next effect. Whether that changed the record.
    async fn drive<E: ChallengeEnv>(&self, env: &E) -> Result<bool, StoreFault> {
        let Some(_turn) = self.turn() else {
            return Ok(false);
        };
        let Some(stored) = env.store().load()? else {
            return Ok(false);
        };
        match self.effect(env, &stored.record).await {
            Ok(event) => record_fact(env, &stored, &event),
            Err(Stuck::Waiting) => Ok(false),
            Err(Stuck::Fault(fault)) => {
                env.log("effect_failed", &fault);
                Ok(false)
            }
        }
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
        let gas_wallet = env.config().gas_wallet.address();
        let (book, simulation, head, gas_money) = future::join4(
            env.payer(signed.payer(), check),
            env.chain().simulate(signed, gas_wallet),
            env.chain().head(),
            env.chain().ether_balance(gas_wallet),
        )
        .await;
        // The book comes first: a payment that counts elsewhere must not be judged by the chain's state of today.
        match book {
            Ok(PayerReply::Taken) => return Ok(Begun::Refused(PayReply::Taken)),
            Ok(PayerReply::Superseded { by }) => {
                return Ok(Begun::Refused(PayReply::Elsewhere { request_id: by }));
            }
            Ok(PayerReply::Reserved | PayerReply::Released) => {}
            Err(fault) => return Ok(unavailable(env, &fault.0)),
        }
        let (gas, head) = match (simulation, head) {
            (Ok(Simulation::Succeeds { gas }), Ok(head)) => (gas, head),
            (Ok(Simulation::Reverts(text)), _) => {
                return self.refuse(env, signed, &text, stored).await;
            }
            (Err(error), _) | (_, Err(error)) => return Ok(unavailable(env, &error.0)),
        };
        // Room for what changes until inclusion: a first-time balance, a warm or cold slot.
        let gas_limit = gas.saturating_add(gas / 4).saturating_add(10_000);
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
        commit(env, stored.as_ref(), event)?;
        Ok(Begun::LookAgain)
    }

    /// The chain would refuse the transfer. Says why, unless an identical request was faster and that is the reason.
    async fn refuse<E: ChallengeEnv>(
        &self,
        env: &E,
        signed: &SignedAuthorization,
        text: &str,
        stored: Option<Versioned>,
    ) -> Result<Begun, StoreFault> {
        let reason = diagnose(env, signed, text).await;
        let version = |stored: &Versioned| stored.version;
        if env.store().load()?.as_ref().map(version) != stored.as_ref().map(version) {
            return Ok(Begun::LookAgain);
        }
        Ok(match reason {
            Ok(reason) => Begun::Refused(PayReply::Refused {
                reason,
                transaction: None,
            }),
            Err(error) => unavailable(env, &error.0),
        })
    }

    async fn effect<E: ChallengeEnv>(&self, env: &E, record: &Record) -> Result<Event, Stuck> {
        match (next_effect(record), &record.state) {
            (Effect::Reserve, State::Pending { attempt }) => reserve(env, record, attempt).await,
            (Effect::Submit, State::Pending { attempt }) => submit(env, record, attempt).await,
            (Effect::Confirm, State::Pending { attempt }) => {
                self.confirm(env, record, attempt).await
            }
            (Effect::LapseAt(at), State::Pending { attempt }) if at <= env.now() => {
                lapse(env, record, attempt).await
            }
            (Effect::Issue, State::Paid { payment }) => Ok(Event::Issued {
                claims: claims(env, record, payment),
            }),
            (Effect::ReleaseTarget, _) => {
                let release = PayerCommand::Release {
                    target: TargetKey::new(&record.terms.target, &record.terms.resource),
                    request_id: record.terms.request_id.clone(),
                    attempt: match &record.state {
                        State::Pending { attempt } => attempt.number,
                        _ => u32::MAX,
                    },
                };
                env.payer(record.payer, release).await?;
                Ok(Event::TargetReleased)
            }
            _ => Err(Stuck::Waiting),
        }
    }

    async fn confirm<E: ChallengeEnv>(
        &self,
        env: &E,
        record: &Record,
        attempt: &Attempt,
    ) -> Result<Event, Stuck> {
        let Stage::Submitted { hashes, since } = &attempt.stage else {
            return Err(Stuck::Waiting);
        };
        let usdc = record.terms.network.usdc();
        for hash in hashes.iter().rev() {
            let Some(receipt) = env.chain().receipt(*hash).await? else {
                continue;
            };
            return match verdict(&receipt, attempt.authorization.authorization(), usdc) {
                Verdict::Transferred => settled(env, record, &receipt).await,
                Verdict::NoTransfer => Ok(Event::AttemptFailed {
                    reason: Refusal::InvalidExactEvmTransferEventMismatch,
                    transaction: Some(*hash),
                }),
                Verdict::Reverted => reverted(env, record, attempt, *hash).await,
            };
        }
        let last = self.wallet_asked.get().unwrap_or(*since);
        if env.now().since(last) < ASK_WALLET_MILLIS {
            return Err(Stuck::Waiting);
        }
        // Not included for a while. The wallet may send under another hash by now; to submit again is to ask that.
        self.wallet_asked.set(Some(env.now()));
        match submit(env, record, attempt).await? {
            Event::Submitted { hashes: current }
                if current.iter().any(|hash| !hashes.contains(hash)) =>
            {
                Ok(Event::Submitted { hashes: current })
            }
            Event::Submitted { .. } => unsent(env, record, attempt).await,
            other => Ok(other),
        }
    }
}

/// What came of trying to begin.
enum Begun {
    /// The outcome is known.
    Refused(PayReply),
    /// The record has changed.
    LookAgain,
}

fn unavailable<E: ChallengeEnv>(env: &E, fault: &str) -> Begun {
    env.log("check_failed", fault);
    Begun::Refused(PayReply::Unavailable)
}

async fn reserve<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    let reserve = PayerCommand::Reserve(Reservation {
        nonce: attempt.authorization.authorization().nonce,
        request_id: record.terms.request_id.clone(),
        attempt: attempt.number,
        target: TargetKey::new(&record.terms.target, &record.terms.resource),
    });
    Ok(match env.payer(record.payer, reserve).await? {
        PayerReply::Reserved => Event::Reserved,
        PayerReply::Superseded { by } => Event::Superseded { by },
        PayerReply::Taken => Event::AttemptFailed {
            reason: Refusal::InvalidExactEvmNonceAlreadyUsed,
            transaction: None,
        },
        PayerReply::Released => {
            return Err(Stuck::Fault(
                "the payer's book gave a wrong answer".to_owned(),
            ));
        }
    })
}

async fn submit<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    let expiry = attempt.authorization.authorization().expires_at().0;
    let command = WalletCommand::Submit {
        key: JobKey(format!("{}#{}", record.terms.request_id, attempt.number)),
        job: Box::new(Job {
            authorization: attempt.authorization.clone(),
            gas_limit: attempt.gas_limit,
            // Nothing expired is charged.
            not_after: UnixSeconds(expiry.saturating_sub(MIN_REMAINING_SECONDS))
                .min(record.terms.expires_at),
        }),
    };
    match env.wallet(command).await? {
        WalletReply::Sent { hashes } => Ok(Event::Submitted { hashes }),
        // We broadcast nothing, but the payer may have.
        WalletReply::TooLate => unsent(env, record, attempt).await,
    }
}

/// Our transaction reverted. Somebody else may have used the authorization before it.
async fn reverted<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    transaction: B256,
) -> Result<Event, Stuck> {
    match elsewhere(env, record, attempt).await? {
        Some(event) => Ok(event),
        None => Ok(Event::AttemptFailed {
            reason: Refusal::InvalidExactEvmTransactionFailed,
            transaction: Some(transaction),
        }),
    }
}

/// None of our transactions is included: is the money here all the same, may it still come, or can it not come any more?
async fn unsent<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    // The head first: what is included while we ask must not be overlooked.
    let head = env.chain().head().await?;
    if let Some(event) = elsewhere(env, record, attempt).await? {
        return Ok(event);
    }
    let expiry = attempt.authorization.authorization().expires_at();
    if head.timestamp >= expiry.plus(LAPSE_MARGIN_SECONDS).0 {
        return Ok(Event::Lapsed);
    }
    if matches!(attempt.stage, Stage::Settling) {
        // Never begun, and the offer has expired.
        return Ok(Event::Lapsed);
    }
    Err(Stuck::Waiting)
}

/// Looks for a use of the authorization by anybody. `None` when it is unused.
async fn elsewhere<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Option<Event>, Stuck> {
    let authorization = attempt.authorization.authorization();
    if !env
        .chain()
        .authorization_used(authorization.from, authorization.nonce)
        .await?
    {
        return Ok(None);
    }
    // Nodes behind one address may be blocks apart.
    let from_block = attempt.from_block.saturating_sub(LOG_MARGIN_BLOCKS);
    let events = env
        .chain()
        .authorization_events(authorization.from, authorization.nonce, from_block)
        .await?;
    let mut paid_somebody_else = false;
    for transaction in events.used_in {
        let Some(receipt) = env.chain().receipt(transaction).await? else {
            return Err(Stuck::Waiting);
        };
        match verdict(&receipt, authorization, record.terms.network.usdc()) {
            Verdict::Transferred => return settled(env, record, &receipt).await.map(Some),
            Verdict::NoTransfer => paid_somebody_else = true,
            Verdict::Reverted => {}
        }
    }
    if events.cancelled || paid_somebody_else {
        return Ok(Some(Event::AttemptFailed {
            reason: Refusal::InvalidExactEvmNonceAlreadyUsed,
            transaction: None,
        }));
    }
    // One node says it is used and another does not show how. A guess could lose a payment.
    Err(Stuck::Fault(
        "an authorization is used, but its event is not visible yet".to_owned(),
    ))
}

/// The failed attempt's last chance: it may have been broadcast by somebody else.
async fn lapse<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    match elsewhere(env, record, attempt).await? {
        Some(event @ Event::Settled { .. }) => Ok(event),
        _ => Ok(Event::Lapsed),
    }
}

async fn settled<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    receipt: &Receipt,
) -> Result<Event, Stuck> {
    let wanted = env.config().confirmations;
    if wanted > 1 {
        let head = env.chain().head().await?;
        if head.number.saturating_sub(receipt.block).saturating_add(1) < wanted {
            return Err(Stuck::Waiting);
        }
        // Its block may have been replaced before the head was read. Still there now means deep enough.
        if env.chain().receipt(receipt.transaction).await?.as_ref() != Some(receipt) {
            return Err(Stuck::Waiting);
        }
    }
    Ok(Event::Settled {
        payment: Payment {
            transaction: receipt.transaction,
            block: receipt.block,
            // The verdict has proven that exactly this arrived.
            amount: record.terms.amount,
        },
    })
}

fn claims<E: ChallengeEnv>(env: &E, record: &Record, payment: &Payment) -> key0_validator::Claims {
    let super::terms::Target::Plan(plan) = &record.terms.target;
    let config = env.config();
    let ttl = config
        .catalog
        .plan(plan)
        .and_then(|plan| plan.expires_in)
        .unwrap_or(config.token_ttl_seconds);
    let now = env.now().to_seconds();
    key0_validator::Claims {
        sub: record.terms.request_id.to_string(),
        jti: record.challenge_id.to_string(),
        resource_id: record.terms.resource.to_string(),
        plan_id: plan.to_string(),
        tx_hash: payment.transaction.to_string(),
        iat: now.0,
        exp: now.plus(ttl).0,
        iss: Some(record.issuer.clone()),
        payer: Some(record.payer.to_checksum(None)),
    }
}

/// Why the chain would refuse a transfer, in the reference's order (x402 sheet, section 4.4, step 10).
async fn diagnose<E: ChallengeEnv>(
    env: &E,
    signed: &SignedAuthorization,
    text: &str,
) -> Result<Refusal, ChainError> {
    let authorization = signed.authorization();
    let (used, balance) = future::join(
        env.chain()
            .authorization_used(authorization.from, authorization.nonce),
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
    let Ok(record) = apply(stored.map(|stored| &stored.record), event.clone(), now) else {
        return Ok(false);
    };
    let audit = event.is_history().then(|| event.audit(&record, now));
    env.store().commit(
        stored.map(|stored| stored.version),
        &record,
        audit.as_ref(),
        wake_at(&record, now),
    )
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
