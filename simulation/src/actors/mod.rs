//! Everybody outside: buyers, the payers' other doings on chain, strangers, and the chain's own course.

mod buyer;
mod conversation;
mod door;
mod interference;
mod obstacles;
mod payment;
mod sweeper;
mod tools;
mod transfer;
mod weather;

pub use buyer::{Buyer, shop, shop_in_parallel};
pub use conversation::{
    Known, Talk, View, last_looks, last_truths, look_again, shop_in_conversation,
};
pub use door::request;
pub use interference::{on_given_up, on_payment, on_public};
pub use obstacles::{LONGEST_MILLIS, give_back, on_attempt, on_failure, operate, retry_refunds};
pub use payment::Payment;
pub use sweeper::sweep_by_the_clock;
pub use tools::shop_with_tools;
pub use transfer::{ask_proof, last_proofs, on_settlement, shop_by_transfer, show_again};
pub use weather::run_chain;

use core::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use key0_core::goods::{Goods, Receipt};
use key0_core::purchase::Prove;
use key0_core::types::RequestId;
use serde_json::Value;

use crate::chain::AuthorizationKey;

/// What buyers have presented and what they were given.
#[derive(Debug, Default)]
pub struct Market {
    /// All buyers.
    pub buyers: RefCell<Vec<Buyer>>,
    /// Every payment that its own payer has presented.
    pub presented: RefCell<Vec<Payment>>,
    /// Every proof of a transfer that was shown, and whether the one who showed it had also sent the money.
    pub proofs: RefCell<Vec<(Prove, bool)>>,
    /// The first grant of each purchase.
    pub grants: RefCell<BTreeMap<RequestId, (Goods, Receipt)>>,
    /// The conversations in which something is bought.
    pub talks: RefCell<Vec<Rc<Talk>>>,
    /// The first grant of each purchase that was shown on a task.
    pub shown: RefCell<BTreeMap<RequestId, Value>>,
    /// How many requests on a task have asked a purchase and were not told that they have begun nothing.
    pub asked: RefCell<BTreeMap<(String, RequestId), u32>>,
    /// The purchase to which each purchase has last led a payment on a task.
    pub led: RefCell<BTreeMap<RequestId, RequestId>>,
    /// Authorizations that everybody has seen.
    pub public: RefCell<BTreeSet<AuthorizationKey>>,
}
