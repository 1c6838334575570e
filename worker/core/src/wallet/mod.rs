//! The gas wallet: transactions, their signing, and the pipeline that gets them included.

mod key;
mod pipeline;
mod transaction;

pub use key::WalletKey;
pub use pipeline::{
    GasWallet, Job, JobKey, Sent, Signed, WalletCommand, WalletEnv, WalletFault, WalletReply,
    WalletStore,
};
pub use transaction::{Fees, SigningFailed, Transaction};
