//! Rules for the transaction hashes under which a purchase looks for its money.

use alloy_primitives::B256;
use key0_core::purchase::{Attempt, Purchase, RefundStage, Stage};
use key0_core::settlement::Route;
use key0_core::settlement::wallet::JobKey;

use super::refunds::refund_of;
use super::steps::attempt_of;
use crate::objects::PurchaseObject;
use crate::world::World;

/// Checks a record that was just stored: each hash that it waits for must be that of a transaction of the wallet's job,
/// and no hash may be forgotten.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    let Some((job, hashes)) = submitted(world, object, after) else {
        return;
    };
    let jobs = world.objects.wallet.jobs.borrow();
    let sent = jobs.get(&job).map(|sent| sent.hashes()).unwrap_or_default();
    if hashes.is_empty() || hashes.iter().any(|hash| !sent.contains(hash)) {
        let detail = format!("{hashes:?}, but the wallet has sent {sent:?}");
        world.violation("unknown_hash", &object.id, detail);
    }
    if let Some((_, known)) = before
        .and_then(|before| submitted(world, object, before))
        .filter(|(same, _)| *same == job)
        && known.iter().any(|hash| !hashes.contains(hash))
    {
        let detail = format!("{known:?} became {hashes:?}");
        world.violation("hash_forgotten", &object.id, detail);
    }
}

/// The job of the gas wallet that a purchase waits for, and its hashes as far as they are known. (What a facilitator names
/// may be anything.)
fn submitted<'a>(
    world: &World,
    object: &PurchaseObject,
    record: &'a Purchase,
) -> Option<(JobKey, &'a [B256])> {
    let (broadcast, sent, kind) = match refund_of(&record.state) {
        Some(refund) => match &refund.stage {
            RefundStage::Submitted(sent) => (&refund.broadcast, sent, " refund "),
            RefundStage::Preparing | RefundStage::Settling => return None,
        },
        None => {
            let attempt = attempt_of(&record.state).filter(|its| is_sent_by_us(world, its))?;
            let Stage::Submitted(sent) = &attempt.stage else {
                return None;
            };
            (&attempt.broadcast, sent, "")
        }
    };
    let job = JobKey(format!("{}{kind}#{}", object.id, broadcast.number));
    Some((job, &sent.hashes))
}

fn is_sent_by_us(world: &World, attempt: &Attempt) -> bool {
    matches!(
        world.config.settlement.route(attempt.via),
        Route::GasWallet(_)
    )
}
