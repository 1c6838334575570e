//! Rules for when a purchase says that no money moved: it must be true as of the newest block that it was told of.
//! (What a later block includes cannot be known.)

use alloy_primitives::{Address, B256};
use key0_core::chain::SignedAuthorization;
use key0_core::purchase::{Ask, Attempt, PayReply, Purchase, Stage, State};
use key0_core::x402::Refusal;

use super::end::presented_first;
use super::steps::{attempt_of, describe, has_only_searched};
use crate::objects::PurchaseObject;
use crate::world::World;

/// What the chain last showed to a purchase.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// The newest block, or the block of a receipt.
    pub block: u64,
    /// How often blocks had been replaced by then.
    pub replacements: u64,
}

impl Told {
    /// What the most up-to-date node would show now.
    pub fn now(world: &World) -> Self {
        let chain = world.chain.borrow();
        Self {
            block: chain.head().number,
            replacements: chain.replacements(),
        }
    }

    /// Whether the chain has shown anything.
    pub const fn is_any(&self) -> bool {
        self.block > 0
    }
}

/// Checks a record that was just stored: an attempt may have failed, or a purchase may have expired, only if no money
/// had moved, as far as the chain had shown.
pub fn on_end_without_money(
    world: &World,
    object: &PurchaseObject,
    told: Told,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    if before.is_some_and(|before| has_only_searched(&before.state, &after.state)) {
        return;
    }
    let attempt = match (&after.state, before.map(|before| &before.state)) {
        (State::Pending { attempt }, _) => Some(attempt).filter(|attempt| has_failed(attempt)),
        (State::Expired { .. }, Some(before)) => attempt_of(before),
        _ => None,
    };
    if let Some(attempt) = attempt {
        let nonce = attempt.broadcast.authorization.authorization().nonce;
        check(
            world,
            object,
            told,
            (after.payer, nonce),
            after.state.status().as_str(),
        );
    }
}

/// Checks an answer that says that nothing was charged: no money may have moved, as far as the chain had shown.
pub fn on_refusal(world: &World, object: &PurchaseObject, told: Told, ask: &Ask, reply: &PayReply) {
    // A purchase that has begun is called expired only after it has expired.
    if let (PayReply::Expired, Some(record)) = (reply, object.record())
        && !matches!(record.state, State::Expired { .. })
    {
        let detail = format!("expired, but {}", describe(&record));
        world.violation("payment_denied", &object.id, detail);
    }
    let says = match reply {
        PayReply::Refused { reason, .. } => reason.code(),
        PayReply::Expired => "expired",
        PayReply::Cancelled => "cancelled",
        _ => return,
    };
    let key = match ask {
        Ask::Pay(pay) => {
            let signed = &pay.authorization;
            if let PayReply::Refused { reason, .. } = reply {
                has_reason(world, object, signed, *reason);
            }
            (signed.payer(), signed.authorization().nonce)
        }
        Ask::Join(_) => {
            let Some(record) = object.record() else {
                return;
            };
            let Some(attempt) = record.state.open_attempt() else {
                return;
            };
            let nonce = attempt.broadcast.authorization.authorization().nonce;
            (record.payer, nonce)
        }
        Ask::Prove(_) => return,
    };
    if object.attempts.borrow().contains(&key.1) && presented_first(world, key, &object.id) {
        check(world, object, told, key, says);
    }
}

/// Rule: a payment is not refused only because one node is in trouble.
fn has_reason(
    world: &World,
    object: &PurchaseObject,
    signed: &SignedAuthorization,
    reason: Refusal,
) {
    if reason != Refusal::InvalidExactEvmTransactionSimulationFailed {
        return;
    }
    let chain = world.chain.borrow();
    let (ledger, authorization) = (chain.ledger(), signed.authorization());
    let key = (signed.payer(), authorization.nonce);
    let is_over = world.seconds() >= authorization.expires_at();
    if ledger.refusals(&key) == 0 && ledger.used(&key).is_none() && !is_over {
        let detail = format!("{} for no reason", reason.code());
        world.violation("refused_for_nothing", &object.id, detail);
    }
}

const fn has_failed(attempt: &Attempt) -> bool {
    matches!(attempt.stage, Stage::Failed { .. })
}

fn check(world: &World, object: &PurchaseObject, told: Told, key: (Address, B256), says: &str) {
    let chain = world.chain.borrow();
    let transfer = chain.ledger().transfer(&key);
    // A block that was replaced meanwhile may have said something else.
    if chain.replacements() == told.replacements
        && transfer.is_some_and(|transfer| transfer.block <= told.block)
    {
        let detail = format!("{says} after block {}, but {transfer:?}", told.block);
        world.violation("payment_denied", &object.id, detail);
    }
}
