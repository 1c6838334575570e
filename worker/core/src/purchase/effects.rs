//! The outside effects of a purchase. Each returns what it found out, and any of them may run twice.

mod call;
mod charge;
mod confirm;
mod depth;
mod diagnose;
pub(in crate::purchase) mod extension;
pub(super) mod facilitator;
mod fate;
mod issue;
mod issue_call;
mod refund;
mod remove;
mod reserve;
mod search;

use super::env::{Memory, PurchaseEnv, Stuck};
use super::lifecycle::Event;
use super::schedule::{Effect, next_effect, watched_enough};
use super::state::{Purchase, RefundStage, Stage, State};
use crate::settlement::Route;

pub(super) use call::{is_excused, make as make_call, outcome as outcome_of_call};
pub(super) use charge::gas_limit;
pub(super) use depth::shown;
pub(super) use diagnose::{DISAGREE, TOO_LITTLE, diagnose};
pub(super) use fate::{Fate, end, fate_of, refused};
pub(super) use issue::tell_arrived;
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
        // A refund's authorization is good for years and its transactions are public, so a refund that failed may still
        // arrive.
        (Effect::Watch, State::RefundFailed { refund, .. }) => {
            let fate = fate_of(env, record, &refund.broadcast).await?;
            fate.payment().ok_or(Stuck::Waiting)
        }
        (Effect::Call, _) => call::next(env, record, memory),
        (Effect::LookAgain, State::Pending { attempt }) => {
            charge::look_again(env, record, attempt).await
        }
        // The call's answer is stored and its price is charged, so it can be delivered.
        (
            Effect::Issue,
            State::Paid {
                held: Some(head), ..
            },
        ) => Ok(Event::Issued {
            goods: record.answered(head, None),
        }),
        (Effect::Issue, State::Paid { payment, .. }) => issue::issue(env, record, payment).await,
        (
            Effect::BeginRefund,
            State::Paid { payment, .. } | State::RefundBlocked { payment, .. },
        ) => refund::begin(env, record, payment).await,
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
        (Effect::Remove, _) => remove::remove(env, record).await,
        _ => Err(Stuck::Waiting),
    }
}

#[cfg(test)]
mod tests;
