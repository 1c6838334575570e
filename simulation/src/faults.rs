//! The faults, and how often each strikes in one run. Each seed switches on its own selection, so that frequent faults do not always
//! drown rare combinations.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::random::Random;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// An object loses its memory and everything it was doing, right before or after a store or an outside call.
    CrashObject,
    /// All objects and all requests at once lose their memory and everything they were doing.
    CrashRuntime,
    /// The storage answers with an error and does nothing.
    StoreError,
    /// The RPC answers with an error and has done nothing.
    RpcError,
    /// The RPC answers with an error and has done it.
    RpcErrorAfter,
    /// The RPC takes seconds.
    RpcSlow,
    /// The answer comes from a node that is some blocks behind.
    RpcStale,
    /// The RPC knows no receipt although there is one.
    ReceiptHidden,
    /// The RPC shows a receipt of the block that is being built, but the block may come without the transaction.
    ReceiptEarly,
    /// The RPC shows a receipt without its events, or without some.
    ReceiptBare,
    /// The RPC answers a simulated call with an error that says nothing about the chain.
    RpcTrouble,
    /// A call between objects never arrives.
    RequestLost,
    /// A call takes effect and its answer is lost.
    AnswerLost,
    /// A call is delivered twice.
    CallTwice,
    /// A call or its answer takes seconds, possibly longer than the caller waits.
    CallSlow,
    /// The caller stops waiting and takes the callee's work down with it.
    CallCancelled,
    /// An alarm fires again after it was handled.
    AlarmTwice,
    /// An alarm fires late.
    AlarmLate,
    /// A purchase's alarm is lost.
    AlarmLost,
    /// The ledger gives no answer for a while.
    LedgerGone,
    /// The network forgets a pending transaction.
    TransactionDropped,
    /// A block leaves out what it could include.
    InclusionDelayed,
    /// Blocks are replaced: fewer of the newest ones than the confirmations that the worker waits for, or more if they hold
    /// nothing but refunds.
    Reorganised,
    /// The base fee multiplies.
    FeeSurge,
    /// The chain makes no blocks for up to ten minutes.
    ChainStandsStill,
    /// A third party broadcasts an authorization that it saw.
    ForeignBroadcast,
    /// A third party broadcasts an authorization that we have given up.
    LateBroadcast,
    /// A contract wallet accepts payments in a simulated call and refuses them in the transaction.
    WalletBurns,
    /// Another program uses the gas wallet's key.
    NonceStolen,
    /// The RPC reports a wrong number of the gas wallet's transactions.
    CountLies,
    /// The gas wallet has next to no ether.
    WalletPoor,
    /// No block ever includes a payment of the gas wallet.
    NeverIncluded,
    /// The payer cancels the authorization on chain.
    PayerCancels,
    /// The payer moves the money away, and perhaps back.
    PayerMovesMoney,
    /// A stranger presents another payer's authorization.
    Attack,
    /// A buyer's request or its answer is lost.
    BuyerOffline,
    /// An isolate that still runs with the first settings takes a request.
    DoorOutdated,
    /// A buyer presents one authorization for two purchases at once.
    DoubleUse,
    /// The backend refuses everything for a while.
    BackendRefuses,
    /// The backend refuses everything for a long while.
    BackendOff,
    /// The backend gives no answer for a while; it may issue the credential nevertheless.
    BackendHangs,
    /// The backend answers one call with an error although it has issued the credential.
    BackendErrorAfter,
    /// The backend takes long for one call.
    BackendSlow,
    /// The seller's API serves nobody for a while.
    OriginOff,
    /// The seller's API cannot be reached by one call.
    OriginGone,
    /// The seller's API gives no answer to one call, although it has received the call.
    OriginHangs,
    /// The seller's API takes long for one call.
    OriginSlow,
    /// The seller's API ends an answer too early.
    OriginCuts,
    /// The seller's API answers one call in a way that is not charged for.
    OriginRefuses,
    /// The seller's API gives one call an answer that is too large to keep.
    OriginTalks,
    /// The seller's API is not called: the answers held for other calls take up too much memory.
    OriginBusy,
    /// The answer to one call may be passed on while it arrives, however short it is.
    OriginStreams,
    /// An answer that is passed on does not end.
    StreamEndless,
    /// An answer that is passed on is forgotten by the platform.
    StreamHangs,
    /// A buyer takes long for a piece of an answer that is passed on.
    BuyerSlow,
    /// A buyer leaves before an answer ends that is passed on.
    BuyerLeaves,
    /// The seller moves its money away for a while.
    SellerDrained,
    /// USDC blocks a payer, for a while or to the end.
    PayerBlocked,
    /// The operator calls a purchase off.
    OperatorCancels,
    /// A facilitator does not work.
    FacilitatorGone,
    /// A facilitator takes long before it settles.
    FacilitatorSlow,
    /// A facilitator declines a payment.
    FacilitatorDeclines,
    /// A facilitator claims to have settled a payment that it has not.
    FacilitatorLies,
    /// A facilitator broadcasts a payment, and then gives no answer, an error, a refusal, or a lie.
    FacilitatorErrorAfter,
}

/// How often, per thousand, each fault may happen when its seed switches it on.
const INTENSITIES: [(Fault, [u64; 3]); 64] = [
    (Fault::CrashObject, [1, 5, 20]),
    (Fault::CrashRuntime, [1, 2, 4]),
    (Fault::StoreError, [1, 5, 20]),
    (Fault::RpcError, [5, 30, 150]),
    (Fault::RpcErrorAfter, [5, 30, 150]),
    (Fault::RpcSlow, [5, 30, 200]),
    (Fault::RpcStale, [5, 50, 300]),
    (Fault::ReceiptHidden, [10, 50, 300]),
    (Fault::ReceiptEarly, [50, 300, 800]),
    (Fault::ReceiptBare, [10, 50, 300]),
    (Fault::RpcTrouble, [5, 30, 150]),
    (Fault::RequestLost, [5, 30, 150]),
    (Fault::AnswerLost, [5, 30, 150]),
    (Fault::CallTwice, [5, 30, 150]),
    (Fault::CallSlow, [5, 30, 150]),
    (Fault::CallCancelled, [50, 300, 700]),
    (Fault::AlarmTwice, [10, 50, 200]),
    (Fault::AlarmLate, [10, 50, 300]),
    (Fault::AlarmLost, [5, 50, 300]),
    (Fault::LedgerGone, [2, 10, 50]),
    (Fault::TransactionDropped, [5, 30, 150]),
    (Fault::InclusionDelayed, [50, 300, 800]),
    (Fault::Reorganised, [5, 30, 100]),
    (Fault::FeeSurge, [1, 3, 10]),
    (Fault::ChainStandsStill, [1, 3, 10]),
    (Fault::ForeignBroadcast, [20, 100, 400]),
    (Fault::LateBroadcast, [100, 400, 900]),
    (Fault::WalletBurns, [300, 600, 1_000]),
    (Fault::NonceStolen, [1, 3, 10]),
    (Fault::CountLies, [5, 30, 150]),
    (Fault::WalletPoor, [5, 50, 300]),
    (Fault::NeverIncluded, [2, 10, 30]),
    (Fault::PayerCancels, [20, 100, 300]),
    (Fault::PayerMovesMoney, [20, 100, 300]),
    (Fault::Attack, [50, 200, 500]),
    (Fault::BuyerOffline, [20, 100, 300]),
    (Fault::DoorOutdated, [10, 50, 200]),
    (Fault::DoubleUse, [10, 50, 200]),
    (Fault::BackendRefuses, [5, 20, 100]),
    (Fault::BackendOff, [2, 10, 50]),
    (Fault::BackendHangs, [5, 20, 100]),
    (Fault::BackendErrorAfter, [20, 100, 400]),
    (Fault::BackendSlow, [20, 100, 400]),
    (Fault::OriginOff, [5, 20, 100]),
    (Fault::OriginGone, [20, 100, 400]),
    (Fault::OriginHangs, [20, 100, 400]),
    (Fault::OriginSlow, [50, 200, 600]),
    (Fault::OriginCuts, [20, 100, 400]),
    (Fault::OriginRefuses, [50, 200, 600]),
    (Fault::OriginTalks, [20, 100, 300]),
    (Fault::OriginBusy, [20, 100, 400]),
    (Fault::OriginStreams, [100, 300, 600]),
    (Fault::StreamEndless, [20, 100, 300]),
    (Fault::StreamHangs, [20, 100, 300]),
    (Fault::BuyerSlow, [50, 200, 600]),
    (Fault::BuyerLeaves, [50, 200, 500]),
    (Fault::SellerDrained, [2, 10, 50]),
    (Fault::PayerBlocked, [10, 50, 200]),
    (Fault::OperatorCancels, [5, 20, 100]),
    (Fault::FacilitatorGone, [20, 150, 500]),
    (Fault::FacilitatorSlow, [20, 150, 500]),
    (Fault::FacilitatorDeclines, [5, 50, 300]),
    (Fault::FacilitatorLies, [20, 100, 400]),
    (Fault::FacilitatorErrorAfter, [20, 150, 500]),
];

impl Fault {
    /// Everything that may go wrong.
    pub fn all() -> impl Iterator<Item = Self> {
        INTENSITIES.into_iter().map(|(fault, _)| fault)
    }
}

/// The faults of one run.
#[derive(Debug)]
pub struct Faults {
    rates: BTreeMap<Fault, u64>,
    active: Cell<bool>,
    only: Cell<&'static [Fault]>,
    counts: RefCell<BTreeMap<Fault, u64>>,
}

impl Faults {
    /// The selection of a seed, except what is switched off on top.
    pub fn choose(random: &Random, without: &[Fault]) -> Self {
        let share = random.pick(&[250, 500, 750]);
        let rates = INTENSITIES
            .iter()
            .filter(|_| random.chance(share))
            .map(|(fault, rates)| (*fault, random.pick(rates)))
            .collect::<Vec<_>>();
        let rates = rates
            .into_iter()
            .filter(|(fault, _)| !without.contains(fault))
            .collect();
        Self {
            rates,
            active: Cell::new(true),
            only: Cell::default(),
            counts: RefCell::default(),
        }
    }

    /// Whether this fault happens now.
    pub fn strikes(&self, fault: Fault, random: &Random) -> bool {
        let rate = self.rates.get(&fault).copied().unwrap_or_default();
        let may_strike = self.active.get() || self.only.get().contains(&fault);
        let strikes = may_strike && random.chance(rate);
        if strikes {
            *self.counts.borrow_mut().entry(fault).or_default() += 1;
        }
        strikes
    }

    /// Stops all faults from now on.
    pub fn stop(&self) {
        self.active.set(false);
        self.only.take();
    }

    /// From now on only these faults happen, until all faults are stopped again.
    pub fn resume(&self, only: &'static [Fault]) {
        self.only.set(only);
    }

    /// Whether things may still go wrong.
    pub fn are_active(&self) -> bool {
        self.active.get()
    }

    /// How often each fault struck.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.counts.borrow().clone()
    }

    /// The selection, for the trace.
    pub fn selection(&self) -> String {
        format!("{:?}", self.rates)
    }
}
