//! The gas wallet: transactions, their signing, and the pipeline that gets them included.

mod care;
mod cost;
mod env;
mod job;
mod line;
mod operator;
mod pipeline;
mod sight;
#[cfg(test)]
mod tests;
mod transaction;

pub use cost::{DataFee, expected_cost, most_cost, offered};
pub use env::{Change, WalletEnv, WalletStore};
pub use job::{Job, JobKey, Sent, Signed, WalletCommand, WalletFault, WalletReply};
pub use operator::{JobView, WalletOperation, WalletView, Wallets};
pub use pipeline::GasWallet;
pub use transaction::{Fees, Transaction};
