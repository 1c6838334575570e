//! The life of a purchase, as pure functions: what an event makes of a record, and what a record asks for next.
//!
//! A record *is* the intent of its next effect: the shell stores it first and carries the effect out afterwards, as often
//! as it takes. So a crash between "sent" and "known" is a state like any other.

use alloy_primitives::B256;
use key0_validator::Claims;

use super::record::{
    Attempt, AuditRow, DeliveryFailure, IssueFault, Payment, Record, Refund, Rest, Stage, State,
};
use super::retention::is_over;
use super::schedule::{Effect, Policy, is_resolved, next_effect, refund_pause};
use super::seal::Challenge;
use crate::ledger::LedgerEntry;
use crate::payment::{Refusal, SignedAuthorization};
use crate::types::{RequestId, UnixMillis};

/// After so many failed tries an operator must look at a refund.
pub const MAX_REFUND_FAILURES: u32 = 8;

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
    /// The authorization belongs to another purchase, which presented it first.
    Taken,
    /// A facilitator is about to be asked to settle.
    Asked,
    /// The route did not settle. The next one is tried.
    PassedOn {
        /// Whether the route may still settle.
        exposed: bool,
    },
    /// The transfer is broadcast under these hashes.
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
    /// Nothing was charged and we will not try any more.
    Lapsed {
        /// Whether somebody else could still broadcast the authorization.
        may_still_land: bool,
    },
    /// The money arrived: the price at the seller, or the refund at the payer.
    Settled {
        /// The money.
        payment: Payment,
    },
    /// The credential is fixed.
    Issued {
        /// Its claims.
        claims: Claims,
        /// The backend's own credential, sealed.
        remote: Option<String>,
    },
    /// The credential could not be had.
    IssueFailed {
        /// How.
        fault: IssueFault,
    },
    /// The money is to go back; from here on nothing is delivered.
    RefundBegun {
        /// What the seller's wallet signed, once and for all.
        authorization: SignedAuthorization,
    },
    /// A try to refund was found possible.
    RefundPrepared {
        /// The most gas that the transfer may use.
        gas_limit: u64,
        /// The newest block before this try.
        from_block: u64,
    },
    /// An operator has removed what kept a refund from succeeding.
    RefundRetried,
    /// The purchase was called off.
    Cancelled,
    /// The payer's book no longer counts the purchase as unresolved.
    TargetReleased,
    /// The history has been kept for long enough.
    HistoryRemoved,
    /// The grant has been kept for long enough.
    GrantRemoved,
    /// The ledger knows what the record says.
    Reported,
    /// The ledger is about to be told.
    ReportTried,
    /// An operator wants the ledger to be told again.
    ReportAsked,
    /// The alarm tried and got no further.
    Tried,
}

/// The event does not fit the record; nothing changes. Happens when two drivers report the same thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused;

/// What an event makes of a record.
pub fn apply(
    record: Option<&Record>,
    event: Event,
    now: UnixMillis,
    policy: &Policy,
) -> Result<Record, Refused> {
    let Some(record) = record else {
        return begin(event, now);
    };
    let mut next = record.clone();
    next.tries = 0;
    match (&mut next.state, event) {
        (_, Event::Tried) => next.tries = record.tries.saturating_add(1),
        // The schedule of everything else does not depend on the ledger.
        (_, event @ (Event::Reported | Event::ReportTried | Event::ReportAsked)) => {
            next.tries = record.tries;
            next.unreported = match event {
                Event::Reported => None,
                Event::ReportTried => record.unreported.map(|tries| tries.saturating_add(1)),
                _ => Some(0),
            };
        }
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
                via: 0,
                exposed: attempt.exposed,
                stage: Stage::Reserving,
            };
            next.holds_target = true;
        }
        (State::Pending { attempt }, event) => {
            let is_without_target = matches!(event, Event::Superseded { .. } | Event::Taken);
            // A route that cannot be reached is no progress.
            if matches!(event, Event::PassedOn { exposed: false }) {
                next.tries = record.tries;
            }
            let state = advance(attempt, event, now)?;
            // A superseded purchase never got hold of its target, nor did one whose payment is another's.
            if is_without_target {
                next.holds_target = false;
            }
            next.state = state.unwrap_or(next.state);
        }
        (State::Paid { payment, .. }, Event::Issued { claims, remote }) => {
            next.state = State::Delivered {
                payment: payment.clone(),
                claims,
                remote,
            };
        }
        (State::Paid { failure, .. }, Event::IssueFailed { fault }) => {
            let tries = failure.map_or(0, |failure| failure.tries).saturating_add(1);
            *failure = Some(DeliveryFailure {
                fault,
                at: now,
                tries,
            });
        }
        (State::Paid { payment, .. }, Event::RefundBegun { authorization })
            if authorization.authorization().to == record.payer
                && authorization.authorization().value == payment.amount.to_u256() =>
        {
            next.state = State::RefundPending {
                refund: Refund {
                    attempt: Attempt {
                        number: 1,
                        authorization,
                        gas_limit: 0,
                        from_block: payment.block,
                        via: 0,
                        exposed: false,
                        stage: Stage::Preparing,
                    },
                    failures: 0,
                    not_before: now,
                    reason: None,
                },
                payment: payment.clone(),
            };
        }
        (State::RefundPending { payment, refund }, event) => {
            if let Some(state) = advance_refund(payment, refund, event, now, policy)? {
                next.state = state;
            }
        }
        (State::RefundFailed { payment, refund }, Event::RefundRetried) => {
            let mut refund = refund.clone();
            refund.failures = 0;
            again(&mut refund, now);
            next.state = State::RefundPending {
                payment: payment.clone(),
                refund,
            };
        }
        // Given up too early, or called off: the charge was broadcast by somebody else.
        (
            State::Expired { watch: Some(_) } | State::Cancelled { watch: Some(_), .. },
            Event::Settled { payment },
        ) => {
            next.state = paid(payment, now);
        }
        (
            State::Expired { watch } | State::Cancelled { watch, .. },
            Event::Lapsed {
                may_still_land: false,
            },
        ) if watch.is_some() => *watch = None,
        (_, Event::HistoryRemoved) if next_effect(record, now, policy) == Effect::RemoveHistory => {
            next.rest = Rest::WithoutHistory;
        }
        (State::Delivered { payment, .. }, Event::GrantRemoved)
            if next_effect(record, now, policy) == Effect::RemoveGrant =>
        {
            next.state = State::Closed {
                payment: payment.clone(),
            };
        }
        _ => return Err(Refused),
    }
    if next.state.name() != record.state.name() {
        next.changed_at = now;
    }
    if next.rest == Rest::NotYet && is_over(&next) {
        next.rest = Rest::Since(now);
    }
    let says = |record| LedgerEntry::of(record, 0);
    if next.unreported.is_none() && says(&next) != says(record) {
        next.unreported = Some(0);
    }
    Ok(next)
}

fn begin(event: Event, now: UnixMillis) -> Result<Record, Refused> {
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
                via: 0,
                exposed: false,
                stage: Stage::Reserving,
            },
        },
        changed_at: now,
        rest: Rest::NotYet,
        holds_target: true,
        unreported: Some(0),
        tries: 0,
    })
}

const fn paid(payment: Payment, now: UnixMillis) -> State {
    State::Paid {
        payment,
        since: now,
        failure: None,
    }
}

/// Moves a payment attempt on. `Some` when the purchase leaves `PENDING`.
fn advance(attempt: &mut Attempt, event: Event, now: UnixMillis) -> Result<Option<State>, Refused> {
    match (&mut attempt.stage, event) {
        (Stage::Reserving, Event::Reserved) => attempt.stage = Stage::Settling,
        // An earlier attempt has made the authorization public, so it must be watched like any that failed.
        (Stage::Reserving, Event::Superseded { .. }) if attempt.number > 1 => {
            attempt.stage = Stage::Failed {
                reason: Refusal::InvalidExactEvmTransactionFailed,
                transaction: None,
            };
        }
        (Stage::Reserving, Event::Superseded { by }) => {
            return Ok(Some(State::Cancelled {
                superseded_by: Some(by),
                reserving: None,
                watch: None,
            }));
        }
        // The end at once: whatever becomes of that authorization counts for the other purchase, never for this one.
        (Stage::Reserving, Event::Taken) => {
            return Ok(Some(State::Cancelled {
                superseded_by: None,
                reserving: None,
                watch: None,
            }));
        }
        // From here on a facilitator may broadcast.
        (Stage::Settling, Event::Asked) => attempt.stage = Stage::Asked { since: now },
        (
            Stage::Settling | Stage::Asked { .. } | Stage::Submitted { .. },
            Event::PassedOn { exposed },
        ) => {
            attempt.via = attempt.via.wrapping_add(1);
            attempt.exposed |= exposed;
            attempt.stage = Stage::Settling;
        }
        (_, Event::Submitted { hashes }) => collect(attempt, hashes, now)?,
        (
            Stage::Reserving | Stage::Settling | Stage::Asked { .. } | Stage::Submitted { .. },
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
        (_, Event::Lapsed { may_still_land }) => {
            return Ok(Some(State::Expired {
                watch: may_still_land.then(|| attempt.clone()),
            }));
        }
        // Also after a failure: somebody else may have broadcast the authorization.
        (
            Stage::Settling | Stage::Asked { .. } | Stage::Submitted { .. } | Stage::Failed { .. },
            Event::Settled { payment },
        ) => {
            return Ok(Some(paid(payment, now)));
        }
        // As long as our own transaction may be included, calling off is too late.
        (Stage::Reserving, Event::Cancelled) if attempt.number == 1 => {
            return Ok(Some(State::Cancelled {
                superseded_by: None,
                reserving: Some(attempt.authorization.authorization().nonce),
                watch: None,
            }));
        }
        // What has failed is not tried again any more; but everybody may have seen its authorization.
        (Stage::Failed { .. }, Event::Cancelled) => {
            return Ok(Some(State::Cancelled {
                superseded_by: None,
                reserving: None,
                watch: Some(attempt.clone()),
            }));
        }
        _ => return Err(Refused),
    }
    Ok(None)
}

/// Moves a refund on. `Some` when the purchase leaves `REFUND_PENDING`.
fn advance_refund(
    payment: &Payment,
    refund: &mut Refund,
    event: Event,
    now: UnixMillis,
    policy: &Policy,
) -> Result<Option<State>, Refused> {
    match (&refund.attempt.stage, event) {
        (
            Stage::Preparing,
            Event::RefundPrepared {
                gas_limit,
                from_block,
            },
        ) => {
            refund.attempt.gas_limit = gas_limit;
            refund.attempt.from_block = from_block.min(refund.attempt.from_block);
            refund.attempt.stage = Stage::Settling;
        }
        (_, Event::Submitted { hashes }) => collect(&mut refund.attempt, hashes, now)?,
        (_, Event::AttemptFailed { reason, .. }) => {
            refund.reason = Some(reason);
            refund.failures = refund.failures.saturating_add(1);
            if refund.failures >= MAX_REFUND_FAILURES {
                return Ok(Some(State::RefundFailed {
                    payment: payment.clone(),
                    refund: refund.clone(),
                }));
            }
            let pause = refund_pause(policy, refund.failures);
            again(refund, now.plus(pause));
        }
        // The payment's own transaction returns nothing; a late word of it must not pass for the refund.
        (_, Event::Settled { payment: returned })
            if returned.transaction != payment.transaction =>
        {
            return Ok(Some(State::Refunded {
                payment: payment.clone(),
                transaction: returned.transaction,
            }));
        }
        _ => return Err(Refused),
    }
    Ok(None)
}

/// The next try of a refund: the same authorization, another job for the gas wallet.
fn again(refund: &mut Refund, not_before: UnixMillis) {
    refund.attempt.number = refund.attempt.number.saturating_add(1);
    refund.attempt.stage = Stage::Preparing;
    refund.not_before = not_before;
}

/// Adds the hashes under which an attempt may be included.
fn collect(attempt: &mut Attempt, hashes: Vec<B256>, now: UnixMillis) -> Result<(), Refused> {
    match &mut attempt.stage {
        Stage::Settling | Stage::Asked { .. } if !hashes.is_empty() => {
            attempt.stage = Stage::Submitted { hashes, since: now };
            Ok(())
        }
        Stage::Submitted { hashes: known, .. } => {
            let new: Vec<B256> = hashes
                .into_iter()
                .filter(|hash| !known.contains(hash))
                .collect();
            if new.is_empty() {
                return Err(Refused);
            }
            known.extend(new);
            Ok(())
        }
        _ => Err(Refused),
    }
}

impl Event {
    /// The line of history for this event, if it belongs there. Retries, reports and removals do not, and of deliveries
    /// that keep failing only the first, second, fourth, eighth and so on: without refunds they may fail for ever.
    pub fn audit(&self, after: &Record, at: UnixMillis) -> Option<AuditRow> {
        let tells_something = match (self, &after.state) {
            (
                Self::Tried
                | Self::HistoryRemoved
                | Self::GrantRemoved
                | Self::Reported
                | Self::ReportTried
                | Self::ReportAsked
                | Self::PassedOn { exposed: false },
                _,
            ) => false,
            (Self::IssueFailed { .. }, State::Paid { failure, .. }) => {
                failure.is_some_and(|failure| failure.tries.is_power_of_two())
            }
            _ => true,
        };
        let transaction = match &after.state {
            State::Refunded { transaction, .. } => Some(*transaction),
            State::RefundPending { refund, .. } => refund.transaction(),
            state => state.transaction(),
        };
        tells_something.then(|| AuditRow {
            at,
            event: self.name(),
            status: after.state.name(),
            transaction,
        })
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Attempted { .. } => "attempted",
            Self::Reserved => "reserved",
            Self::Superseded { .. } => "superseded",
            Self::Taken => "taken",
            Self::Asked => "asked",
            Self::PassedOn { .. } => "passed_on",
            Self::Submitted { .. } => "submitted",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Lapsed { .. } => "lapsed",
            Self::Settled { .. } => "settled",
            Self::Issued { .. } => "issued",
            Self::IssueFailed { .. } => "issue_failed",
            Self::RefundBegun { .. } => "refund_begun",
            Self::RefundPrepared { .. } => "refund_prepared",
            Self::RefundRetried => "refund_retried",
            Self::Cancelled => "cancelled",
            Self::TargetReleased => "target_released",
            Self::HistoryRemoved => "history_removed",
            Self::GrantRemoved => "grant_removed",
            Self::Reported => "reported",
            Self::ReportTried => "report_tried",
            Self::ReportAsked => "report_asked",
            Self::Tried => "tried",
        }
    }
}

#[cfg(test)]
mod tests;
