//! A payment attempt: reserved, sent, included or failed.

use alloy_primitives::B256;

use super::super::state::{Attempt, Stage, State};
use super::event::{Event, Refused};
use super::paid::paid;
use crate::types::UnixMillis;
use crate::x402::Refusal;

/// Moves a payment attempt on.
pub(super) fn advance(
    mut attempt: Attempt,
    event: Event,
    now: UnixMillis,
) -> Result<State, Refused> {
    match (&mut attempt.stage, event) {
        (
            Stage::Failed { .. },
            Event::Attempted {
                authorization,
                gas_limit,
                from_block,
                ..
            },
        )
            // What failed may still be used by anybody who saw it. So only the very same
            // authorization is tried again: another one could charge the purchase twice.
            if authorization.authorization() == attempt.authorization.authorization() =>
        {
            attempt = Attempt {
                number: attempt.number.saturating_add(1),
                authorization,
                gas_limit,
                from_block: from_block.min(attempt.from_block),
                searched_to: 0,
                via: 0,
                stage: Stage::Reserving,
                ..attempt
            };
        }
        (Stage::Reserving, Event::Reserved) => attempt.stage = Stage::Settling,
        // An earlier attempt has made the authorization public, so it must be watched like any that failed.
        (Stage::Reserving, Event::Superseded { .. }) if attempt.number > 1 => {
            attempt.stage = Stage::Failed {
                reason: Refusal::InvalidExactEvmTransactionFailed,
                transaction: None,
            };
        }
        (Stage::Reserving, Event::Superseded { by }) => {
            return Ok(State::Cancelled {
                superseded_by: Some(by),
                reserving: None,
                watch: None,
            });
        }
        // The end at once: whatever becomes of that authorization counts for the other purchase, never for this one.
        (Stage::Reserving, Event::Taken) => {
            return Ok(State::Cancelled {
                superseded_by: None,
                reserving: None,
                watch: None,
            });
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
        (_, Event::Submitted { hashes }) => collect(&mut attempt, hashes, now)?,
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
            return Ok(State::Expired {
                watch: may_still_land.then_some(attempt),
            });
        }
        // Also after a failure: somebody else may have broadcast the authorization.
        (
            Stage::Settling | Stage::Asked { .. } | Stage::Submitted { .. } | Stage::Failed { .. },
            Event::Settled { payment },
        ) => {
            return Ok(paid(payment, now));
        }
        // As long as our own transaction may be included, calling off is too late.
        (Stage::Reserving, Event::Cancelled) if attempt.number == 1 => {
            return Ok(State::Cancelled {
                superseded_by: None,
                reserving: Some(attempt.authorization.authorization().nonce),
                watch: None,
            });
        }
        // What has failed is not tried again any more; but everybody may have seen its authorization.
        (Stage::Failed { .. }, Event::Cancelled) => {
            return Ok(State::Cancelled {
                superseded_by: None,
                reserving: None,
                watch: Some(attempt),
            });
        }
        _ => return Err(Refused),
    }
    Ok(State::Pending { attempt })
}

/// Adds the hashes under which an attempt may be included.
pub(super) fn collect(
    attempt: &mut Attempt,
    hashes: Vec<B256>,
    now: UnixMillis,
) -> Result<(), Refused> {
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
