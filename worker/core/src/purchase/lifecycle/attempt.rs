//! A payment attempt: reserved, sent, included or failed.

use alloy_primitives::B256;

use super::super::state::{Attempt, Broadcast, Sent, Stage, State};
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
            if authorization.authorization() == attempt.broadcast.authorization.authorization() =>
        {
            attempt = Attempt {
                broadcast: Broadcast {
                    number: attempt.broadcast.number.saturating_add(1),
                    authorization,
                    gas_limit,
                    from_block: from_block.min(attempt.broadcast.from_block),
                    searched_to: 0,
                },
                via: 0,
                stage: Stage::Reserving,
                ..attempt
            };
        }
        (Stage::Reserving, Event::Reserved) => attempt.stage = Stage::Settling,
        // An earlier attempt has made the authorization public, so it must be watched like any that failed.
        (Stage::Reserving, Event::Superseded { .. }) if attempt.broadcast.number > 1 => {
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
            Stage::Settling | Stage::Asked { .. } | Stage::Submitted(_),
            Event::PassedOn { exposed },
        ) => {
            attempt.via = attempt.via.wrapping_add(1);
            attempt.exposed |= exposed;
            attempt.stage = Stage::Settling;
        }
        (Stage::Settling | Stage::Asked { .. }, Event::Submitted { hashes }) => {
            attempt.stage = Stage::Submitted(Sent::begin(hashes, now)?);
        }
        (Stage::Submitted(sent), Event::Submitted { hashes }) => sent.add(hashes)?,
        (
            Stage::Reserving | Stage::Settling | Stage::Asked { .. } | Stage::Submitted(_),
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
            Stage::Settling | Stage::Asked { .. } | Stage::Submitted(_) | Stage::Failed { .. },
            Event::Settled { payment },
        ) => {
            return Ok(paid(payment, now));
        }
        // As long as our own transaction may be included, calling off is too late.
        (Stage::Reserving, Event::Cancelled) if attempt.broadcast.number == 1 => {
            return Ok(State::Cancelled {
                superseded_by: None,
                reserving: Some(attempt.broadcast.authorization.authorization().nonce),
                watch: None,
            });
        }
        // The failed attempt is not repeated, but anyone may have seen its authorization.
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

impl Sent {
    /// The first hashes under which it may be included.
    pub(super) fn begin(hashes: Vec<B256>, now: UnixMillis) -> Result<Self, Refused> {
        let is_sent = !hashes.is_empty();
        is_sent
            .then_some(Self { hashes, since: now })
            .ok_or(Refused)
    }

    /// Further ones.
    pub(super) fn add(&mut self, hashes: Vec<B256>) -> Result<(), Refused> {
        let known = self.hashes.len();
        for hash in hashes {
            if !self.hashes.contains(&hash) {
                self.hashes.push(hash);
            }
        }
        (self.hashes.len() > known).then_some(()).ok_or(Refused)
    }
}
