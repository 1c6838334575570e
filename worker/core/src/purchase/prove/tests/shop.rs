//! A chain with one transaction, a real payer's book, and a storage.

use core::cell::Cell;
use core::ops::RangeInclusive;

use alloy_primitives::U256;
use futures_util::FutureExt as _;

use super::super::*;
use crate::backend::authentication::{BackendAnswer, BackendCall};
use crate::book::{Booking, PayerCommand, PayerReply};
use crate::chain::ChainError;
use crate::chain::base::{AuthorizationEvents, Head, Log};
use crate::chain::transfer::booking_key;
use crate::config::{Config, test_config};
use crate::goods::{DeliveryFault, OriginFault};
use crate::ledger::LedgerEntry;
use crate::meter::{MeterCommand, MeterReply};
use crate::offer::CallDigest;
use crate::pauses::Patience;
use crate::purchase::driver::Driver;
use crate::purchase::env::PurchaseStore as _;
use crate::purchase::origin::{Arrived, OriginCall};
use crate::purchase::question::Ask;
use crate::purchase::shared::Shared;
use crate::purchase::test_support::{NOW, buyer, sold, test_offer};
use crate::settlement::facilitator::{FacilitatorAnswer, FacilitatorCall};
use crate::settlement::wallet::{WalletCommand, WalletReply};
use crate::testing::{Books, MemoryStore, ScriptedChain, authorization_used, receipt, transfer};
use crate::types::{CallFault, RequestId, UnixMillis};

/// The chain's one transaction.
pub(super) const TX: B256 = B256::repeat_byte(0x77);
/// A payer.
pub(super) const ANN: Address = Address::repeat_byte(0xa1);
/// Another payer.
pub(super) const BOB: Address = Address::repeat_byte(0xb2);
/// The block of the one transaction.
pub(super) const BLOCK: u64 = 50;

/// A transfer to the seller.
pub(super) fn paid(from: Address, units: u64) -> Log {
    transfer(from, test_offer().terms.pay_to, U256::from(units))
}

/// The proof of the one transaction, signed by `payer`.
pub(super) fn proof(payer: Address) -> Prove {
    Prove {
        offer: test_offer(),
        sold: Some(sold()),
        issuer: "https://shop.example".to_owned(),
        payer: Some(payer),
        transaction: TX,
    }
}

/// The proof of the one transaction without a signature.
pub(super) fn unsigned() -> Prove {
    Prove {
        payer: None,
        ..proof(ANN)
    }
}

/// Whether an authorization was used, and how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Use {
    #[default]
    Unused,
    Cancelled,
    /// The authorization was executed, in the transaction [`EXECUTED`].
    Executed,
}

/// The transaction that executes the buyer's authorization.
pub(super) const EXECUTED: B256 = B256::repeat_byte(0x99);

/// Everything outside one purchase.
pub(super) struct Shop {
    pub(super) config: Config,
    shared: Shared,
    pub(super) store: MemoryStore,
    /// How often the chain was asked.
    pub(super) reads: Cell<u32>,
    pub(super) receipt: Option<Receipt>,
    pub(super) head: u64,
    /// The newest block's time.
    pub(super) head_time: Cell<u64>,
    pub(super) time: Option<u64>,
    /// Whether the buyer's authorization was used, and how.
    pub(super) authorization: Cell<Use>,
    pub(super) books: Books,
}

impl Shop {
    /// A shop whose chain has the one transaction with these transfers, deep enough.
    pub(super) fn new(logs: Vec<Log>) -> Self {
        let store = MemoryStore::default();
        store.alarm.set(Some(NOW));
        Self {
            config: test_config(),
            shared: Shared::new(),
            store,
            reads: Cell::default(),
            receipt: Some(receipt(TX, BLOCK, logs)),
            head: BLOCK,
            head_time: Cell::new(NOW.to_seconds().0),
            authorization: Cell::default(),
            time: Some(NOW.to_seconds().0),
            books: Books::default(),
        }
    }

    /// A shop as [`Shop::new`] with this record of a purchase.
    pub(super) fn after(record: Purchase, logs: Vec<Log>) -> Self {
        let shop = Self::new(logs);
        shop.store.put(record);
        shop
    }

    pub(super) fn ask(&self, prove: Prove) -> PayReply {
        let ask = Ask::Prove(Box::new(prove));
        let reply = Driver::default()
            .ask(self, &ask, Patience::REQUEST)
            .now_or_never();
        assert_eq!(self.store.rearmed.get(), 0, "nothing has lost the alarm");
        reply.unwrap().unwrap()
    }

    /// Rings the alarm.
    pub(super) fn wake(&self) {
        Driver::default()
            .wake(self)
            .now_or_never()
            .unwrap()
            .unwrap();
        assert_eq!(self.store.rearmed.get(), 0, "nothing has lost the alarm");
    }

    pub(super) fn record(&self) -> Option<Purchase> {
        self.store.load().unwrap().map(|stored| stored.record)
    }

    /// Lets another purchase claim a transfer of the transaction.
    pub(super) fn claimed(&self, payer: Address, log: u32) {
        let other = RequestId::from_random([9; 16]);
        let booking = Booking {
            claimant: other.clone(),
            owner: other,
            attempt: 1,
        };
        let mut books = self.books.of.borrow_mut();
        let book = books.entry(payer).or_default();
        book.bookings
            .borrow_mut()
            .insert(booking_key(TX, log), (booking, NOW));
    }
}

impl ScriptedChain for Shop {
    fn authorization_used(
        &self,
        payer: Address,
        _: B256,
        _: Option<u64>,
    ) -> Result<bool, ChainError> {
        assert_eq!(payer, buyers_address());
        Ok(self.authorization.get() != Use::Unused)
    }
    fn authorization_events(
        &self,
        _: Address,
        _: B256,
        _: RangeInclusive<u64>,
    ) -> Result<AuthorizationEvents, ChainError> {
        let used = self.authorization.get();
        let executed = [EXECUTED].into_iter();
        Ok(AuthorizationEvents {
            used_in: executed.filter(|_| used == Use::Executed).collect(),
            cancelled: used == Use::Cancelled,
        })
    }
    fn head(&self) -> Result<Head, ChainError> {
        self.reads.set(self.reads.get() + 1);
        Ok(Head {
            number: self.head,
            hash: B256::ZERO,
            timestamp: self.head_time.get(),
            base_fee: 1,
        })
    }
    fn block_time(&self, number: u64) -> Result<Option<u64>, ChainError> {
        assert_eq!(number, BLOCK);
        self.reads.set(self.reads.get() + 1);
        Ok(self.time)
    }
    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.reads.set(self.reads.get() + 1);
        if transaction == EXECUTED {
            let used = authorization_used(buyers_address(), B256::repeat_byte(1));
            let logs = vec![used, paid(buyers_address(), 15_000)];
            return Ok(Some(receipt(transaction, BLOCK, logs)));
        }
        let receipt = self.receipt.clone();
        Ok(receipt.filter(|receipt| receipt.transaction == transaction))
    }
}

impl PurchaseEnv for Shop {
    type Store = MemoryStore;
    type Chain = Self;

    fn config(&self) -> &Config {
        &self.config
    }
    fn store(&self) -> &MemoryStore {
        &self.store
    }
    fn chain(&self) -> &Self {
        self
    }
    fn shared(&self) -> &Shared {
        &self.shared
    }
    fn now(&self) -> UnixMillis {
        NOW
    }
    async fn sleep(&self, _: u64) {
        panic!("nobody waits for a proof")
    }
    async fn payer(&self, payer: Address, command: PayerCommand) -> Result<PayerReply, CallFault> {
        self.books.ask(payer, &command, NOW)
    }
    async fn grant(&self, _: &RequestId, _: &MeterCommand) -> Result<MeterReply, CallFault> {
        panic!("no grant is topped up here")
    }
    async fn wallet(&self, _: Address, _: WalletCommand) -> Result<WalletReply, CallFault> {
        panic!("a proof charges nothing")
    }
    async fn facilitator(&self, _: FacilitatorCall<'_>) -> Result<FacilitatorAnswer, CallFault> {
        panic!("a proof charges nothing")
    }
    fn call(&self) -> Option<CallDigest> {
        None
    }
    async fn origin(&self, _: OriginCall) -> Result<Arrived, OriginFault> {
        panic!("a transfer pays for no call")
    }
    /// The worker issues the credential itself, so it does not matter that every notification fails.
    async fn backend(&self, _: BackendCall) -> Result<BackendAnswer, DeliveryFault> {
        Err(DeliveryFault::Failed)
    }
    async fn ledger(&self, _: LedgerEntry) -> Result<(), CallFault> {
        Ok(())
    }
    async fn unlist(&self, _: LedgerEntry) -> Result<(), CallFault> {
        Ok(())
    }
    fn log(&self, _: &str, _: &str) {}
}

/// The address of [`buyer`], who also signs the authorizations of these tests.
pub(super) fn buyers_address() -> Address {
    buyer().address()
}
