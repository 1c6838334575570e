//! A purchase that was paid by an ordinary transfer, from what the chain shows to what the payer's book says.

use alloy_primitives::Address;

use super::super::state::{Payment, Proof, Purchase, State};
use super::event::Event;
use super::paid::paid;
use crate::types::UnixMillis;

/// Whether a transfer of this payer may still pay the purchase.
pub(super) fn may_prove(record: &Purchase, payer: Address) -> bool {
    record.state.is_open() && !record.holds_target && record.payer == payer
}

/// The state that follows from the reply of the payer's book to the proof.
pub(super) fn advance(proof: &Proof, event: &Event, now: UnixMillis) -> Option<State> {
    match event {
        Event::Claimed { log } => {
            let (log, amount) = proof.transfers.iter().find(|(place, _)| place == log)?;
            let payment = Payment {
                transaction: proof.transaction,
                block: proof.block,
                settled_at: proof.included_at,
                amount: *amount,
                log: Some(*log),
                unsigned: !proof.signed,
            };
            Some(paid(payment, now))
        }
        Event::Taken => Some(State::Cancelled {
            superseded_by: None,
            reserving: None,
            watch: None,
        }),
        _ => None,
    }
}
