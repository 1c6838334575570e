//! What is outside the rules, for tests of this crate. Each test says what its outside does; what it does not say fails it.

mod books;
mod chain;
mod checkout;
mod grants;
mod meters;
mod node;
mod purchases;
mod store;

pub(crate) use books::Books;
pub(crate) use chain::{ScriptedChain, authorization_used, receipt, transfer};
pub(crate) use checkout::checkout;
pub(crate) use grants::MemoryGrant;
pub(crate) use meters::{OneMeter, ScriptedMeters};
pub(crate) use node::WalletNode;
pub(crate) use purchases::ScriptedPurchases;
pub(crate) use store::MemoryStore;
