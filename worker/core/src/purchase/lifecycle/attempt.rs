//! A payment attempt: reserved, sent, included or failed.

use alloy_primitives::B256;

use super::super::sold::Sold;
use super::super::state::{Attempt, Broadcast, Purchase, Sent, Stage, State};
use super::event::{Event, Refused};
use super::paid::{paid_by, paid_late};
use crate::catalog::Settle;
use crate::pauses::CONTACT_STEP;
use crate::types::UnixMillis;
use crate::x402::Refusal;

/// The first value of [`Attempt::contact`]: now, for a call that is charged after its answer. For other purchases it
/// does not matter.
pub(super) fn first_contact(sold: Option<&Sold>, now: UnixMillis) -> UnixMillis {
    match is_paid_after(sold) {
        true => now,
        false => UnixMillis::default(),
    }
}

/// Notes that the buyer has sent a request again. `None` when that need not be stored. While the call is being made it
/// must not be stored: the result of a call is stored only if the record's state has not changed since the call began.
/// (The answer itself is noted as contact, too.)
pub(super) fn contact(record: &Purchase, state: &mut State, now: UnixMillis) -> Option<()> {
    let State::Pending { attempt } = state else {
        return None;
    };
    let waits = matches!(
        attempt.stage,
        Stage::Reserving | Stage::Uncalled | Stage::Held | Stage::Settling
    );
    let is_news = now >= attempt.contact.plus(CONTACT_STEP);
    (waits && is_news && record.is_paid_after_its_answer()).then(|| attempt.contact = now)
}

/// Whether a call is sold that is charged after its answer.
fn is_paid_after(sold: Option<&Sold>) -> bool {
    let call = sold.and_then(Sold::call);
    call.is_some_and(|call| call.settle == Settle::After)
}

/// Moves a payment attempt on.
pub(super) fn advance(
    record: &Purchase,
    mut attempt: Attempt,
    event: Event,
    now: UnixMillis,
) -> Result<State, Refused> {
    match (&mut attempt.stage, event) {
        (
            // A transaction has shown the authorization to everybody, so it is not tried again.
            Stage::Failed {
                transaction: None, ..
            },
            Event::Attempted {
                authorization,
                gas_limit,
                from_block,
                ..
            },
        )
            // Anybody who saw the authorization of the failed attempt may still have it executed. So only the very same
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
                contact: first_contact(record.sold.as_ref(), now),
                stage: Stage::Reserving,
                ..attempt
            };
        }
        // If an earlier attempt has brought the answer, the call is not made again.
        (Stage::Reserving, Event::Reserved) => {
            attempt.stage = match record.is_paid_after_its_answer() {
                true if attempt.held.is_some() => Stage::Held,
                true => Stage::Uncalled,
                false => Stage::Settling,
            };
        }
        (Stage::Uncalled | Stage::Calling { .. }, Event::Calling) => {
            attempt.calls = attempt.calls.saturating_add(1);
            attempt.stage = Stage::Calling { since: now };
        }
        (Stage::Calling { since }, Event::CallPutOff) => {
            attempt.calls = attempt.calls.saturating_sub(1);
            attempt.stage = match attempt.calls {
                0 => Stage::Uncalled,
                _ => Stage::Calling { since: *since },
            };
        }
        // The buyer waits for this answer, so it is noted as contact.
        (Stage::Calling { .. }, Event::Answered { head }) if head.number == attempt.calls => {
            attempt.held = Some(head);
            attempt.contact = now;
            attempt.stage = Stage::Held;
        }
        (Stage::Held, Event::Settling) => attempt.stage = Stage::Settling,
        // An earlier attempt has made the authorization public, so it must be watched as after any failed attempt.
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
        // The purchase ends at once: whatever becomes of that authorization counts for the other purchase, never for
        // this one.
        (Stage::Reserving, Event::Taken) => {
            return Ok(State::Cancelled {
                superseded_by: None,
                reserving: None,
                watch: None,
            });
        }
        // From here on a facilitator may broadcast the authorization.
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
            Stage::Reserving
            | Stage::Uncalled
            | Stage::Calling { .. }
            | Stage::Held
            | Stage::Settling
            | Stage::Asked { .. }
            | Stage::Submitted(_),
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
                watch: may_still_land.then(|| watched(attempt)),
            });
        }
        (
            Stage::Held | Stage::Settling | Stage::Asked { .. } | Stage::Submitted(_),
            Event::Settled { payment },
        ) => {
            return Ok(paid_by(attempt, payment, now));
        }
        // Somebody else may have broadcast the authorization.
        (Stage::Failed { .. }, Event::Settled { payment }) => {
            return Ok(paid_late(record, payment, now));
        }
        // Only before the first attempt is reserved. Later our own transaction may be included, so it is too late to
        // call off.
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
                watch: Some(watched(attempt)),
            });
        }
        _ => return Err(Refused),
    }
    Ok(State::Pending { attempt })
}

/// A watched attempt delivers nothing any more, so its answer is dropped: if the authorization is executed, the money
/// goes back.
fn watched(attempt: Attempt) -> Attempt {
    Attempt {
        held: None,
        ..attempt
    }
}

impl Sent {
    /// The first hashes under which the transfer may be included.
    pub(super) fn begin(hashes: Vec<B256>, now: UnixMillis) -> Result<Self, Refused> {
        let is_sent = !hashes.is_empty();
        is_sent
            .then_some(Self { hashes, since: now })
            .ok_or(Refused)
    }

    /// Adds further hashes.
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
