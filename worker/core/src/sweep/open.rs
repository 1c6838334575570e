//! What the ledger says is open, and has been for longer than anything takes.

use super::env::{SweepEnv, Swept, wake};
use crate::ledger::{Cursor, LedgerCommand, Order, Progress, ask_all, page, share};
use crate::types::{CallFault, Status};

/// The states in which something is still looked after, the money first.
const OPEN: [Status; 4] = [
    Status::Paid,
    Status::RefundPending,
    Status::RefundFailed,
    Status::Pending,
];
/// What changed since is on its way.
pub(super) const AGE_MILLIS: u64 = 600_000;
const PAGE: usize = 100;
/// So many purchases of one state are looked at by one sweep, and the next one goes on behind them.
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
