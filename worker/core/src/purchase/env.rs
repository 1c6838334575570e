//! What a purchase needs from outside: storage, chain, clock, the other objects. Also how these fail, and what the
//! driver remembers of its last questions to them.

use core::cell::{Cell, RefCell};
use core::future::Future;

use super::origin::{Arrived, OriginCall};
use super::shared::Shared;
use super::state::{AuditRow, Purchase};
use crate::backend::authentication::{BackendAnswer, BackendCall};
use crate::book::{PayerCommand, PayerReply};
use crate::chain::{Chain, ChainError};
use crate::config::Config;
use crate::goods::{AnswerHead, DeliveryFault, OriginFault};
use crate::ledger::LedgerEntry;
use crate::meter::{MeterCommand, MeterReply};
use crate::offer::CallDigest;
use crate::settlement::facilitator::{FacilitatorAnswer, FacilitatorCall};
use crate::settlement::wallet::{WalletCommand, WalletReply};
use crate::types::{Address, CallFault, RequestId, UnixMillis};

/// A record with the number of its version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Versioned {
    /// The number of changes so far.
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

    /// Writes record, history line and alarm in one storage transaction, if the stored version is still `expected`
    /// (`None`: if nothing is stored). Returns whether it was. If the record says that its history is removed
    /// ([`Rest`](super::Rest)), the stored history lines are deleted in the same transaction.
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

    /// Writes the answer body that memory holds under this number into the table of answers, in place of an earlier
    /// body. Returns whether memory holds it. Called right before the [`commit`](Self::commit) that records the answer,
    /// with no await between them, so that both are one storage transaction. If the body is written and the commit
    /// fails, the caller writes or removes the body again.
    fn keep_answer(&self, number: u32) -> Result<bool, StoreFault>;

    /// Removes everything that is stored, and the alarm.
    fn remove_all(&self) -> Result<(), StoreFault>;

    /// Removes the stored answer body, if there is one. Called like [`keep_answer`](Self::keep_answer): right before
    /// the commit of a record without an answer.
    fn remove_answer(&self) -> Result<(), StoreFault>;
}

/// What a purchase needs from outside.
pub trait PurchaseEnv {
    /// The purchase's storage.
    type Store: PurchaseStore;
    /// The chain.
    type Chain: Chain;

    /// The settings.
    fn config(&self) -> &Config;
    /// The storage.
    fn store(&self) -> &Self::Store;
    /// The chain.
    fn chain(&self) -> &Self::Chain;
    /// The state that all purchases and requests of this isolate share.
    fn shared(&self) -> &Shared;
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// Waits for `millis` milliseconds.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()>;
    /// Asks a payer's book.
    fn payer(
        &self,
        payer: Address,
        command: PayerCommand,
    ) -> impl Future<Output = Result<PayerReply, CallFault>>;
    /// Asks the meter of a grant.
    fn grant(
        &self,
        grant: &RequestId,
        command: &MeterCommand,
    ) -> impl Future<Output = Result<MeterReply, CallFault>>;
    /// Asks a wallet of ours.
    fn wallet(
        &self,
        sender: Address,
        command: WalletCommand,
    ) -> impl Future<Output = Result<WalletReply, CallFault>>;
    /// Asks a facilitator, and returns its answer, whatever its status. Follows redirects within the facilitator's own
    /// site.
    fn facilitator(
        &self,
        call: FacilitatorCall<'_>,
    ) -> impl Future<Output = Result<FacilitatorAnswer, CallFault>>;
    /// Calls the backend, authenticated. A repetition is safe: the call carries an idempotency key. Follows no
    /// redirect.
    fn backend(
        &self,
        call: BackendCall,
    ) -> impl Future<Output = Result<BackendAnswer, DeliveryFault>>;
    /// The digest of the call that the current request carries. `None` for the alarm, and for a request without a call.
    fn call(&self) -> Option<CallDigest>;
    /// Makes the call of the current request at the seller's API, once: method, path, query, headers and body are the
    /// request's. Reads the whole answer, at most `limit` bytes, and keeps its body in memory under the call's number.
    /// Or it keeps what has arrived so far, and how to read on, if the answer may be passed on while it arrives.
    fn origin(&self, call: OriginCall) -> impl Future<Output = Result<Arrived, OriginFault>>;
    /// Tells the ledger what the record says. A repetition changes nothing.
    fn ledger(&self, entry: LedgerEntry) -> impl Future<Output = Result<(), CallFault>>;
    /// Has the ledger remove the purchase's entry, and count it among the removed ones. A repetition changes nothing.
    fn unlist(&self, entry: LedgerEntry) -> impl Future<Output = Result<(), CallFault>>;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// What the driver remembers of its last questions, so that it does not ask again too soon.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When we last asked what became of a transaction without a receipt.
    pub(super) last_asked: Cell<Option<UnixMillis>>,
    /// When we last looked for a payment that was given up, and the result.
    pub(super) looked: Cell<Option<(UnixMillis, Found)>>,
    /// When the last settlement route failed, after all others had been tried in vain.
    pub(super) routes_failed: Cell<Option<UnixMillis>>,
    /// The last call that is not charged for.
    pub(super) uncharged: RefCell<Option<Uncharged>>,
    /// The number of the call whose answer is being passed on while it arrives, and when that must have ended.
    pub(super) streaming: Cell<Option<(u32, UnixMillis)>>,
}

/// A call that is not charged for.
#[derive(Debug)]
pub(super) struct Uncharged {
    /// When it ended.
    pub(super) at: UnixMillis,
    /// Its number.
    pub(super) number: u32,
    /// What came of it.
    pub(super) answer: Result<AnswerHead, OriginFault>,
}

impl Memory {
    /// Whether an answer is being passed on. If the record says so and memory does not, the process has died.
    pub(super) fn streams(&self, record: &Purchase, now: UnixMillis) -> bool {
        let (streaming, calling) = (self.streaming.get(), record.streaming());
        streaming.is_some_and(|(number, until)| {
            now < until && calling.is_some_and(|calling| calling.number == number)
        })
    }
}

/// The result of a look for a payment that was given up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// There is no payment, and there never will be.
    Nothing,
    /// There is no payment up to the newest block, but the authorization can still be used.
    NotYet,
    /// Something was found, and the record has been changed accordingly.
    More,
    /// The chain cannot tell right now.
    Unknown,
}

/// Why an effect got no further. It is safe to try again.
pub(super) enum Stuck {
    /// Nothing is wrong; the effect has to wait.
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
