//! A refund: the same authorization tried again until it is included, or too often.

use super::super::schedule::refund_pause;
use super::super::state::{Payment, Refund, Stage, State};
use super::attempt::collect;
use super::event::{Event, Refused};
use crate::config::Policy;
use crate::types::UnixMillis;

/// After so many failed tries an operator must look at a refund.
pub const MAX_REFUND_FAILURES: u32 = 8;

/// Moves a refund on. `Some` when the purchase leaves `REFUND_PENDING`.
pub(super) fn advance_refund(
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
        (_, Event::Settled { payment: returned }) => {
            return arrived(payment, &returned).map(Some);
        }
        _ => return Err(Refused),
    }
    Ok(None)
}

/// The money is back.
pub(super) fn arrived(payment: &Payment, returned: &Payment) -> Result<State, Refused> {
    // The payment's own transaction returns nothing; a late word of it must not pass for the refund.
    if returned.transaction == payment.transaction {
        return Err(Refused);
    }
    Ok(State::Refunded {
        payment: payment.clone(),
        transaction: returned.transaction,
    })
}

/// The next try of a refund: the same authorization, another job for the gas wallet.
pub(super) fn again(refund: &mut Refund, not_before: UnixMillis) {
    refund.attempt.number = refund.attempt.number.saturating_add(1);
    refund.attempt.stage = Stage::Preparing;
    refund.not_before = not_before;
}
