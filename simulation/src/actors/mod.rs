//! Everybody outside: buyers, the payers' other doings on chain, strangers, and the chain's own course.

mod buyer;
mod door;
mod interference;
mod obstacles;
mod payment;
mod sweeper;
mod transfer;
mod weather;

pub use buyer::{Buyer, shop, shop_in_parallel};
pub use door::request;
pub use interference::{on_given_up, on_payment, on_public};
pub use obstacles::{LONGEST_MILLIS, give_back, on_attempt, on_failure, operate, retry_refunds};
pub use payment::Payment;
pub use sweeper::sweep_by_the_clock;
pub use transfer::{ask_proof, last_proofs, on_settlement, shop_by_transfer, show_again};
pub use weather::run_chain;

use core::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use key0_core::goods::{Goods, Receipt};
use key0_core::purchase::Prove;
use key0_core::types::RequestId;

use crate::chain::AuthorizationKey;

/// What buyers have presented and what they were given.
#[derive(Debug, Default)]
pub struct Market {
    /// Who buys.
    pub buyers: RefCell<Vec<Buyer>>,
    /// Every payment that its own payer has presented.
    pub presented: RefCell<Vec<Payment>>,
    /// Every proof of a transfer that was shown, and whether by who had sent the money for it.
    pub proofs: RefCell<Vec<(Prove, bool)>>,
    /// The first grant of each purchase.
    pub grants: RefCell<BTreeMap<RequestId, (Goods, Receipt)>>,
    /// Authorizations that everybody has seen.
    pub public: RefCell<BTreeSet<AuthorizationKey>>,
}
