//! Finds payments on chain that the ledger does not know.

use alloy_primitives::Address;

use super::env::{SweepEnv, Swept, wake};
use super::payments::payments;
use crate::chain::base::Seen;
use crate::ledger::{LedgerCommand, LedgerReply, Progress, ask_all, wrong_answer};

/// The number of newest blocks that are not searched, because their purchases are still under way: ten minutes of
/// blocks of two seconds.
const SETTLING_BLOCKS: u64 = 300;
/// How many blocks each sweep reads at least, even if an earlier sweep has read them: three hours.
const OVERLAP_BLOCKS: u64 = 5_400;
/// For how many blocks the sweep keeps trying to reach a purchase that does not answer: a day.
const PATIENCE_BLOCKS: u64 = 43_200;
/// How many blocks one query covers, as long as no node refuses.
const FIRST_WINDOW: u64 = 500;
/// By how much a refusal narrows the window.
const NARROWER: u64 = 8;
/// The narrowest window, in blocks. A node that refuses even this window does not answer at all.
const LAST_WINDOW: u64 = FIRST_WINDOW / NARROWER / NARROWER;
/// How many queries one sweep makes: enough for more than the blocks of an hour in the narrowest windows.
const MAX_QUESTIONS: u32 = 300;
/// The most transactions unknown to the ledger that one sweep looks up.
const MAX_UNKNOWN: u32 = 300;
/// How many transactions one query to the ledger names.
const CHUNK: usize = 200;

/// How far one sweep has come.
struct Look {
    head: u64,
    unknown: u32,
    /// The first block with a payment whose purchase could not be reached.
    missed: Option<u64>,
}

pub(super) async fn sweep<E: SweepEnv>(
    env: &E,
    progress: &mut Progress,
    swept: &mut Swept,
) -> Result<(), String> {
    let head = env.head().await.map_err(|error| error.0)?.number;
    let last = head.saturating_sub(SETTLING_BLOCKS);
    let overlap = head.saturating_sub(OVERLAP_BLOCKS);
    let mut next = progress.next_block.unwrap_or(overlap).min(overlap);
    // Includes the seller's earlier wallets, because offers that name one of them are still accepted.
    let wallets: Vec<Address> = env.config().wallets.all().collect();
    let mut look = Look {
        head,
        unknown: 0,
        missed: None,
    };
    let mut window = FIRST_WINDOW;
    let mut outcome = Ok(());
    for question in 0.. {
        if next > last {
            break;
        }
        if question == MAX_QUESTIONS {
            env.log("sweep_behind", &format!("at block {next} of {last}"));
            break;
        }
        let end = last.min(next.saturating_add(window - 1));
        let seen = match env.transfers(&wallets, next..=end).await {
            Ok(seen) => seen,
            Err(_) if window > LAST_WINDOW => {
                window /= NARROWER;
                continue;
            }
            Err(error) => {
                outcome = Err(error.0);
                break;
            }
        };
        match look_into(env, &seen, &wallets, &mut look, swept).await {
            Ok(None) => next = end.saturating_add(1),
            Ok(Some(block)) => {
                env.log("sweep_behind", &format!("at block {block} of {last}"));
                next = block;
                break;
            }
            Err(fault) => {
                outcome = Err(fault);
                break;
            }
        }
    }
    progress.next_block = Some(look.missed.map_or(next, |missed| missed.min(next)));
    outcome
}

/// Wakes the purchases that these transfers pay and that the ledger does not know. Returns `Some` with the block to go
/// on with next time, if there is too much for one sweep.
async fn look_into<E: SweepEnv>(
    env: &E,
    seen: &[Seen],
    wallets: &[Address],
    look: &mut Look,
    swept: &mut Swept,
) -> Result<Option<u64>, String> {
    let mut all: Vec<(Seen, u32)> = Vec::new();
    for transfer in seen {
        match all.last_mut() {
            Some((last, count)) if last == transfer => *count += 1,
            _ => all.push((*transfer, 1)),
        }
    }
    for chunk in all.chunks(CHUNK) {
        let known = known(env, chunk).await?;
        let mut unknown_in = None;
        for ((seen, transfers), known) in chunk.iter().zip(known) {
            if known >= *transfers {
                continue;
            }
            // A block is always finished, so that each sweep gets further.
            if look.unknown >= MAX_UNKNOWN && unknown_in != Some(seen.block) {
                return Ok(Some(seen.block));
            }
            unknown_in = Some(seen.block);
            look.unknown += 1;
            if !wake_payer(env, seen, wallets, swept).await
                && seen.block.saturating_add(PATIENCE_BLOCKS) > look.head
            {
                look.missed.get_or_insert(seen.block);
            }
        }
    }
    Ok(None)
}

/// How many purchases of the ledger each of these transactions pays.
async fn known<E: SweepEnv>(env: &E, chunk: &[(Seen, u32)]) -> Result<Vec<u32>, String> {
    let transactions = chunk.iter().map(|(seen, _)| seen.transaction).collect();
    let command = LedgerCommand::Paid { transactions };
    let replies = ask_all(env, &command).await.map_err(|fault| fault.0)?;
    let mut known = vec![0_u32; chunk.len()];
    for reply in replies {
        let LedgerReply::Paid(counts) = reply else {
            return Err(wrong_answer().0);
        };
        for (sum, count) in known.iter_mut().zip(counts) {
            *sum = sum.saturating_add(count);
        }
    }
    Ok(known)
}

/// Wakes every purchase that a transaction pays. Returns whether all could be reached. (A transfer that counts for no
/// purchase is the seller's own business.)
async fn wake_payer<E: SweepEnv>(
    env: &E,
    seen: &Seen,
    wallets: &[Address],
    swept: &mut Swept,
) -> bool {
    let receipt = match env.receipt(seen.transaction).await {
        Ok(Some(receipt)) => receipt,
        Ok(None) => return false,
        Err(error) => {
            env.log("sweep_failed", &error.0);
            return false;
        }
    };
    let mut is_complete = true;
    for (payer, key) in payments(&receipt, env.config().network.usdc(), wallets) {
        match env.owner(payer, key).await {
            Ok(None) => {}
            Ok(Some(request_id)) => is_complete &= wake(env, &request_id, swept).await,
            Err(fault) => {
                env.log("sweep_failed", &fault.0);
                is_complete = false;
            }
        }
    }
    is_complete
}
