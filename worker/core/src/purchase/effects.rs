//! The outside effects of a purchase, each returning what it found out. Any of them may run twice.

mod charge;
mod confirm;
mod depth;
mod diagnose;
pub(super) mod facilitator;
mod fate;
mod issue;
mod issue_call;
mod refund;
mod reserve;
mod search;

use super::env::{Memory, PurchaseEnv, Stuck};
use super::lifecycle::Event;
use super::schedule::{Effect, next_effect, watched_enough};
use super::state::{Purchase, RefundStage, Stage, State};
use crate::settlement::Route;

pub(super) use charge::gas_limit;
pub(super) use depth::shown;
pub(super) use diagnose::{DISAGREE, TOO_LITTLE, diagnose};
pub(super) use fate::{Fate, end, fate_of, refused};
pub use refund::refund_nonce;
pub(super) use reserve::{booking_keys, release};

/// Carries out what the record asks for now.
pub(super) async fn run<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    memory: &Memory,
) -> Result<Event, Stuck> {
    let effect = next_effect(record, env.now(), &env.config().policy());
    match (effect, &record.state) {
        (Effect::Reserve, State::Pending { attempt }) => {
            reserve::reserve(env, record, attempt).await
        }
        (Effect::Reserve, State::Proving(proof)) => {
            reserve::book(env, record, proof.transaction, &proof.transfers).await
        }
        (Effect::Submit, State::Pending { attempt }) => {
            match env.config().settlement.route(attempt.via) {
                Route::Facilitator(facilitator) => {
                    facilitator::verify(env, record, attempt, facilitator, memory).await
                }
                Route::GasWallet(key) => charge::charge(env, record, attempt, key.address()).await,
            }
        }
        (Effect::Reconcile, State::Pending { attempt }) => {
            facilitator::reconcile(env, record, attempt).await
        }
        (Effect::Confirm, State::Pending { attempt }) => match &attempt.stage {
            Stage::Submitted(sent) => confirm::payment(env, record, attempt, sent, memory).await,
            _ => Err(Stuck::Waiting),
        },
        (Effect::Lapse, State::Pending { attempt }) => {
            let fate = fate_of(env, record, &attempt.broadcast).await?;
            Ok(fate.given_up(false).event())
        }
        (
            Effect::Watch,
            State::Expired {
                watch: Some(attempt),
            }
            | State::Cancelled {
                watch: Some(attempt),
                ..
            },
        ) => {
            let fate = fate_of(env, record, &attempt.broadcast).await?;
            let is_enough = watched_enough(record, env.now());
            fate.given_up(is_enough).awaited(true)
        }
        // Its authorization is good for years, and its transactions are public.
        (Effect::Watch, State::RefundFailed { refund, .. }) => {
            let fate = fate_of(env, record, &refund.broadcast).await?;
            fate.payment().ok_or(Stuck::Waiting)
        }
        (Effect::Issue, State::Paid { payment, .. }) => issue::issue(env, record, payment).await,
        (
            Effect::BeginRefund,
            State::Paid { payment, .. } | State::RefundBlocked { payment, .. },
        ) => refund::begin(env, record, payment),
        (Effect::PrepareRefund, State::RefundPending { refund, .. }) => {
            refund::prepare(env, record, refund).await
        }
        (Effect::Submit, State::RefundPending { refund, .. }) => {
            refund::pay_back(env, record, refund).await
        }
        (Effect::Confirm, State::RefundPending { refund, .. }) => match &refund.stage {
            RefundStage::Submitted(sent) => {
                confirm::refund(env, record, refund, sent, memory).await
            }
            _ => Err(Stuck::Waiting),
        },
        (Effect::ReleaseTarget, _) => release(env, record).await,
        (Effect::RemoveHistory, _) => Ok(Event::HistoryRemoved),
        (Effect::RemoveGrant, _) => Ok(Event::GrantRemoved),
        _ => Err(Stuck::Waiting),
    }
}

#[cfg(test)]
mod tests;
