//! Payments: x402 objects, the checks of a signed authorization, the USDC contract, and what the chain says about it.

mod abi;
pub mod authorization;
pub mod cdp;
pub mod chain;
pub mod confirm;
pub mod endpoints;
pub mod extensions;
pub mod facilitator;
mod gas_oracle;
pub mod header;
pub mod offer;
pub mod payer;
pub mod payload;
pub mod presented;
pub mod refusal;
pub mod rpc;
pub mod rpc_error;
pub mod settlement;
pub mod signature;
pub mod transfer;
pub mod usdc;
pub mod v1;
pub mod wallet_call;

pub use authorization::{Authorization, SignedAuthorization};
pub use chain::{Chain, ChainError};
pub use offer::{PaymentRequired, PaymentRequirements, SettleResponse, Version};
pub use payload::{PaymentPayload, Unreadable};
pub use presented::Presented;
pub use refusal::Refusal;
pub use settlement::{Route, Settlement};
