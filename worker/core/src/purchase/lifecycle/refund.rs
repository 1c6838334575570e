//! A refund: the same authorization is tried again until it is included or has failed too often.

use alloy_primitives::B256;

use super::super::schedule::refund_pause;
use super::super::state::{Broadcast, Payment, Purchase, Refund, RefundStage, Sent, State};
use super::event::{Event, Refused};
use crate::chain::SignedAuthorization;
use crate::config::Policy;
use crate::types::UnixMillis;

/// The number of failed tries after which an operator must look at a refund.
pub const MAX_REFUND_FAILURES: u32 = 8;

/// The state when a refund was signed by the wallet that received the money.
pub(super) fn begin(
    record: &Purchase,
    payment: Payment,
    authorization: SignedAuthorization,
    now: UnixMillis,
) -> Result<State, Refused> {
    let signed = authorization.authorization();
    if signed.from != record.terms.pay_to
        || signed.to != record.payer
        || signed.value != payment.amount.to_u256()
    {
        return Err(Refused);
    }
    let broadcast = Broadcast {
        number: 1,
        authorization,
        gas_limit: 0,
        from_block: payment.block,
        searched_to: 0,
    };
    Ok(State::RefundPending {
        payment,
        refund: Refund {
            broadcast,
            stage: RefundStage::Preparing,
            failures: 0,
            not_before: now,
            reason: None,
        },
    })
}

/// Moves a refund on.
pub(super) fn advance(
    payment: Payment,
    mut refund: Refund,
    event: Event,
    now: UnixMillis,
    policy: &Policy,
) -> Result<State, Refused> {
    match (&mut refund.stage, event) {
        (
            RefundStage::Preparing,
            Event::RefundPrepared {
                gas_limit,
                from_block,
            },
        ) => {
            refund.broadcast.gas_limit = gas_limit;
            refund.broadcast.from_block = from_block.min(refund.broadcast.from_block);
            refund.stage = RefundStage::Settling;
        }
        (RefundStage::Settling, Event::Submitted { hashes }) => {
            refund.stage = RefundStage::Submitted(Sent::begin(hashes, now)?);
        }
        (RefundStage::Submitted(sent), Event::Submitted { hashes }) => sent.add(hashes)?,
        (_, Event::AttemptFailed { reason, .. }) => {
            refund.reason = Some(reason);
            refund.failures = refund.failures.saturating_add(1);
            if refund.failures >= MAX_REFUND_FAILURES {
                return Ok(State::RefundFailed { payment, refund });
            }
            let pause = refund_pause(policy, refund.failures);
            return Ok(again(payment, refund, now.plus(pause)));
        }
        (_, Event::Settled { payment: returned }) => {
            return arrived(payment, returned.transaction);
        }
        _ => return Err(Refused),
    }
    Ok(State::RefundPending { payment, refund })
}

/// The state when the refund has arrived.
pub(super) fn arrived(payment: Payment, transaction: B256) -> Result<State, Refused> {
    // The payment's own transaction returns nothing: late news of the payment must not be taken for the refund.
    if transaction == payment.transaction {
        return Err(Refused);
    }
    Ok(State::Refunded {
        payment,
        transaction,
    })
}

/// The next try of a refund: the same authorization, another job for the gas wallet.
pub(super) fn again(payment: Payment, mut refund: Refund, not_before: UnixMillis) -> State {
    refund.broadcast.number = refund.broadcast.number.saturating_add(1);
    refund.stage = RefundStage::Preparing;
    refund.not_before = not_before;
    State::RefundPending { payment, refund }
}
