//! What a purchase needs from outside: storage, chain, clock, the other objects; what they may fail with, and when they were
//! asked last.

use core::cell::Cell;
use core::future::Future;

use super::shared::Shared;
use super::state::{AuditRow, Purchase};
use crate::backend::authentication::{BackendAnswer, BackendCall};
use crate::book::{PayerCommand, PayerReply};
use crate::chain::{Chain, ChainError};
use crate::config::Config;
use crate::goods::DeliveryFault;
use crate::ledger::LedgerEntry;
use crate::settlement::facilitator::{FacilitatorAnswer, FacilitatorCall};
use crate::settlement::wallet::{WalletCommand, WalletReply};
use crate::types::{Address, CallFault, UnixMillis};

/// A record with the number of its version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Versioned {
    /// Counts the changes.
    pub version: u64,
    /// The record.
    pub record: Purchase,
}

/// The storage failed. The text is for the log only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreFault(pub String);

/// Where one purchase is stored.
pub trait PurchaseStore {
    /// The record, if the purchase exists. Creates nothing.
    fn load(&self) -> Result<Option<Versioned>, StoreFault>;

    /// Writes record, history line and alarm in one transaction, if the stored version is still `expected` (`None`: if
    /// nothing is stored). Answers whether it was. With a record that is without history ([`Rest`](super::Rest)) the lines
    /// that were written before are removed in the same transaction.
    fn commit(
        &self,
        expected: Option<u64>,
        record: &Purchase,
        audit: Option<&AuditRow>,
        wake_at: Option<UnixMillis>,
    ) -> Result<bool, StoreFault>;

    /// When the alarm rings; `None` when none is set, or while one is being handled.
    fn alarm(&self) -> impl Future<Output = Result<Option<UnixMillis>, StoreFault>>;

    /// Sets the alarm and changes nothing else.
    fn set_alarm(&self, at: UnixMillis) -> Result<(), StoreFault>;
}

/// What a purchase needs from outside.
pub trait PurchaseEnv {
    /// Its storage.
    type Store: PurchaseStore;
    /// The chain.
    type Chain: Chain;

    /// The settings.
    fn config(&self) -> &Config;
    /// The storage.
    fn store(&self) -> &Self::Store;
    /// The chain.
    fn chain(&self) -> &Self::Chain;
    /// What all purchases of this isolate know.
    fn shared(&self) -> &Shared;
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// Waits.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()>;
    /// Asks a payer's book.
    fn payer(
        &self,
        payer: Address,
        command: PayerCommand,
    ) -> impl Future<Output = Result<PayerReply, CallFault>>;
    /// Asks a wallet of ours.
    fn wallet(
        &self,
        sender: Address,
        command: WalletCommand,
    ) -> impl Future<Output = Result<WalletReply, CallFault>>;
    /// Asks a facilitator, and returns its answer, whatever its status. Follows it within its own site.
    fn facilitator(
        &self,
        call: FacilitatorCall<'_>,
    ) -> impl Future<Output = Result<FacilitatorAnswer, CallFault>>;
    /// Calls the backend, authenticated. Repeating it is safe: the call carries an idempotency key. Follows no redirect.
    fn backend(
        &self,
        call: BackendCall,
    ) -> impl Future<Output = Result<BackendAnswer, DeliveryFault>>;
    /// Tells the ledger what the record says. Repeating it changes nothing.
    fn ledger(&self, entry: LedgerEntry) -> impl Future<Output = Result<(), CallFault>>;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// What spaces out questions to others.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When it was last asked what became of a transaction without a receipt.
    pub(super) last_asked: Cell<Option<UnixMillis>>,
    /// When a payment that was given up was looked for, and what came of it.
    pub(super) looked: Cell<Option<(UnixMillis, Found)>>,
    /// When the last one of the routes was found to be of no use.
    pub(super) routes_failed: Cell<Option<UnixMillis>>,
}

/// What came of a look for a payment that we had given up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// There is none, and never will be.
    Nothing,
    /// There is none in the newest block, and the authorization can still be used.
    NotYet,
    /// The record knows more now.
    More,
    /// The chain cannot tell right now.
    Unknown,
}

/// Why an effect got no further. Trying again is safe.
pub(super) enum Stuck {
    /// Nothing is wrong; it takes time.
    Waiting,
    /// Something outside failed.
    Fault(String),
}

impl From<ChainError> for Stuck {
    fn from(error: ChainError) -> Self {
        Self::Fault(error.0)
    }
}

impl From<CallFault> for Stuck {
    fn from(fault: CallFault) -> Self {
        Self::Fault(fault.0)
    }
}
