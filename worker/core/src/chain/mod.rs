//! Base over JSON-RPC: endpoints, the USDC contract, authorizations and signatures, receipts and what they prove.

mod abi;
pub mod authorization;
pub mod base;
pub mod endpoints;
pub mod events;
mod gas_oracle;
pub mod presented;
pub mod rpc;
pub mod rpc_error;
pub mod settlement_call;
pub mod signature;
pub mod transfer;
pub mod usdc;
pub mod wallet_call;

pub use authorization::SignedAuthorization;
pub use base::{Chain, ChainError};
pub use presented::Presented;
