//! What the pipeline needs from outside: its storage, the chain, a clock, a key.

use alloy_primitives::B256;

use super::job::{JobKey, Sent, WalletFault};
use crate::chain::Chain;
use crate::types::WalletKey;
use crate::types::{Network, UnixMillis};

/// A change to the wallet's storage. It is written as a whole or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// A job to store in its present form.
    pub put: Option<&'a Sent>,
    /// A job that is done: its name and hashes are kept, everything else is removed.
    pub close: Option<&'a Sent>,
    /// The new floor: the lowest nonce that may be given out.
    pub floor: Option<u64>,
    /// The time of the next alarm.
    pub wake_at: Option<UnixMillis>,
}

/// Where jobs are kept. Each call is one transaction. Except for [`open_jobs`](Self::open_jobs) and
/// [`forget`](Self::forget), the cost of a call does not grow with the number of jobs.
pub trait WalletStore {
    /// The hashes of a job's transactions, even when the job is done.
    fn hashes(&self, key: &JobKey) -> Result<Option<Vec<B256>>, WalletFault>;
    /// The open job with this name.
    fn job(&self, key: &JobKey) -> Result<Option<Sent>, WalletFault>;
    /// At most `limit` open jobs in the order of their names, beginning after `after`.
    fn open_jobs(&self, after: Option<&JobKey>, limit: usize) -> Result<Vec<Sent>, WalletFault>;
    /// The lowest nonce that may be given out; `None` before the first job.
    fn floor(&self) -> Result<Option<u64>, WalletFault>;
    /// Writes a change.
    fn write(&self, change: &Change<'_>) -> Result<(), WalletFault>;
    /// Forgets at most `limit` jobs that were done before this time, and returns their number.
    fn forget(&self, before: UnixMillis, limit: usize) -> Result<usize, WalletFault>;
    /// Sets the alarm, or removes it.
    fn wake_at(&self, at: Option<UnixMillis>) -> Result<(), WalletFault>;
}

/// What the pipeline needs from outside.
pub trait WalletEnv {
    /// The wallet's storage.
    type Store: WalletStore;
    /// The chain.
    type Chain: Chain;

    /// The storage.
    fn store(&self) -> &Self::Store;
    /// The chain.
    fn chain(&self) -> &Self::Chain;
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// The wallet's key.
    fn key(&self) -> &WalletKey;
    /// The network.
    fn network(&self) -> Network;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}
