//! A chain with one transaction, a real payer's book, and storage that counts its writes.

use crate::pauses::Patience;
use core::cell::{Cell, RefCell};
use core::ops::RangeInclusive;
use std::collections::BTreeMap;

use alloy_primitives::{Bytes, U256};
use futures_util::FutureExt as _;

use super::super::*;
use crate::backend::authentication::{BackendAnswer, BackendCall};
use crate::book::memory::MemoryBook;
use crate::book::{Booking, PayerCommand, PayerReply, execute};
use crate::chain::ChainError;
use crate::chain::SignedAuthorization;
use crate::chain::base::{AuthorizationEvents, Completeness, Head, Log, SendOutcome, Simulation};
use crate::chain::signature::Deployment;
use crate::chain::transfer::booking_key;
use crate::chain::usdc::{AUTHORIZATION_USED_TOPIC, TRANSFER_TOPIC};
use crate::chain::wallet_call::WalletAnswer;
use crate::config::{Config, test_config};
use crate::goods::DeliveryFault;
use crate::ledger::LedgerEntry;
use crate::purchase::driver::Driver;
use crate::purchase::env::PurchaseStore;
use crate::purchase::question::Ask;
use crate::purchase::shared::Shared;
use crate::purchase::state::AuditRow;
use crate::purchase::test_support::{NOW, buyer, sold, test_offer};
use crate::settlement::facilitator::{FacilitatorAnswer, FacilitatorCall};
use crate::settlement::wallet::{WalletCommand, WalletReply};
use crate::types::{CallFault, Network, RequestId, UnixMillis};

/// The one transaction.
pub(super) const TX: B256 = B256::repeat_byte(0x77);
/// A payer.
pub(super) const ANN: Address = Address::repeat_byte(0xa1);
/// Another one.
pub(super) const BOB: Address = Address::repeat_byte(0xb2);
/// Its block.
pub(super) const BLOCK: u64 = 50;

/// A transfer to the seller.
pub(super) fn paid(from: Address, units: u64) -> Log {
    let to = test_offer().terms.pay_to;
    Log {
        address: Network::BaseSepolia.usdc(),
        topics: vec![TRANSFER_TOPIC, from.into_word(), to.into_word()],
        data: U256::from(units).to_be_bytes_vec().into(),
    }
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

/// The same without a signature.
pub(super) fn unsigned() -> Prove {
    Prove {
        payer: None,
        ..proof(ANN)
    }
}

/// What has happened to an authorization.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Use {
    #[default]
    Unused,
    Cancelled,
    /// In the transaction [`EXECUTED`].
    Executed,
}

/// The transaction that executes the buyer's authorization.
pub(super) const EXECUTED: B256 = B256::repeat_byte(0x99);

/// Everything outside one purchase.
pub(super) struct Shop {
    pub(super) config: Config,
    shared: Shared,
    pub(super) stored: RefCell<Option<Versioned>>,
    /// How often something was written.
    pub(super) writes: Cell<u32>,
    /// How often the chain was asked.
    pub(super) reads: Cell<u32>,
    pub(super) receipt: Option<Receipt>,
    pub(super) head: u64,
    /// The newest block's time.
    pub(super) head_time: Cell<u64>,
    pub(super) time: Option<u64>,
    /// What has happened to the buyer's authorization.
    pub(super) authorization: Cell<Use>,
    pub(super) books: RefCell<BTreeMap<Address, MemoryBook>>,
    /// Whether the payer's book answers.
    pub(super) book_is_gone: Cell<bool>,
}

impl Shop {
    /// The transaction holds these transfers and is deep enough.
    pub(super) fn new(logs: Vec<Log>) -> Self {
        Self {
            config: test_config(),
            shared: Shared::new(),
            stored: RefCell::default(),
            writes: Cell::default(),
            reads: Cell::default(),
            receipt: Some(Receipt {
                transaction: TX,
                block: BLOCK,
                block_hash: B256::ZERO,
                success: true,
                logs,
                completeness: Completeness::Complete,
            }),
            head: BLOCK,
            head_time: Cell::new(NOW.to_seconds().0),
            authorization: Cell::default(),
            time: Some(NOW.to_seconds().0),
            books: RefCell::default(),
            book_is_gone: Cell::default(),
        }
    }

    /// As [`Shop::new`], with a purchase that has come so far.
    pub(super) fn after(record: Purchase, logs: Vec<Log>) -> Self {
        let shop = Self::new(logs);
        shop.stored.replace(Some(Versioned { version: 1, record }));
        shop
    }

    pub(super) fn ask(&self, prove: Prove) -> PayReply {
        let ask = Ask::Prove(Box::new(prove));
        let reply = Driver::default()
            .ask(self, &ask, Patience::REQUEST)
            .now_or_never();
        reply.unwrap().unwrap()
    }

    /// The alarm.
    pub(super) fn wake(&self) {
        Driver::default()
            .wake(self)
            .now_or_never()
            .unwrap()
            .unwrap();
    }

    pub(super) fn record(&self) -> Option<Purchase> {
        self.stored
            .borrow()
            .as_ref()
            .map(|stored| stored.record.clone())
    }

    /// Somebody else's purchase has claimed a transfer of the transaction.
    pub(super) fn claimed(&self, payer: Address, log: u32) {
        let other = RequestId::from_random([9; 16]);
        let booking = Booking {
            claimant: other.clone(),
            owner: other,
            attempt: 1,
        };
        let mut books = self.books.borrow_mut();
        let book = books.entry(payer).or_default();
        book.bookings
            .borrow_mut()
            .insert(booking_key(TX, log), (booking, NOW));
    }
}

impl PurchaseStore for Shop {
    fn load(&self) -> Result<Option<Versioned>, StoreFault> {
        Ok(self.stored.borrow().clone())
    }
    fn commit(
        &self,
        expected: Option<u64>,
        record: &Purchase,
        _: Option<&AuditRow>,
        _: Option<UnixMillis>,
    ) -> Result<bool, StoreFault> {
        self.writes.set(self.writes.get() + 1);
        self.stored.replace(Some(Versioned {
            version: expected.unwrap_or_default() + 1,
            record: record.clone(),
        }));
        Ok(true)
    }
    async fn alarm(&self) -> Result<Option<UnixMillis>, StoreFault> {
        Ok(Some(NOW))
    }
    fn set_alarm(&self, at: UnixMillis) -> Result<(), StoreFault> {
        panic!("nothing has lost the alarm: {at:?}")
    }
}

impl Chain for Shop {
    async fn simulate(
        &self,
        _: &SignedAuthorization,
        _: Address,
    ) -> Result<Simulation, ChainError> {
        panic!("a proof charges nothing")
    }
    async fn wallet_accepts(
        &self,
        _: Address,
        _: B256,
        _: &Bytes,
        _: Option<&Deployment>,
    ) -> Result<WalletAnswer, ChainError> {
        panic!("a proof does not ask")
    }
    async fn authorization_used(
        &self,
        payer: Address,
        _: B256,
        _: Option<u64>,
    ) -> Result<bool, ChainError> {
        assert_eq!(payer, buyers_address());
        Ok(self.authorization.get() != Use::Unused)
    }
    async fn authorization_events(
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
    async fn usdc_balance(&self, _: Address) -> Result<U256, ChainError> {
        panic!("a proof charges nothing")
    }
    async fn has_code(&self, _: Address) -> Result<bool, ChainError> {
        panic!("a proof charges nothing")
    }
    async fn ether_balance(&self, _: Address) -> Result<U256, ChainError> {
        panic!("a proof charges nothing")
    }
    async fn head(&self) -> Result<Head, ChainError> {
        self.reads.set(self.reads.get() + 1);
        Ok(Head {
            number: self.head,
            hash: B256::ZERO,
            timestamp: self.head_time.get(),
            base_fee: 1,
        })
    }
    async fn block_time(&self, number: u64) -> Result<Option<u64>, ChainError> {
        assert_eq!(number, BLOCK);
        self.reads.set(self.reads.get() + 1);
        Ok(self.time)
    }
    async fn priority_fee(&self) -> Result<u128, ChainError> {
        panic!("a proof charges nothing")
    }
    async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.reads.set(self.reads.get() + 1);
        if transaction == EXECUTED {
            let [from, to] = [buyers_address(), test_offer().terms.pay_to];
            let [nonce, value] = [B256::repeat_byte(1), U256::from(15_000).into()];
            let log = |topics, data: Bytes| Log {
                address: Network::BaseSepolia.usdc(),
                topics,
                data,
            };
            let used = vec![AUTHORIZATION_USED_TOPIC, from.into_word(), nonce];
            let moved = vec![TRANSFER_TOPIC, from.into_word(), to.into_word()];
            return Ok(Some(Receipt {
                transaction,
                block: BLOCK,
                block_hash: B256::ZERO,
                success: true,
                completeness: Completeness::Complete,
                logs: vec![log(used, Bytes::new()), log(moved, value.to_vec().into())],
            }));
        }
        let receipt = self.receipt.clone();
        Ok(receipt.filter(|receipt| receipt.transaction == transaction))
    }
    async fn included_count(&self, _: Address) -> Result<u64, ChainError> {
        panic!("a proof charges nothing")
    }
    async fn pending_count(&self, _: Address) -> Result<u64, ChainError> {
        panic!("a proof charges nothing")
    }
    async fn send_raw(&self, _: &Bytes) -> Result<SendOutcome, ChainError> {
        panic!("a proof charges nothing")
    }
}

impl PurchaseEnv for Shop {
    type Store = Self;
    type Chain = Self;

    fn config(&self) -> &Config {
        &self.config
    }
    fn store(&self) -> &Self {
        self
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
        if self.book_is_gone.get() {
            return Err(CallFault("gone".to_owned()));
        }
        let mut books = self.books.borrow_mut();
        let Ok(reply) = execute(books.entry(payer).or_default(), &command, NOW);
        Ok(reply)
    }
    async fn wallet(&self, _: Address, _: WalletCommand) -> Result<WalletReply, CallFault> {
        panic!("a proof charges nothing")
    }
    async fn facilitator(&self, _: FacilitatorCall<'_>) -> Result<FacilitatorAnswer, CallFault> {
        panic!("a proof charges nothing")
    }
    /// The worker issues itself; what the backend is told besides changes nothing.
    async fn backend(&self, _: BackendCall) -> Result<BackendAnswer, DeliveryFault> {
        Err(DeliveryFault::Failed)
    }
    async fn ledger(&self, _: LedgerEntry) -> Result<(), CallFault> {
        Ok(())
    }
    fn log(&self, _: &str, _: &str) {}
}

/// The buyer of these tests' authorizations, who pays by transfer this time.
pub(super) fn buyers_address() -> Address {
    buyer().address()
}
