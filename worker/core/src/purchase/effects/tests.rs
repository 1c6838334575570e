//! What a purchase concludes when the nodes behind one RPC address know different newest blocks, and from facilitators'
//! answers.

mod begin;
mod calls;
mod calls_before;
mod calls_fail;
mod facilitators;
mod finality;
mod given_up;
mod outages;
mod repeat;
mod reverts;
mod search;
mod streams;
mod terms;
mod top_ups;

use core::cell::{Cell, RefCell};
use core::ops::RangeInclusive;
use std::collections::VecDeque;

use alloy_primitives::{Address, B256, U256};
use futures_util::FutureExt as _;

use super::super::driver::Driver;
use super::super::env::{PurchaseEnv, PurchaseStore as _};
use super::super::lifecycle::{MAX_REFUND_FAILURES, Refused, apply};
use super::super::operator::{OperatorCommand, OperatorReply, operate};
use super::super::origin::{Arrived, OriginCall};
use super::super::question::Ask;
use super::super::reply::PayReply;
use super::super::shared::Shared;
use super::super::state::{Attempt, Purchase, Stage, State};
use super::super::test_support::{
    EXPIRES_AT, GIVEN_UP, NOW, POLICY, UNDELIVERED, attempt_failed, attempted, buyer, issued, pay,
    pay_call, record_after, refund_begun, sent, settled, signed,
};
use super::*;
use crate::backend::authentication::{BackendAnswer, BackendCall};
use crate::book::{Booking, Outcome, PayerCommand, PayerReply, Seen};
use crate::chain::base::{AuthorizationEvents, Completeness, Head, Receipt, Simulation};
use crate::chain::{ChainError, SignedAuthorization};
use crate::config::{Config, test_config};
use crate::goods::{AnswerHead, DeliveryFault, OriginFault};
use crate::ledger::LedgerEntry;
use crate::meter::{MeterCommand, MeterReply};
use crate::offer::CallDigest;
use crate::pauses::Patience;
use crate::settlement::Settlement;
use crate::settlement::facilitator::{Action, Facilitator, FacilitatorAnswer, FacilitatorCall};
use crate::settlement::wallet::{WalletCommand, WalletReply};
use crate::testing::{
    MemoryGrant, MemoryStore, ScriptedChain, authorization_used, receipt, transfer,
};
use crate::types::{CallFault, Network, RequestId, UnixMillis};
use crate::x402::Refusal;

const OURS: B256 = B256::repeat_byte(1);
const STRANGERS: B256 = B256::repeat_byte(2);
/// The block that includes the stranger's transaction and, after it, ours.
const BLOCK: u64 = 50;
/// A time, in seconds, at which the payer's authorization has expired.
const LATE: u64 = 1_800_000_400;

/// Everything outside a purchase. By default a stranger's transaction has executed the authorization, and our own
/// transaction reverts if it is included.
struct Outside {
    config: Config,
    shared: Shared,
    backend_works: Cell<bool>,
    store: MemoryStore,
    /// Whether the stranger's transaction has executed the authorization.
    is_used: bool,
    /// Whether the stranger's transaction pays the seller; otherwise it pays somebody else.
    pays_the_seller: bool,
    /// Whether the stranger's transaction comes only once the purchase waits.
    comes_later: bool,
    /// Whether the purchase has waited.
    has_waited: Cell<bool>,
    /// Whether an operator calls the purchase off while it waits.
    is_called_off: bool,
    /// Whether our own transaction is included.
    is_included: bool,
    /// Whether our own transaction, once included, succeeds and moves no money.
    ours_succeeds: bool,
    /// How often the gas wallet was asked to send our transaction.
    handed_over: Cell<u32>,
    /// Whether the gas wallet says that it never sent anything and that it is too late now.
    is_too_late: bool,
    /// Whether the receipt of the stranger's transaction lacks its events.
    hides_events: Cell<bool>,
    /// How complete the receipts are.
    completeness: Completeness,
    /// The number of the newest block, by the node that is asked for it.
    head: u64,
    /// The hash of the newest block. (That of the receipts' block is zero.)
    head_hash: B256,
    /// How often the newest block was asked for.
    heads: Cell<u32>,
    /// The time of the newest block, in seconds.
    time: u64,
    /// How many milliseconds pass between two looks at the clock.
    pace: u64,
    /// How many milliseconds have passed, including those that the purchase has waited.
    passed: Cell<u64>,
    /// The time of the block that includes both transactions.
    block_time: u64,
    /// The newest block of the node that is asked for states.
    state: u64,
    /// The block that includes both transactions.
    block: u64,
    /// Of how many of the newest blocks a node keeps the states.
    states_kept: u64,
    /// The most blocks in which a node looks for events at once.
    blocks_searched: u64,
    /// How often a node was asked for events or a state.
    searches: Cell<u32>,
    authorization: SignedAuthorization,
    /// Whether the chain would take the transfer.
    is_accepted: bool,
    /// The error text if the chain would not take the transfer.
    refusal: &'static str,
    /// The gas that the transfer would use.
    gas: u64,
    /// The price of gas, in wei per unit.
    base_fee: u128,
    /// The fee, in wei, for as many bytes as the fee oracle is asked about.
    data_fee: U256,
    /// The gas wallet's ether in wei.
    ether: U256,
    /// The payer's USDC.
    balance: U256,
    /// Whether an identical request begins the purchase while the transfer is simulated.
    has_a_twin: Cell<bool>,
    /// The record that another request writes while the chain is asked.
    becomes: RefCell<Option<Purchase>>,
    /// How often the transfer was simulated.
    simulations: Cell<u32>,
    /// How many milliseconds the payer's book makes the payer wait.
    pause: Option<u64>,
    /// The first replies of the payer's book to `Hold` and `Reserve`; after them it answers by default.
    held: RefCell<VecDeque<PayerReply>>,
    ledger_is_gone: bool,
    /// The purchases that the ledger was told to remove.
    unlisted: RefCell<Vec<RequestId>>,
    /// Whether the payer's book gives no answer.
    book_is_gone: Cell<bool>,
    /// How often a receipt is still shown before its block is replaced.
    receipts_left: Cell<u32>,
    /// The booking that the payer's book shows for every payment.
    booking: Option<Booking>,
    /// Whether the client has given its name for the payment to another payment.
    is_named_otherwise: bool,
    /// How many more queries for events the node answers.
    patience: Cell<u32>,
    /// The commands that the payer's book got.
    asked: RefCell<Vec<PayerCommand>>,
    /// The calls that the backend got.
    calls: RefCell<Vec<BackendCall>>,
    /// The grant that is topped up.
    grant: MemoryGrant,
    /// The call that the request carries.
    brought: Option<CallDigest>,
    /// The next answers from the seller's API; after them it is out of reach. (Each gets the number of its call.)
    origin_says: RefCell<VecDeque<Result<AnswerHead, OriginFault>>>,
    /// How many milliseconds the seller's API takes.
    origin_takes: u64,
    /// Whether the answers are passed on while they arrive, where that is allowed.
    is_long: bool,
    /// Whether the buyer asks again just before the seller's API answers.
    is_asked_again: bool,
    /// The calls that the seller's API got, each with the record at that time.
    made: RefCell<Vec<(OriginCall, Purchase)>>,
    /// The next answers of the facilitators; after them they do not answer.
    answers: RefCell<VecDeque<&'static str>>,
    /// What the facilitators were asked, each time with the stage of the attempt.
    told: RefCell<Vec<(Action, Stage)>>,
}

impl Outside {
    fn new(record: Purchase) -> Self {
        let authorization = match &record.state {
            State::RefundPending { refund, .. } => refund.broadcast.authorization.clone(),
            _ => signed(1),
        };
        let store = MemoryStore::of(record);
        store.alarm.set(Some(NOW));
        Self {
            config: test_config(),
            shared: Shared::new(),
            backend_works: Cell::new(false),
            store,
            is_used: true,
            pays_the_seller: true,
            comes_later: false,
            has_waited: Cell::default(),
            is_called_off: false,
            is_included: true,
            ours_succeeds: false,
            handed_over: Cell::default(),
            is_too_late: false,
            hides_events: Cell::default(),
            completeness: Completeness::Complete,
            head: BLOCK,
            head_hash: B256::ZERO,
            heads: Cell::default(),
            time: NOW.to_seconds().0,
            pace: 0,
            passed: Cell::default(),
            block_time: NOW.to_seconds().0,
            state: BLOCK,
            block: BLOCK,
            states_kept: 128,
            blocks_searched: u64::MAX,
            searches: Cell::default(),
            authorization,
            is_accepted: false,
            refusal: "execution reverted",
            gas: 60_000,
            base_fee: 1,
            data_fee: U256::ZERO,
            ether: U256::MAX,
            balance: U256::MAX,
            has_a_twin: Cell::default(),
            becomes: RefCell::default(),
            simulations: Cell::default(),
            pause: None,
            held: RefCell::default(),
            ledger_is_gone: false,
            unlisted: RefCell::default(),
            book_is_gone: Cell::default(),
            receipts_left: Cell::new(u32::MAX),
            booking: None,
            is_named_otherwise: false,
            patience: Cell::new(u32::MAX),
            asked: RefCell::default(),
            calls: RefCell::default(),
            grant: MemoryGrant::default(),
            brought: None,
            origin_says: RefCell::default(),
            origin_takes: 0,
            is_long: false,
            is_asked_again: false,
            made: RefCell::default(),
            answers: RefCell::default(),
            told: RefCell::default(),
        }
    }

    /// Runs the next effect once. Returns the event, or `None` if the effect got no further.
    fn run(&self) -> Option<Event> {
        let record = self.store.record();
        let memory = Memory::default();
        memory.last_asked.set(Some(NOW));
        run(self, &record, &memory).now_or_never().unwrap().ok()
    }

    /// Presents the buyer's payment and returns the reply.
    fn ask(&self) -> PayReply {
        self.answer(Ask::Pay(Box::new(pay(1))))
    }

    fn answer(&self, ask: Ask) -> PayReply {
        self.answer_within(Patience::REQUEST, ask)
    }

    fn answer_within(&self, patience: Patience, ask: Ask) -> PayReply {
        Driver::default()
            .ask(self, &ask, patience)
            .now_or_never()
            .unwrap()
            .unwrap()
    }

    /// Rings the alarm.
    fn wake(&self) {
        let woken = Driver::default().wake(self).now_or_never();
        woken.unwrap().unwrap();
    }

    /// Removes the record, as if no purchase had begun.
    fn forget(&self) {
        self.store.stored.replace(None);
    }

    /// Configures `count` facilitators and no gas wallet.
    fn by_facilitators(mut self, count: usize) -> Self {
        let one = || Facilitator::new("https://f.example".parse().unwrap(), None);
        let all = (0..count).map(|_| one()).collect();
        self.config.settlement = Settlement::new(all, None).unwrap();
        self
    }
}

impl ScriptedChain for Outside {
    fn simulate(&self, _: &SignedAuthorization, _: Address) -> Result<Simulation, ChainError> {
        self.simulations.set(self.simulations.get() + 1);
        if self.has_a_twin.take() {
            assert_eq!(self.shared.deliveries.admit(self.now()), Ok(()));
            self.store.put(record_after([attempted(1)]));
        }
        Ok(match self.is_accepted {
            true => Simulation::Succeeds { gas: self.gas },
            false => Simulation::Reverts(self.refusal.to_owned()),
        })
    }
    fn authorization_used(&self, _: Address, _: B256, at: Option<u64>) -> Result<bool, ChainError> {
        if let Some(record) = self.becomes.take() {
            self.store.put(record);
        }
        self.searches.set(self.searches.get() + 1);
        match at.unwrap_or(self.state) {
            at if at > self.state => Err(ChainError("header not found".to_owned())),
            at if at.saturating_add(self.states_kept) < self.state => {
                Err(ChainError("missing trie node".to_owned()))
            }
            at => {
                let is_used = self.is_used || (self.comes_later && self.has_waited.get());
                Ok(is_used && at >= self.block)
            }
        }
    }
    fn authorization_events(
        &self,
        _: Address,
        _: B256,
        blocks: RangeInclusive<u64>,
    ) -> Result<AuthorizationEvents, ChainError> {
        self.searches.set(self.searches.get() + 1);
        if blocks.end() - blocks.start() >= self.blocks_searched {
            return Err(ChainError("the block range is too large".to_owned()));
        }
        let Some(left) = self.patience.get().checked_sub(1) else {
            return Err(ChainError("rate limit".to_owned()));
        };
        self.patience.set(left);
        let is_there = blocks.contains(&self.block);
        Ok(AuthorizationEvents {
            used_in: [STRANGERS].into_iter().filter(|_| is_there).collect(),
            cancelled: false,
        })
    }
    fn usdc_balance(&self, _: Address) -> Result<U256, ChainError> {
        Ok(self.balance)
    }
    fn has_code(&self, _: Address) -> Result<bool, ChainError> {
        Ok(false)
    }
    fn ether_balance(&self, _: Address) -> Result<U256, ChainError> {
        Ok(self.ether)
    }
    fn data_fee(&self, _: usize) -> Result<U256, ChainError> {
        Ok(self.data_fee)
    }
    fn head(&self) -> Result<Head, ChainError> {
        self.heads.set(self.heads.get() + 1);
        Ok(Head {
            number: self.head,
            hash: self.head_hash,
            timestamp: self.time,
            base_fee: self.base_fee,
        })
    }
    fn block_time(&self, _: u64) -> Result<Option<u64>, ChainError> {
        Ok(Some(self.block_time))
    }
    fn priority_fee(&self) -> Result<u128, ChainError> {
        Ok(1)
    }
    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let Some(left) = self.receipts_left.get().checked_sub(1) else {
            return Ok(None);
        };
        self.receipts_left.set(left);
        let is_ours = transaction == OURS;
        let a = self.authorization.authorization();
        let logs = || {
            let to = if self.pays_the_seller { a.to } else { a.from };
            let used = authorization_used(a.from, a.nonce);
            vec![used, transfer(a.from, to, a.value)]
        };
        let logs = match is_ours || self.hides_events.get() {
            true => Vec::new(),
            false => logs(),
        };
        let receipt = Receipt {
            success: !is_ours || self.ours_succeeds,
            completeness: self.completeness,
            ..receipt(transaction, self.block, logs)
        };
        Ok(Some(receipt).filter(|_| !is_ours || self.is_included))
    }
}

impl PurchaseEnv for Outside {
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
        self.passed.set(self.passed.get() + self.pace);
        UnixMillis(NOW.0.max(self.time * 1_000) + self.passed.get())
    }
    async fn sleep(&self, millis: u64) {
        self.passed.set(self.passed.get() + millis);
        self.has_waited.set(true);
        if self.is_called_off {
            let (now, policy) = (self.now(), self.config.policy());
            let reply = operate(&self.store, OperatorCommand::Cancel, now, &policy);
            assert!(matches!(reply, Ok(OperatorReply::Done { .. })), "{reply:?}");
        }
    }
    async fn payer(&self, _: Address, command: PayerCommand) -> Result<PayerReply, CallFault> {
        if self.book_is_gone.get() {
            return Err(CallFault("gone".to_owned()));
        }
        let is_check = matches!(command, PayerCommand::Hold(_));
        let is_of_nothing = matches!(&command, PayerCommand::Hold(hold) if hold.balance == 0);
        let is_look = matches!(command, PayerCommand::Look(_));
        let is_booking = is_check || matches!(command, PayerCommand::Reserve(_));
        self.asked.borrow_mut().push(command);
        if is_look {
            return Ok(PayerReply::Seen(Seen {
                bookings: vec![self.booking.clone()],
                named: self.is_named_otherwise.then_some(B256::repeat_byte(0xee)),
            }));
        }
        if is_booking && let Some(reply) = self.held.borrow_mut().pop_front() {
            return Ok(reply);
        }
        if is_of_nothing {
            return Ok(PayerReply::Uncovered { under_way: false });
        }
        Ok(match self.pause.filter(|_| is_check) {
            Some(millis) => PayerReply::Paused { millis },
            None => PayerReply::Reserved,
        })
    }
    async fn grant(&self, _: &RequestId, command: &MeterCommand) -> Result<MeterReply, CallFault> {
        self.grant.ask(command, self.now())
    }
    async fn wallet(&self, _: Address, command: WalletCommand) -> Result<WalletReply, CallFault> {
        let is_sent = |attempt: &Attempt| matches!(attempt.stage, Stage::Submitted(_));
        let is_known = self.handed_over.replace(self.handed_over.get() + 1) > 0
            || matches!(&self.store.record().state, State::Pending { attempt } if is_sent(attempt));
        // The wallet begins no job too late. Of a job that it has begun it returns the hashes.
        let WalletCommand::Submit { job, .. } = command;
        let is_too_late = self.now().to_seconds() >= job.not_after;
        Ok(match self.is_too_late || (is_too_late && !is_known) {
            true => WalletReply::TooLate,
            false => WalletReply::Sent { hashes: vec![OURS] },
        })
    }
    async fn facilitator(&self, call: FacilitatorCall<'_>) -> Result<FacilitatorAnswer, CallFault> {
        let State::Pending { attempt } = self.store.record().state else {
            panic!("asked about nothing");
        };
        self.told.borrow_mut().push((call.action, attempt.stage));
        let answer = self.answers.borrow_mut().pop_front();
        answer
            .map(|answer| FacilitatorAnswer {
                status: 200,
                body: answer.as_bytes().to_vec(),
            })
            .ok_or_else(|| CallFault("no answer in time".to_owned()))
    }
    async fn backend(&self, call: BackendCall) -> Result<BackendAnswer, DeliveryFault> {
        self.calls.borrow_mut().push(call);
        match self.backend_works.get() {
            true => Ok(BackendAnswer {
                status: 200,
                body: br#"{"token":"secret"}"#.to_vec(),
            }),
            false => Err(DeliveryFault::Failed),
        }
    }
    fn call(&self) -> Option<CallDigest> {
        self.brought
    }
    async fn origin(&self, call: OriginCall) -> Result<Arrived, OriginFault> {
        let streams = call.streams.clone();
        self.store.in_memory.borrow_mut().push(call.number);
        let number = call.number;
        self.made.borrow_mut().push((call, self.store.record()));
        self.passed.set(self.passed.get() + self.origin_takes);
        if self.is_asked_again
            && let Some(sold) = self.store.record().sold
        {
            let reply = self.answer_within(Patience::NONE, Ask::Pay(Box::new(pay_call(&sold))));
            assert!(matches!(reply, PayReply::Calling { .. }), "{reply:?}");
        }
        let answer = self.origin_says.borrow_mut().pop_front();
        answer
            .unwrap_or(Err(OriginFault::Unreachable))
            .map(|head| AnswerHead { number, ..head })
            .map(|head| match streams {
                Some(_) if self.is_long => Arrived::Begun(head),
                _ => Arrived::Whole(head),
            })
    }
    async fn ledger(&self, _: LedgerEntry) -> Result<(), CallFault> {
        match self.ledger_is_gone {
            true => Err(CallFault("gone".to_owned())),
            false => Ok(()),
        }
    }
    async fn unlist(&self, entry: LedgerEntry) -> Result<(), CallFault> {
        match self.ledger_is_gone {
            true => Err(CallFault("gone".to_owned())),
            false => {
                self.unlisted.borrow_mut().push(entry.request_id);
                Ok(())
            }
        }
    }
    fn log(&self, _: &str, _: &str) {}
}

fn submitted() -> Purchase {
    record_after([attempted(1), Event::Reserved, sent(OURS)])
}

/// A purchase whose attempt has failed, and no block shows its authorization.
fn failed_unseen() -> Purchase {
    let failed = attempt_failed(Refusal::InvalidExactEvmTransactionFailed);
    record_after([
        attempted(1),
        Event::Reserved,
        sent(OURS),
        failed,
        Event::TargetReleased,
    ])
}

/// A purchase whose transaction was included in a block and moved no money.
fn failed() -> Purchase {
    let reason = Refusal::InvalidExactEvmTransactionFailed;
    let transaction = Some(OURS);
    record_after([
        attempted(1),
        Event::Reserved,
        sent(OURS),
        Event::AttemptFailed {
            reason,
            transaction,
        },
        Event::TargetReleased,
    ])
}

/// A purchase that has expired and whose authorization is watched.
fn expired() -> Purchase {
    record_after([
        attempted(1),
        Event::Reserved,
        GIVEN_UP,
        Event::TargetReleased,
    ])
}

fn is_settled_by_the_stranger(event: Option<Event>) -> bool {
    matches!(event, Some(Event::Settled { payment }) if payment.transaction == STRANGERS)
}

#[test]
fn a_transaction_that_reverted_because_a_stranger_was_faster_is_a_payment() {
    assert!(is_settled_by_the_stranger(Outside::new(submitted()).run()));
    let mut outside = Outside::new(submitted());
    outside.is_used = false;
    let reason = Refusal::InvalidExactEvmTransactionFailed;
    let transaction = Some(OURS);
    assert_eq!(
        outside.run(),
        Some(Event::AttemptFailed {
            reason,
            transaction
        }),
        "and without the stranger it is none"
    );
}

#[test]
fn a_node_that_does_not_know_the_block_of_a_revert_does_not_say_that_no_money_moved() {
    for (head, state) in [
        (BLOCK, BLOCK - 1),
        (BLOCK - 1, BLOCK - 1),
        (BLOCK - 1, BLOCK),
    ] {
        let mut outside = Outside::new(submitted());
        (outside.head, outside.state) = (head, state);
        assert_eq!(outside.run(), None, "head {head}, state {state}");
    }
}

#[test]
fn a_purchase_is_not_refused_again_while_nodes_disagree_why_the_chain_refuses() {
    for (head, state) in [
        (BLOCK - 1, BLOCK),
        (BLOCK, BLOCK - 1),
        (BLOCK - 1, BLOCK - 1),
    ] {
        let mut outside = Outside::new(failed());
        (outside.head, outside.state) = (head, state);
        let reply = outside.ask();
        let unknown = PayReply::Pending { transaction: None };
        assert_eq!(reply, unknown, "head {head}, state {state}");
    }
    let outside = Outside::new(failed());
    outside.ask();
    let state = outside.store.record().state;
    assert_eq!(state.transaction(), Some(STRANGERS));
}

#[test]
fn a_reservation_that_is_still_on_its_way_cannot_lock_the_target_of_a_cancelled_purchase() {
    let outside = Outside::new(record_after([attempted(1), Event::Cancelled]));
    assert_eq!(outside.run(), Some(Event::TargetReleased));
    let asked = outside.asked.borrow();
    assert!(
        matches!(
            asked.as_slice(),
            [PayerCommand::Reserve(known), PayerCommand::Release { attempt: u32::MAX, .. }]
                if known.nonce == signed(1).authorization().nonce && known.attempt == 1
        ),
        "{asked:?}"
    );
}
