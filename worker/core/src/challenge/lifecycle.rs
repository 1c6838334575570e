//! The life of a purchase, as pure functions: what an event makes of a record, and what a record asks for next.
//!
//! A record *is* the intent of its next effect: the shell stores it first and carries the effect out afterwards, as often
//! as it takes. So a crash between "sent" and "known" is a state like any other.

use alloy_primitives::B256;
use key0_validator::Claims;

use super::record::{Attempt, AuditRow, Payment, Record, Stage, State};
use super::seal::Challenge;
use crate::payment::{Refusal, SignedAuthorization};
use crate::types::{RequestId, UnixMillis, UnixSeconds};

/// The alarm's first distance to an effect that is being carried out, doubled with each try.
const FIRST_RETRY_MILLIS: u64 = 3_000;
const MAX_RETRY_MILLIS: u64 = 60_000;
/// How long after an authorization's expiry it is given up: a node that is asked may be this far behind, and the newest
/// blocks may be replaced.
pub(super) const LAPSE_MARGIN_SECONDS: u64 = 30;
/// An authorization that failed is watched at most this long after the offer's expiry.
const MAX_WATCH_SECONDS: u64 = 7 * 86_400;

/// Something that happened to a purchase.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A checked authorization was presented: the purchase begins, or begins again after a failed attempt.
    Attempted {
        /// What is paid.
        challenge: Challenge,
        /// The public URL through which it is bought.
        issuer: String,
        /// What the payer signed.
        authorization: SignedAuthorization,
        /// The most gas that the transfer may use.
        gas_limit: u64,
        /// The newest block before anything is broadcast.
        from_block: u64,
    },
    /// The payer's book gave the authorization to this purchase.
    Reserved,
    /// The payer's book counts the authorization for another purchase.
    Superseded {
        /// The other purchase.
        by: RequestId,
    },
    /// The gas wallet broadcasts it under these hashes.
    Submitted {
        /// Transaction hashes.
        hashes: Vec<B256>,
    },
    /// The attempt failed; no money moved.
    AttemptFailed {
        /// Why.
        reason: Refusal,
        /// The transaction that failed.
        transaction: Option<B256>,
    },
    /// The authorization was not used and can no longer be, or nothing was begun and it is too late.
    Lapsed,
    /// The money arrived.
    Settled {
        /// The money.
        payment: Payment,
    },
    /// The credential is fixed.
    Issued {
        /// Its claims.
        claims: Claims,
    },
    /// The purchase was called off.
    Cancelled,
    /// The payer's book no longer counts the purchase as unresolved.
    TargetReleased,
    /// The alarm tried and got no further.
    Tried,
}

/// What a record asks for next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Book the authorization with the payer.
    Reserve,
    /// Hand the transfer to the gas wallet.
    Submit,
    /// Look whether the money has arrived.
    Confirm,
    /// Fix the credential.
    Issue,
    /// Tell the payer's book that the purchase is resolved.
    ReleaseTarget,
    /// Nothing before this moment; then end a purchase whose attempt has failed.
    LapseAt(UnixMillis),
    /// Nothing, ever.
    Rest,
}

/// The event does not fit the record; nothing changes. Happens when two drivers report the same thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused;

/// What an event makes of a record.
pub fn apply(record: Option<&Record>, event: Event, now: UnixMillis) -> Result<Record, Refused> {
    let Some(record) = record else {
        return begin(event);
    };
    let mut next = record.clone();
    next.tries = 0;
    match (&mut next.state, event) {
        (_, Event::Tried) => next.tries = record.tries.saturating_add(1),
        (_, Event::TargetReleased) if record.holds_target && is_resolved(&record.state) => {
            next.holds_target = false;
        }
        (
            State::Pending { attempt },
            Event::Attempted {
                authorization,
                gas_limit,
                from_block,
                ..
            },
        ) if matches!(attempt.stage, Stage::Failed { .. })
            // What failed may still be used by anybody who saw it. So only the very same authorization is tried again:
            // another one beside it could charge the purchase twice.
            && authorization.authorization() == attempt.authorization.authorization() =>
        {
            *attempt = Attempt {
                number: attempt.number.saturating_add(1),
                authorization,
                gas_limit,
                from_block: from_block.min(attempt.from_block),
                stage: Stage::Reserving,
            };
            next.holds_target = true;
        }
        (State::Pending { attempt }, event) => {
            let state = advance(attempt, event, now)?;
            // A superseded purchase never got hold of its target.
            if let Some(State::Cancelled {
                superseded_by: Some(_),
            }) = state
            {
                next.holds_target = false;
            }
            if let Some(state) = state {
                next.state = state;
            }
        }
        (State::Paid { payment }, Event::Issued { claims }) => {
            next.state = State::Delivered {
                payment: payment.clone(),
                claims,
            };
        }
        _ => return Err(Refused),
    }
    Ok(next)
}

fn begin(event: Event) -> Result<Record, Refused> {
    let Event::Attempted {
        challenge,
        issuer,
        authorization,
        gas_limit,
        from_block,
    } = event
    else {
        return Err(Refused);
    };
    Ok(Record {
        challenge_id: challenge.id,
        terms: challenge.terms,
        issuer,
        payer: authorization.payer(),
        state: State::Pending {
            attempt: Attempt {
                number: 1,
                authorization,
                gas_limit,
                from_block,
                stage: Stage::Reserving,
            },
        },
        holds_target: true,
        tries: 0,
    })
}

/// Moves an attempt on. `Some` when the purchase leaves `PENDING`.
fn advance(attempt: &mut Attempt, event: Event, now: UnixMillis) -> Result<Option<State>, Refused> {
    match (&mut attempt.stage, event) {
        (Stage::Reserving, Event::Reserved) => attempt.stage = Stage::Settling,
        (Stage::Reserving, Event::Superseded { by }) => {
            return Ok(Some(State::Cancelled {
                superseded_by: Some(by),
            }));
        }
        (Stage::Settling, Event::Submitted { hashes }) if !hashes.is_empty() => {
            attempt.stage = Stage::Submitted { hashes, since: now };
        }
        (Stage::Submitted { hashes: known, .. }, Event::Submitted { hashes }) => {
            if hashes.iter().all(|hash| known.contains(hash)) {
                return Err(Refused);
            }
            known.extend(
                hashes
                    .into_iter()
                    .filter(|hash| !known.contains(hash))
                    .collect::<Vec<_>>(),
            );
        }
        (
            Stage::Reserving | Stage::Settling | Stage::Submitted { .. },
            Event::AttemptFailed {
                reason,
                transaction,
            },
        ) => {
            attempt.stage = Stage::Failed {
                reason,
                transaction,
            };
        }
        (_, Event::Lapsed) => return Ok(Some(State::Expired)),
        // Also after a failure: somebody else may have broadcast the authorization.
        (
            Stage::Settling | Stage::Submitted { .. } | Stage::Failed { .. },
            Event::Settled { payment },
        ) => {
            return Ok(Some(State::Paid { payment }));
        }
        // Once something may have been broadcast, calling off is too late.
        (Stage::Reserving | Stage::Failed { .. }, Event::Cancelled) => {
            return Ok(Some(State::Cancelled {
                superseded_by: None,
            }));
        }
        _ => return Err(Refused),
    }
    Ok(None)
}

/// Whether the payer may begin another purchase of the same target.
const fn is_resolved(state: &State) -> bool {
    match state {
        State::Pending { attempt } => matches!(attempt.stage, Stage::Failed { .. }),
        State::Paid { .. } | State::RefundPending { .. } => false,
        State::Delivered { .. }
        | State::Expired
        | State::Cancelled { .. }
        | State::Refunded { .. }
        | State::RefundFailed { .. } => true,
    }
}

/// What a record asks for next.
pub fn next_effect(record: &Record) -> Effect {
    if record.holds_target && is_resolved(&record.state) {
        return Effect::ReleaseTarget;
    }
    match &record.state {
        State::Pending { attempt } => match attempt.stage {
            Stage::Reserving => Effect::Reserve,
            Stage::Settling => Effect::Submit,
            Stage::Submitted { .. } => Effect::Confirm,
            Stage::Failed { .. } => Effect::LapseAt(lapses_at(record, attempt).to_millis()),
        },
        State::Paid { .. } => Effect::Issue,
        State::Delivered { .. }
        | State::Expired
        | State::Cancelled { .. }
        | State::RefundPending { .. }
        | State::Refunded { .. }
        | State::RefundFailed { .. } => Effect::Rest,
    }
}

/// What failed is public, and anybody may still use it: another transaction of ours, or somebody who read the chain. So it
/// is watched until it can no longer be used.
fn lapses_at(record: &Record, attempt: &Attempt) -> UnixSeconds {
    let offer = record.terms.expires_at;
    let authorization = attempt.authorization.authorization().expires_at();
    offer
        .max(authorization.min(offer.plus(MAX_WATCH_SECONDS)))
        .plus(LAPSE_MARGIN_SECONDS)
}

/// When the alarm must look at a record again, if nobody else does before.
pub fn wake_at(record: &Record, now: UnixMillis) -> Option<UnixMillis> {
    let retry = FIRST_RETRY_MILLIS
        .saturating_mul(1 << record.tries.min(10))
        .min(MAX_RETRY_MILLIS);
    match next_effect(record) {
        Effect::Rest => None,
        Effect::LapseAt(at) => Some(at.max(now)),
        // The buyer's answer does not wait for this, so the alarm does it at once.
        Effect::ReleaseTarget if record.tries == 0 => Some(now),
        _ => Some(now.plus(retry)),
    }
}

impl Event {
    /// The line of history for this event.
    pub fn audit(&self, after: &Record, at: UnixMillis) -> AuditRow {
        AuditRow {
            at,
            event: self.name(),
            status: after.state.name(),
            transaction: after.state.transaction(),
        }
    }

    /// Whether the event belongs into the history; mere retries do not.
    pub const fn is_history(&self) -> bool {
        !matches!(self, Self::Tried)
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Attempted { .. } => "attempted",
            Self::Reserved => "reserved",
            Self::Superseded { .. } => "superseded",
            Self::Submitted { .. } => "submitted",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Lapsed => "lapsed",
            Self::Settled { .. } => "settled",
            Self::Issued { .. } => "issued",
            Self::Cancelled => "cancelled",
            Self::TargetReleased => "target_released",
            Self::Tried => "tried",
        }
    }
}

#[cfg(test)]
mod tests;
