//! Finds purchases that the ledger has listed as open for longer than any purchase takes.

use super::env::{SweepEnv, Swept, wake};
use crate::ledger::{Cursor, LedgerCommand, Order, Progress, ask_all, page, share};
use crate::types::{CallFault, Status};

/// The states in which something is still to be done. States in which we hold money come first.
const OPEN: [Status; 4] = [
    Status::Paid,
    Status::RefundPending,
    Status::RefundFailed,
    Status::Pending,
];
/// How long ago a purchase must have changed to be checked. One that has changed later still drives itself.
pub(super) const AGE_MILLIS: u64 = 600_000;
const PAGE: usize = 100;
/// How many purchases of each state one sweep checks. The next sweep goes on after them.
const MAX_PURCHASES: usize = 300;

pub(super) async fn sweep<E: SweepEnv>(
    env: &E,
    progress: &mut Progress,
    swept: &mut Swept,
) -> Result<(), CallFault> {
    let newest = env.now().minus(AGE_MILLIS);
    for status in OPEN {
        let mut after = progress
            .after
            .remove(&status)
            .unwrap_or_else(|| Cursor::before_all_of(status, newest));
        let mut count = 0;
        loop {
            let command = LedgerCommand::List {
                status: Some(status),
                after: Some(after.clone()),
                limit: share(PAGE),
            };
            let replies = ask_all(env, &command).await?;
            let page = page(replies, Order::Urgency, PAGE)?;
            for entry in &page.entries {
                wake(env, &entry.request_id, swept).await;
            }
            count += page.entries.len();
            let Some(next) = page.next else {
                break;
            };
            if count >= MAX_PURCHASES {
                progress.after.insert(status, next);
                break;
            }
            after = next;
        }
    }
    Ok(())
}
