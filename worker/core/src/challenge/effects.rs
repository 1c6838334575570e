//! The outside effects of a purchase, each returning what it found out. Any of them may run twice.

use alloy_primitives::{B256, U256};
use sha2::{Digest, Sha256};

use super::driver::{CallFault, ChallengeEnv, Memory, Stuck, diagnose};
use super::facilitated;
use super::lifecycle::Event;
use super::record::{Attempt, Payment, Record, Refund, Stage, State};
use super::schedule::{ANSWER_MILLIS, Effect, next_effect, watched_enough};
use super::seal::ChallengeId;
use super::terms::Target;
use crate::credential::remote;
use crate::payment::authorization::MIN_REMAINING_SECONDS;
use crate::payment::chain::{Chain, Receipt, Simulation};
use crate::payment::confirm::{Verdict, verdict};
use crate::payment::payer::{PayerCommand, PayerReply, Reservation, TargetKey};
use crate::payment::{Authorization, Refusal, Route, SignedAuthorization};
use crate::types::{Address, UnixSeconds};
use crate::wallet::{Job, JobKey, WalletCommand, WalletKey, WalletReply};

/// Without a receipt for this long the gas wallet is asked whether it sends under other hashes by now; or the chain, whether
/// a facilitator does.
const ASK_AGAIN_MILLIS: u64 = 5_000;
/// How far before an attempt began its events are looked for: nodes behind one address may be blocks apart.
const LOG_MARGIN_BLOCKS: u64 = 150;
/// How long after an authorization's expiry it is given up: a node that is asked may be this far behind, and the newest
/// blocks may be replaced.
const LAPSE_MARGIN_SECONDS: u64 = 30;
/// A refund that is not included for this long is tried again in another transaction.
const REFUND_LOST_MILLIS: u64 = 600_000;
/// A refund's authorization stays good this long, so that retrying it never needs another one.
const REFUND_VALID_SECONDS: u64 = 10 * 366 * 86_400;

/// Carries out what the record asks for now.
pub(super) async fn run<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    memory: &Memory,
) -> Result<Event, Stuck> {
    let effect = next_effect(record, env.now(), &env.config().policy());
    match (effect, &record.state) {
        (Effect::Reserve, State::Pending { attempt }) => reserve(env, record, attempt).await,
        (Effect::Submit, State::Pending { attempt }) => {
            match env.config().settlement.route(attempt.via) {
                Route::Facilitator(facilitator) => {
                    facilitated::verify(env, record, attempt, facilitator, memory).await
                }
                Route::GasWallet(key) => charge(env, record, attempt, key.address()).await,
            }
        }
        (Effect::Reconcile, State::Pending { attempt }) => {
            facilitated::reconcile(env, record, attempt).await
        }
        (Effect::Confirm, State::Pending { attempt }) => {
            confirm(env, record, attempt, memory).await
        }
        (Effect::Lapse, State::Pending { attempt }) => lapse(env, record, attempt).await,
        (
            Effect::Watch,
            State::Expired {
                watch: Some(attempt),
            }
            | State::Cancelled {
                watch: Some(attempt),
                ..
            },
        ) => watch(env, record, attempt).await,
        (Effect::Issue, State::Paid { payment, .. }) => issue(env, record, payment).await,
        (Effect::BeginRefund, State::Paid { payment, .. }) => begin_refund(env, record, payment),
        (Effect::PrepareRefund, State::RefundPending { refund, .. }) => {
            prepare_refund(env, record, refund).await
        }
        (Effect::Submit, State::RefundPending { refund, .. }) => {
            pay_back(env, record, refund).await
        }
        (Effect::Confirm, State::RefundPending { refund, .. }) => {
            confirm(env, record, &refund.attempt, memory).await
        }
        (Effect::ReleaseTarget, _) => release(env, record).await,
        (Effect::RemoveHistory, _) => Ok(Event::HistoryRemoved),
        (Effect::RemoveGrant, _) => Ok(Event::GrantRemoved),
        _ => Err(Stuck::Waiting),
    }
}

async fn reserve<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    let nonce = attempt.authorization.authorization().nonce;
    Ok(match book(env, record, nonce, attempt.number).await? {
        PayerReply::Reserved => Event::Reserved,
        PayerReply::Superseded { by } => Event::Superseded { by },
        PayerReply::Taken => Event::Taken,
        PayerReply::Released => {
            return Err(Stuck::Fault(
                "the payer's book gave a wrong answer".to_owned(),
            ));
        }
    })
}

async fn book<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    nonce: B256,
    attempt: u32,
) -> Result<PayerReply, CallFault> {
    let reserve = PayerCommand::Reserve(Reservation {
        nonce,
        request_id: record.terms.request_id.clone(),
        attempt,
        target: TargetKey::new(&record.terms.target, &record.terms.resource),
    });
    env.payer(record.payer, reserve).await
}

async fn release<E: ChallengeEnv>(env: &E, record: &Record) -> Result<Event, Stuck> {
    if let State::Cancelled {
        reserving: Some(nonce),
        ..
    } = record.state
    {
        // That message may still be on its way, and would lock the target again after its release. Of what is booked, a
        // late copy changes nothing.
        book(env, record, nonce, 1).await?;
    }
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

/// From this second on the payment is not begun any more: nothing expired is charged.
pub(super) fn last_moment(record: &Record, attempt: &Attempt) -> UnixSeconds {
    let expiry = attempt.authorization.authorization().expires_at().0;
    UnixSeconds(expiry.saturating_sub(MIN_REMAINING_SECONDS)).min(record.terms.expires_at)
}

/// Hands the buyer's transfer to the gas wallet.
async fn charge<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    sender: Address,
) -> Result<Event, Stuck> {
    let job = JobKey(format!("{}#{}", record.terms.request_id, attempt.number));
    match submit(env, attempt, job, sender, last_moment(record, attempt)).await? {
        WalletReply::Sent { hashes } => Ok(Event::Submitted { hashes }),
        // We broadcast nothing, but anybody who saw the authorization may have.
        WalletReply::TooLate => not_included(env, record, attempt).await,
    }
}

/// Hands the refund to the wallet that sends refunds.
async fn pay_back<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    refund: &Refund,
) -> Result<Event, Stuck> {
    let attempt = &refund.attempt;
    let job = JobKey(format!(
        "{} refund #{}",
        record.terms.request_id, attempt.number
    ));
    let not_after = attempt.authorization.authorization().expires_at();
    let sender = refund_sender(env)?;
    match submit(env, attempt, job, sender, not_after).await? {
        WalletReply::Sent { hashes } => Ok(Event::Submitted { hashes }),
        WalletReply::TooLate => Ok(Event::AttemptFailed {
            reason: Refusal::InvalidExactEvmPayloadAuthorizationValidBefore,
            transaction: None,
        }),
    }
}

async fn submit<E: ChallengeEnv>(
    env: &E,
    attempt: &Attempt,
    key: JobKey,
    sender: Address,
    not_after: UnixSeconds,
) -> Result<WalletReply, Stuck> {
    let job = Box::new(Job {
        authorization: attempt.authorization.clone(),
        gas_limit: attempt.gas_limit,
        not_after,
        sender: Some(sender),
    });
    let command = WalletCommand::Submit { key, job };
    Ok(env.wallet(sender, command).await?)
}

/// Who sends a refund now. Any wallet may: its authorization is signed already.
fn refund_sender<E: ChallengeEnv>(env: &E) -> Result<Address, Stuck> {
    env.config()
        .refund_sender()
        .map(WalletKey::address)
        .ok_or_else(|| Stuck::Fault("there is no wallet left that could send a refund".to_owned()))
}

/// Looks for the receipt of a transfer that is on its way.
async fn confirm<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    memory: &Memory,
) -> Result<Event, Stuck> {
    let Stage::Submitted { hashes, since } = &attempt.stage else {
        return Err(Stuck::Waiting);
    };
    let claimed = is_claimed(env, record, attempt);
    let usdc = record.terms.network.usdc();
    for hash in hashes.iter().rev() {
        let Some(receipt) = env.chain().receipt(*hash).await? else {
            continue;
        };
        match verdict(&receipt, attempt.authorization.authorization(), usdc) {
            Verdict::Transferred => return settled(env, record, &receipt).await,
            // Any hash can be claimed. That it is not our transfer says nothing of the authorization.
            Verdict::NoTransfer if claimed => {}
            Verdict::NoTransfer => {
                return Ok(Event::AttemptFailed {
                    reason: Refusal::InvalidExactEvmTransferEventMismatch,
                    transaction: Some(*hash),
                });
            }
            Verdict::Reverted => return reverted(env, record, attempt, &receipt).await,
        }
    }
    let last = memory
        .last_asked
        .get()
        .filter(|at| at >= since)
        .unwrap_or(*since);
    if env.now().since(last) < ASK_AGAIN_MILLIS {
        return Err(Stuck::Waiting);
    }
    memory.last_asked.set(Some(env.now()));
    if claimed {
        return facilitated::reconcile(env, record, attempt).await;
    }
    // Not included for a while. The wallet may send under another hash by now; to submit again is to ask that.
    let (answer, is_refund) = match (&record.state, env.config().settlement.route(attempt.via)) {
        (State::RefundPending { refund, .. }, _) => (pay_back(env, record, refund).await?, true),
        (_, Route::GasWallet(key)) => (charge(env, record, attempt, key.address()).await?, false),
        (_, Route::Facilitator(_)) => return Err(Stuck::Waiting),
    };
    match answer {
        Event::Submitted { hashes: current }
            if current.iter().any(|hash| !hashes.contains(hash)) =>
        {
            Ok(Event::Submitted { hashes: current })
        }
        Event::Submitted { .. } if is_refund => {
            let at = env.chain().head().await?.number;
            match elsewhere(env, record, attempt, at).await? {
                Some(event) => Ok(event),
                // Replaced after the gas wallet had seen it included, for instance: nobody sends it any more, and unlike
                // a payment it does not expire soon. The contract executes the next try or this one, never both.
                None if env.now().since(*since) >= REFUND_LOST_MILLIS => Ok(Event::AttemptFailed {
                    reason: Refusal::InvalidExactEvmTransactionFailed,
                    transaction: None,
                }),
                None => Err(Stuck::Waiting),
            }
        }
        Event::Submitted { .. } => not_included(env, record, attempt).await,
        other => Ok(other),
    }
}

/// Whether an attempt's transactions are a facilitator's claim. (A refund is always sent by a wallet of ours.)
fn is_claimed<E: ChallengeEnv>(env: &E, record: &Record, attempt: &Attempt) -> bool {
    let route = env.config().settlement.route(attempt.via);
    matches!(record.state, State::Pending { .. }) && matches!(route, Route::Facilitator(_))
}

/// The attempt's transaction reverted. Somebody else may have used the authorization before it, so a node that does not know
/// that block must not be asked; or may still use it.
async fn reverted<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    receipt: &Receipt,
) -> Result<Event, Stuck> {
    let at = confirmed(env, receipt).await?;
    if let Some(event) = elsewhere(env, record, attempt, at).await? {
        return Ok(event);
    }
    if is_claimed(env, record, attempt) && !env.config().settlement.is_last(attempt.via) {
        return Ok(Event::PassedOn { exposed: false });
    }
    if attempt.exposed {
        return not_included(env, record, attempt).await;
    }
    Ok(Event::AttemptFailed {
        reason: Refusal::InvalidExactEvmTransactionFailed,
        transaction: Some(receipt.transaction),
    })
}

/// None of our transactions is included: is the money here all the same, may it still come, or can it not come any more?
pub(super) async fn not_included<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    match given_up(env, record, attempt).await? {
        // Never begun by us, and too late to begin; or simply not included yet.
        Event::Lapsed {
            may_still_land: true,
        } if is_under_way(env, record, attempt) => Err(Stuck::Waiting),
        event => Ok(event),
    }
}

/// Whether somebody whom we asked may be about to get the transfer included.
fn is_under_way<E: ChallengeEnv>(env: &E, record: &Record, attempt: &Attempt) -> bool {
    let begun = !matches!(attempt.stage, Stage::Settling);
    if begun && !is_claimed(env, record, attempt) {
        return true;
    }
    // Facilitators give up sooner or later, and authorizations may be good for years.
    let end = record.terms.expires_at.to_millis().plus(ANSWER_MILLIS);
    (begun || attempt.exposed) && env.now() < end
}

/// What is known of an authorization that we do not pursue (any more).
async fn given_up<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    // The head first: what is included while we ask must not be overlooked.
    let head = env.chain().head().await?;
    if let Some(event) = elsewhere(env, record, attempt, head.number).await? {
        return Ok(event);
    }
    let expiry = attempt.authorization.authorization().expires_at();
    Ok(Event::Lapsed {
        may_still_land: head.timestamp < expiry.plus(LAPSE_MARGIN_SECONDS).0,
    })
}

/// Looks for a use of the authorization by anybody, up to the newest block that is known. `None` when it is unused.
pub(super) async fn used_by_anybody<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Option<Event>, Stuck> {
    let head = env.chain().head().await?;
    elsewhere(env, record, attempt, head.number).await
}

/// The chain would refuse an authorization that others may have seen: was it used, or why else?
pub(super) async fn refused<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    text: &str,
    at: u64,
) -> Result<Event, Stuck> {
    if let Some(event) = elsewhere(env, record, attempt, at).await? {
        return Ok(event);
    }
    match diagnose(env, &attempt.authorization, text).await? {
        // Used after that block.
        Refusal::InvalidExactEvmNonceAlreadyUsed => Err(Stuck::Waiting),
        reason => Ok(Event::AttemptFailed {
            reason,
            transaction: None,
        }),
    }
}

/// Looks for a use of the authorization by anybody. `None` when it is unused up to and including the block `at`: the nodes
/// behind one address may be blocks apart, and what one of them does not know yet must not pass for "no money moved".
async fn elsewhere<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
    at: u64,
) -> Result<Option<Event>, Stuck> {
    let authorization = attempt.authorization.authorization();
    let chain = env.chain();
    if !chain
        .authorization_used(authorization.from, authorization.nonce, Some(at))
        .await?
    {
        return Ok(None);
    }
    let from_block = attempt.from_block.saturating_sub(LOG_MARGIN_BLOCKS);
    let events = chain
        .authorization_events(authorization.from, authorization.nonce, from_block)
        .await?;
    let mut paid_somebody_else = false;
    for transaction in events.used_in {
        let Some(receipt) = chain.receipt(transaction).await? else {
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

/// The end of a failed attempt, unless somebody else broadcast it.
async fn lapse<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    Ok(match given_up(env, record, attempt).await? {
        // Used up without paying us.
        Event::AttemptFailed { .. } => Event::Lapsed {
            may_still_land: false,
        },
        event => event,
    })
}

/// Looks at an authorization that was given up.
async fn watch<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    match lapse(env, record, attempt).await? {
        Event::Lapsed {
            may_still_land: true,
        } if !watched_enough(record, env.now()) => Err(Stuck::Waiting),
        Event::Lapsed { .. } => Ok(Event::Lapsed {
            may_still_land: false,
        }),
        event => Ok(event),
    }
}

async fn settled<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    receipt: &Receipt,
) -> Result<Event, Stuck> {
    if env.config().confirmations > 1 {
        confirmed(env, receipt).await?;
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

/// The newest block, once the receipt's is as deep below it as the seller wants.
async fn confirmed<E: ChallengeEnv>(env: &E, receipt: &Receipt) -> Result<u64, Stuck> {
    let wanted = env.config().confirmations;
    let head = env.chain().head().await?.number;
    if head.saturating_add(1) < receipt.block.saturating_add(wanted) {
        return Err(Stuck::Waiting);
    }
    // Its block may have been replaced before the head was read. Still there now means deep enough.
    if wanted > 1 && env.chain().receipt(receipt.transaction).await?.as_ref() != Some(receipt) {
        return Err(Stuck::Waiting);
    }
    Ok(head)
}

/// Fixes the credential: our own token's claims, and the backend's credential where it issues one.
async fn issue<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    payment: &Payment,
) -> Result<Event, Stuck> {
    let mut claims = claims(env, record, payment);
    let Some(backend) = &env.config().issuing_backend else {
        return Ok(Event::Issued {
            claims,
            remote: None,
        });
    };
    let call = remote::call(backend, record, payment);
    match env.issue(call).await {
        Ok(answer) => {
            if let Some(expires_at) = answer.expires_at {
                claims.exp = expires_at.0;
            }
            let sealed = env
                .config()
                .credential_key
                .seal(&record.challenge_id, &answer.body);
            Ok(Event::Issued {
                claims,
                remote: Some(sealed),
            })
        }
        Err(fault) => {
            env.log("issue_failed", record.terms.request_id.as_str());
            if env.config().refund_wallet.is_none() {
                env.log(
                    "refunds_off",
                    "set KEY0_WALLET_PRIVATE_KEY, or this payment stays without a credential",
                );
            }
            Ok(Event::IssueFailed { fault })
        }
    }
}

fn claims<E: ChallengeEnv>(env: &E, record: &Record, payment: &Payment) -> key0_validator::Claims {
    let Target::Plan(plan) = &record.terms.target;
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

/// Signs the refund. Wallet, recipient and amount are fixed from here on; a key that changes later does not matter.
fn begin_refund<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    payment: &Payment,
) -> Result<Event, Stuck> {
    let Some(wallet) = &env.config().refund_wallet else {
        return Err(Stuck::Waiting);
    };
    let authorization = Authorization {
        from: wallet.address(),
        to: record.payer,
        value: payment.amount.to_u256(),
        valid_after: U256::ZERO,
        valid_before: U256::from(env.now().to_seconds().plus(REFUND_VALID_SECONDS).0),
        nonce: refund_nonce(&record.challenge_id),
    };
    SignedAuthorization::sign(wallet, authorization, record.terms.network)
        .map(|authorization| Event::RefundBegun { authorization })
        .map_err(|_| Stuck::Fault("signing a refund failed".to_owned()))
}

/// The nonce of a challenge's one refund.
pub fn refund_nonce(challenge: &ChallengeId) -> B256 {
    let digest = Sha256::new()
        .chain_update(b"key0 refund v1\0")
        .chain_update(challenge.as_str())
        .finalize();
    B256::from_slice(&digest)
}

/// Looks whether the refund would succeed now, so that no gas is spent on one that cannot.
async fn prepare_refund<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    refund: &Refund,
) -> Result<Event, Stuck> {
    let signed = &refund.attempt.authorization;
    let simulation = env.chain().simulate(signed, refund_sender(env)?).await?;
    let head = env.chain().head().await?.number;
    match simulation {
        Simulation::Succeeds { gas } => Ok(Event::RefundPrepared {
            gas_limit: gas_limit(gas),
            from_block: head,
        }),
        // An earlier try may have succeeded after we had given it up.
        Simulation::Reverts(text) => {
            let event = refused(env, record, &refund.attempt, &text, head).await?;
            if let Event::AttemptFailed { reason, .. } = &event {
                env.log("refund_not_possible", reason.code());
            }
            Ok(event)
        }
    }
}

/// Room for what changes until inclusion: a first-time balance, a warm or cold slot.
pub(super) const fn gas_limit(estimate: u64) -> u64 {
    estimate.saturating_add(estimate / 4).saturating_add(10_000)
}

#[cfg(test)]
mod tests;
