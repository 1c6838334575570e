//! The payer's book: whose the authorization is, and which purchase of a target is open.

use alloy_primitives::B256;

use crate::challenge::env::{CallFault, ChallengeEnv, Stuck};
use crate::challenge::lifecycle::Event;
use crate::challenge::record::{Attempt, Record, Stage, State};
use crate::payment::payer::{Outcome, PayerCommand, PayerReply, Reservation, TargetKey};
use crate::payment::{Refusal, Route};

pub(super) async fn reserve<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    let nonce = attempt.authorization.authorization().nonce;
    let name = attempt.identifier;
    Ok(
        match book(env, record, nonce, attempt.number, name).await? {
            PayerReply::Reserved => Event::Reserved,
            PayerReply::Superseded { by } => Event::Superseded { by },
            PayerReply::Taken => Event::Taken,
            PayerReply::Claimed(_) | PayerReply::Paused { .. } | PayerReply::Released => {
                return Err(Stuck::Fault(
                    "the payer's book gave a wrong answer".to_owned(),
                ));
            }
        },
    )
}

async fn book<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    nonce: B256,
    attempt: u32,
    identifier: Option<B256>,
) -> Result<PayerReply, CallFault> {
    let reserve = PayerCommand::Reserve(Reservation {
        nonce,
        request_id: record.terms.request_id.clone(),
        attempt,
        target: TargetKey::new(&record.terms.target, &record.terms.resource),
        identifier,
    });
    env.payer(record.payer, reserve).await
}

/// What the payer's book is to know of how the purchase came out.
fn outcome<E: ChallengeEnv>(env: &E, record: &Record) -> Outcome {
    match &record.state {
        State::Pending { attempt } => {
            match (&attempt.stage, env.config().settlement.route(attempt.via)) {
                (
                    Stage::Failed {
                        reason: Refusal::InvalidExactEvmTransactionFailed,
                        transaction: Some(_),
                    },
                    Route::GasWallet(_),
                ) => Outcome::Reverted,
                _ => Outcome::Other,
            }
        }
        state if state.payment().is_some() => Outcome::Paid,
        _ => Outcome::Other,
    }
}

pub(in crate::challenge) async fn release<E: ChallengeEnv>(
    env: &E,
    record: &Record,
) -> Result<Event, Stuck> {
    if let State::Cancelled {
        reserving: Some(nonce),
        ..
    } = record.state
    {
        // That message may still be on its way, and would lock the target again after its release. Of what is booked, a
        // late copy changes nothing.
        book(env, record, nonce, 1, None).await?;
    }
    let release = PayerCommand::Release {
        target: TargetKey::new(&record.terms.target, &record.terms.resource),
        request_id: record.terms.request_id.clone(),
        attempt: match &record.state {
            State::Pending { attempt } => attempt.number,
            _ => u32::MAX,
        },
        outcome: outcome(env, record),
    };
    env.payer(record.payer, release).await?;
    Ok(Event::TargetReleased)
}
