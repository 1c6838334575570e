//! What a sweep needs from outside, and its report.

use core::future::Future;
use core::ops::RangeInclusive;

use alloy_primitives::{Address, B256};

use crate::chain::ChainError;
use crate::chain::base::{Head, Receipt, Seen};
use crate::config::Config;
use crate::ledger::Ledgers;
use crate::types::{CallFault, RequestId, UnixMillis};

/// The report of a sweep.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// How many purchases the sweep looked at.
    pub looked_at: u32,
    /// How many of them had to be woken.
    pub woken: u32,
    /// How many of the purchases could not be reached.
    pub unreachable: u32,
}

/// What the sweep needs from outside.
pub trait SweepEnv: Ledgers {
    /// The settings.
    fn config(&self) -> &Config;
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// The newest block.
    fn head(&self) -> impl Future<Output = Result<Head, ChainError>>;
    /// The transfers of USDC to these wallets in these blocks, in their order, each once, without transfers of zero. A
    /// node may refuse to search too many blocks at once.
    fn transfers(
        &self,
        wallets: &[Address],
        blocks: RangeInclusive<u64>,
    ) -> impl Future<Output = Result<Vec<Seen>, ChainError>>;
    /// A transaction's receipt, once it is included.
    fn receipt(
        &self,
        transaction: B256,
    ) -> impl Future<Output = Result<Option<Receipt>, ChainError>>;
    /// The purchase for which a payer's book counts a payment: an authorization's nonce, or a transfer's key.
    fn owner(
        &self,
        payer: Address,
        payment: B256,
    ) -> impl Future<Output = Result<Option<RequestId>, CallFault>>;
    /// Has a purchase check its alarm and its report ([`nudge`](crate::purchase::nudge)).
    fn nudge(&self, request_id: &RequestId) -> impl Future<Output = Result<bool, CallFault>>;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// Wakes a purchase if that is needed. Returns whether the purchase could be reached.
pub(super) async fn wake<E: SweepEnv>(env: &E, request_id: &RequestId, swept: &mut Swept) -> bool {
    swept.looked_at += 1;
    match env.nudge(request_id).await {
        Ok(was_needed) => {
            if was_needed {
                env.log("woken_by_sweep", request_id.as_str());
                swept.woken += 1;
            }
            true
        }
        Err(fault) => {
            env.log("sweep_failed", &fault.0);
            swept.unreachable += 1;
            false
        }
    }
}
